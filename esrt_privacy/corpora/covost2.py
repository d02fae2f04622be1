"""CoVoST-2: translations of Common Voice, ``covost_v2.en_de.tsv`` or one table for each split.

The tables name clips of Common Voice, which lies beside them: ``<folder>/en/clips``, the folder
itself, or the archive (``en.tar.gz``, ``cv-corpus-4-2019-12-10-en.tar.gz``).

Wang, Wu, Gu and Pino, "CoVoST 2 and massively multilingual speech translation", Interspeech 2021,
doi:10.21437/Interspeech.2021-2027.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from esrt_privacy.corpora import archive, common_voice
from esrt_privacy.corpora.iso639 import iso639_3
from esrt_privacy.corpora.tables import RowError, read_tsv
from esrt_privacy.corpora.utterance import Found, Utterance, shown
from esrt_privacy.progress import Reporter, silent

# get_covost_splits.py of the corpus keeps these; the rest of a table is in no split of CoVoST-2
SPLITS = frozenset({"train", "train_covost", "dev", "test"})

_NAME = re.compile(r"covost_v2\.([A-Za-z-]+)_([A-Za-z-]+)(?:\.(?:train|dev|test))?\.tsv")


class _Table(NamedTuple):
    path: Path
    source: str
    target: str


class _Translated(NamedTuple):
    place: str
    clip: str
    target: str
    translation: str
    sentence: str | None
    speaker: str | None


def recognises(path: Path) -> bool:
    """Whether ``path`` is a table of CoVoST-2 or a folder with some, at most one level down."""
    return bool(_tables(path))


def load(path: Path, report: Reporter = silent) -> Found:
    """Read the clips that the tables translate; several targets of a clip come together.

    Raises CorpusError when a table cannot be read or the cache cannot be written.
    """
    notes: list[str] = []
    tables = _tables(path)
    utterances = []
    for source in dict.fromkeys(table.source for table in tables):
        ours = [table for table in tables if table.source == source]
        locale = _locale(ours, source, report, notes)
        if locale is not None:
            rows = [row for table in ours for row in _rows(table, notes)]
            utterances += _joined(rows, source, locale, notes)
    return Found(utterances, notes)


def _tables(path: Path) -> list[_Table]:
    paths = [path] if path.is_file() else sorted({*path.glob("*.tsv"), *path.glob("*/*.tsv")})
    named = ((file, _NAME.fullmatch(file.name)) for file in paths)
    return [_Table(file, name[1], name[2]) for file, name in named if name and file.is_file()]


def _rows(table: _Table, notes: list[str]) -> Iterator[_Translated]:
    target, outside = iso639_3(table.target) or table.target, 0
    for place, row in read_tsv(table.path, notes):
        try:
            clip = common_voice.clip_name(row)
        except RowError as error:
            notes.append(f"left out {place}: {error}")
            continue
        if row.get("split", "train").strip() not in SPLITS:
            outside += 1
            continue
        sentence, speaker = row.get("sentence", "").strip(), row.get("client_id", "").strip()
        translation = row.get("translation", "").strip()
        yield _Translated(place, clip, target, translation, sentence or None, speaker or None)
    if outside:
        notes.append(f"left out {outside} rows of {shown(table.path)}: in no split of CoVoST-2")


def _joined(
    rows: list[_Translated], source: str, locale: common_voice.Locale, notes: list[str]
) -> list[Utterance]:
    there = {row.clip for row in rows if locale.clip(row.clip) is not None}
    known = locale.utterances(notes, only=there)
    found: dict[str, Utterance] = {}
    for row in rows:
        utterance = found.get(row.clip) or _new(row, source, locale, known)
        if utterance is None:
            continue
        translations = dict(utterance.translations)
        if row.translation:
            first = translations.setdefault(row.target, row.translation)
            if first != row.translation:
                notes.append(f"left out {row.place}: another translation of {shown(row.clip)}")
        found[row.clip] = replace(utterance, translations=translations)
    lost = list(dict.fromkeys(row.clip for row in rows if row.clip not in there))
    if lost:
        notes.append(
            f"left out {len(lost)} clips of {locale.name}: not there (first: {shown(lost[0])})"
        )
    return list(found.values())


def _new(
    row: _Translated, source: str, locale: common_voice.Locale, known: dict[str, Utterance]
) -> Utterance | None:
    """The clip as Common Voice knows it; what its tables lack is taken from CoVoST-2's."""
    audio = locale.clip(row.clip)
    if audio is None:
        return None
    utterance = known.get(row.clip) or Utterance(id=Path(row.clip).stem, audio=audio)
    return replace(
        utterance,
        language=utterance.language or iso639_3(source),
        speaker=utterance.speaker or row.speaker,
        text=utterance.text or row.sentence,
        corpus="covost2",
        licence="CC0 1.0",
    )


# --- where Common Voice lies --------------------------------------------------------------------


def _locale(
    tables: list[_Table], source: str, report: Reporter, notes: list[str]
) -> common_voice.Locale | None:
    paths = [table.path.absolute() for table in tables]
    around = list(dict.fromkeys(folder for path in paths for folder in path.parents[:2]))
    for folder in around:
        for place in _unpacked(folder, source):
            return common_voice.locale_in(place)
    for folder in around:
        for path in _packed(folder, source):
            return next(common_voice.locales(path, report, notes), None)
    notes.append(
        f"left out {', '.join(shown(path.name) for path in paths)}: no Common Voice beside it; put "
        f"{source}/clips with its tables, or the archive {source}.tar.gz, into {shown(around[0])}"
    )
    return None


def _unpacked(folder: Path, source: str) -> Iterator[Path]:
    places = [folder / source, *sorted(folder.glob(f"cv-corpus*/{source}"))]
    if iso639_3(folder.name) in {None, iso639_3(source)}:
        places.insert(0, folder)
    yield from (place for place in places if (place / "clips").is_dir())


def _packed(folder: Path, source: str) -> Iterator[Path]:
    name = re.compile(rf"(cv-corpus-.+-)?{re.escape(source)}")
    for path in sorted(folder.glob(f"*{source}.t*")):
        if archive.is_archive(path) and name.fullmatch(path.name.partition(".t")[0]):
            yield path
