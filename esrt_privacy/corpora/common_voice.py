"""Common Voice as it is handed out: ``en/clips/*.mp3`` beside train.tsv, dev.tsv and the others.

A release's folder, a language's folder, one table, or the archive as downloaded are read.

Ardila et al., "Common Voice: A massively-multilingual speech corpus", LREC 2020.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from esrt_privacy.corpora import archive
from esrt_privacy.corpora.audio import SUFFIXES
from esrt_privacy.corpora.iso639 import iso639_3
from esrt_privacy.corpora.tables import RowError, is_bare_name, read_tsv
from esrt_privacy.corpora.utterance import Found, Utterance, shown
from esrt_privacy.progress import Reporter, silent

# What validators refused (invalidated.tsv) or have not heard (other.tsv) is not read.
TABLES = ("train", "dev", "test", "validated")

_CLIPS = "clips"
_CLIP_NAME = re.compile(r"common_voice_([A-Za-z-]+)_\d+")
_SEXES = {
    "male": "M",
    "female": "F",
    "male_masculine": "M",
    "female_feminine": "F",
}


@dataclass(frozen=True)
class Locale:
    """One language of a release: its tables and the way from a clip's name to its recording."""

    name: str
    tables: tuple[Path, ...]
    clip: Callable[[str], Path | None]

    def utterances(
        self, notes: list[str], only: Collection[str] | None = None
    ) -> dict[str, Utterance]:
        """Each clip of the tables by its name, once; of ``only`` these names if given."""
        found: dict[str, Utterance] = {}
        lost: dict[str, None] = {}
        for table in self.tables:
            for place, row in read_tsv(table, notes):
                try:
                    name = clip_name(row)
                except RowError as error:
                    notes.append(f"left out {place}: {error}")
                    continue
                if name in found or (only is not None and name not in only):
                    continue
                audio = self.clip(name)
                if audio is None:
                    lost[name] = None
                else:
                    found[name] = self._utterance(name, audio, row)
        if lost:
            first = shown(next(iter(lost)))
            notes.append(f"left out {len(lost)} clips of {self.name}: not there (first: {first})")
        return found

    def _utterance(self, name: str, audio: Path, row: dict[str, str]) -> Utterance:
        named = _CLIP_NAME.match(name)
        tags = (row.get("locale", ""), named[1] if named else "", self.name)
        return Utterance(
            id=PurePosixPath(name).stem,
            audio=audio,
            speaker=row.get("client_id", "").strip() or None,
            language=next((code for tag in tags if (code := iso639_3(tag))), None),
            sex=_SEXES.get(row.get("gender", "").strip().lower()),
            age=row.get("age", "").strip().lower() or None,
            # since release 9 the column is called accents
            accent=(row.get("accents", "") or row.get("accent", "")).strip() or None,
            text=row.get("sentence", "").strip() or None,
            corpus="common_voice",
            licence="CC0 1.0",
        )


def recognises(path: Path) -> bool:
    """Whether ``path`` is a release, a language of one, a table beside its clips, or an archive."""
    path = path.absolute()
    if path.is_file():
        beside = path.suffix == archive.TABLE and (path.parent / _CLIPS).is_dir()
        return beside or archive.is_archive(path)
    return bool(_folders(path))


def load(path: Path, report: Reporter = silent) -> Found:
    """Read what ``recognises`` takes, in the order of TABLES; a clip's speaker is its client_id.

    An archive is unpacked into the cache first, once. The clips' sessions are unknown. Raises
    CorpusError when a table cannot be read or the cache cannot be written.
    """
    notes: list[str] = []
    utterances = [
        utterance
        for locale in locales(path, report, notes)
        for utterance in locale.utterances(notes).values()
    ]
    return Found(utterances, notes)


def locales(path: Path, report: Reporter, notes: list[str]) -> Iterator[Locale]:
    """The languages in a folder or an archive; a table by itself is a language of one table."""
    path = path.absolute()
    if path.is_dir():
        yield from (locale_in(folder) for folder in _folders(path))
    elif archive.is_archive(path):
        yield from _packed(path, report, notes)
    else:
        yield Locale(path.parent.name, (path,), _clip_in(path.parent))


def locale_in(folder: Path) -> Locale:
    """The language whose clips and tables lie in ``folder``."""
    return Locale(folder.name, _named(folder), _clip_in(folder))


def clip_name(row: dict[str, str]) -> str:
    """The name of a row's clip. Raises RowError where it has none, or one that is a path."""
    name = row.get("path", "").strip()
    if not name:
        raise RowError("no column path")
    if not is_bare_name(name):
        raise RowError(f"{shown(name)!r} is no name of a clip")
    # the first releases leave the suffix out
    return name if PurePosixPath(name).suffix.lower() in SUFFIXES else f"{name}.mp3"


def _folders(root: Path) -> list[Path]:
    """The languages' folders: ``root``, or those one or two levels below it."""
    clips = (path for depth in ("", "*/", "*/*/") for path in root.glob(f"{depth}{_CLIPS}"))
    return sorted({path.parent for path in clips if path.is_dir() and _named(path.parent)})


def _named(folder: Path) -> tuple[Path, ...]:
    paths = (folder / f"{name}{archive.TABLE}" for name in TABLES)
    return tuple(path for path in paths if path.is_file())


def _clip_in(folder: Path) -> Callable[[str], Path | None]:
    return lambda name: folder / _CLIPS / name


def _packed(path: Path, report: Reporter, notes: list[str]) -> Iterator[Locale]:
    unpacked = archive.unpack(path, report)
    notes += unpacked.notes
    members = {PurePosixPath(name): file for name, file in unpacked.files.items()}
    folders = sorted({name.parent for name in members if name.stem in TABLES})
    for folder in folders:
        tables = (members.get(folder / f"{name}{archive.TABLE}") for name in TABLES)
        clips = {name.name: file for name, file in members.items() if name.parent.parent == folder}
        # the first releases pack a language without a folder, as "sv-SE.tar.gz"
        named = folder.name or path.name.split(".")[0]
        yield Locale(named, tuple(file for file in tables if file is not None), clips.get)
    if not folders:
        notes.append(f"left out {shown(path)}: no train.tsv or other table of Common Voice in it")
