"""A folder of audio without a manifest: the first level of sub-folders names the speakers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from esrt_privacy.corpora.audio import SUFFIXES
from esrt_privacy.corpora.utterance import Found, Utterance, shown


def load(root: Path) -> Found:
    """Every recording below ``root``, sorted by path; hidden files are passed by.

    An id is the path below ``root`` without its suffix (with it, where two files differ in nothing
    else). Files that lie in ``root`` itself have no known speaker.
    """
    notes: list[str] = []
    paths = sorted(_audio_files(root, notes))
    relative = [path.relative_to(root) for path in paths]
    stems = Counter(path.with_suffix("").as_posix() for path in relative)
    corpus = root.resolve().name
    utterances = []
    for path, below in zip(paths, relative, strict=True):
        stem = below.with_suffix("").as_posix()
        utterances.append(
            Utterance(
                id=stem if stems[stem] == 1 else below.as_posix(),
                audio=path,
                speaker=below.parts[0] if len(below.parts) > 1 else None,
                corpus=corpus,
            )
        )
    return Found(utterances, notes)


def one(path: Path) -> Found:
    """A single recording, of which nothing is known; its id is the file's name without its suffix."""
    return Found([Utterance(id=path.stem, audio=path)], [])


def _audio_files(root: Path, notes: list[str]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        notes.append(f"left out {shown(error.filename)}: cannot be opened ({error.strerror})")

    seen: set[str] = set()
    for parent, folders, files in os.walk(root, onerror=unreadable, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link that leads back up, or to a folder met before
            folders.clear()
            continue
        seen.add(real)
        for name in folders:
            if Path(name).suffix.lower() in SUFFIXES:
                notes.append(f"{shown(Path(parent, name))}: a folder, not a recording")
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(parent, name)
