"""JSONL manifests: one JSON object a line, audio paths relative to the manifest's folder.

Two dialects, told apart row by row: this package's own (``audio, id, corpus, speaker, session,
language, sex, age, accent, emotion, text, duration, licence``) and the lists released with ESRT
(``id, audio, src, tgt, asr, s2tt``), where a recording comes back once for each target language.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from esrt_privacy.corpora.tables import RowError, read_lines
from esrt_privacy.corpora.utterance import Found, Utterance, shown

FILE_NAME = "manifest.jsonl"

_LABELS = (
    *("id", "corpus", "speaker", "session", "language", "sex", "age", "accent", "emotion"),
    *("text", "licence"),
)
_ESRT_LABELS = ("id", "src", "tgt", "asr", "s2tt", "speaker", "session", "sex", "corpus", "licence")
_ESRT_MARKS = frozenset({"src", "tgt", "asr", "s2tt"})


class _Line(NamedTuple):
    place: str  # "file, line 7"
    row: dict[str, Any]


def load(path: Path) -> Found:
    """Read a manifest. Rows that cannot be used are left out with a note naming file and line.

    A row whose id was seen before is left out, except in an ESRT list: there it adds a translation
    (same recording) or is kept under ``<id>@<file stem>`` (another recording of the same sentence).
    Raises CorpusError when the file itself cannot be read.
    """
    notes: list[str] = []
    found: dict[str, Utterance] = {}
    by_audio: dict[Path, str] = {}  # recordings of ESRT rows -> id
    for line in _rows(path, notes):
        try:
            if _ESRT_MARKS.isdisjoint(line.row):
                _add(found, _utterance(line.row, path.parent))
            else:
                _merge(found, by_audio, _esrt_utterance(line.row, path.parent))
        except RowError as error:
            notes.append(f"left out {line.place}: {error}")
    return Found(list(found.values()), notes)


def _rows(path: Path, notes: list[str]) -> Iterator[_Line]:
    for place, raw in read_lines(path, notes):
        try:
            row = json.loads(raw.decode("utf-8"))
        except (ValueError, RecursionError):
            notes.append(f"left out {place}: not valid JSON")
            continue
        if isinstance(row, dict):
            yield _Line(place, row)
        else:
            notes.append(f"left out {place}: not a JSON object")


def _utterance(row: dict[str, Any], folder: Path) -> Utterance:
    audio = _audio(row, folder)
    labels = {name: _label(row, name) for name in _LABELS}
    labels["id"] = labels["id"] or audio.stem
    return Utterance(
        audio=audio,
        translations=_translations(row),
        **labels,  # type: ignore[arg-type]
    )


def _esrt_utterance(row: dict[str, Any], folder: Path) -> Utterance:
    audio = _audio(row, folder)
    label = {name: _label(row, name) for name in _ESRT_LABELS}
    target, translation = label["tgt"], label["s2tt"]
    return Utterance(
        id=label["id"] or audio.stem,
        audio=audio,
        speaker=label["speaker"],
        session=label["session"],
        language=label["src"],
        sex=label["sex"],
        text=label["asr"],
        translations={target: translation} if target and translation else {},
        corpus=label["corpus"],
        licence=label["licence"],
    )


def _add(found: dict[str, Utterance], utterance: Utterance) -> None:
    if utterance.id in found:
        raise RowError(f"the id {shown(utterance.id)} is taken by an earlier row")
    found[utterance.id] = utterance


def _merge(found: dict[str, Utterance], by_audio: dict[Path, str], utterance: Utterance) -> None:
    known = by_audio.get(utterance.audio)
    if known is None:
        # FLEURS numbers sentences, so that several recordings share one id
        if utterance.id in found:
            utterance = replace(utterance, id=f"{utterance.id}@{utterance.audio.stem}")
        _add(found, utterance)
        by_audio[utterance.audio] = utterance.id
        return
    first = found[known]
    if (utterance.language, utterance.text) != (first.language, first.text):
        raise RowError(f"src or asr differ from an earlier row of {shown(utterance.audio.name)}")
    if not utterance.translations or utterance.translations.keys() & first.translations.keys():
        raise RowError(f"no new tgt for {shown(utterance.audio.name)}, seen in an earlier row")
    merged = {**first.translations, **utterance.translations}
    found[known] = replace(first, translations=merged)


def _audio(row: dict[str, Any], folder: Path) -> Path:
    value = row.get("audio")
    if value is None or value == "":
        raise RowError("no column audio")
    if not isinstance(value, str):
        raise RowError("the column audio is not text")
    return folder / value


def _label(row: dict[str, Any], name: str) -> str | None:
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # ids and speakers are often numbers
    if value is not None and not isinstance(value, str):
        raise RowError(f"the column {name} is not text")
    return value.strip() or None if value is not None else None


def _translations(row: dict[str, Any]) -> dict[str, str]:
    value = row.get("translations")
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise RowError("the column translations is not an object of texts")
    return dict(value)
