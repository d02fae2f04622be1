"""Longer recordings out of short ones: sentences of one voice in a row, with pauses.

What a model learns from sentences of three seconds does not carry over to ten.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from esrt_privacy.corpora import Corpus, Utterance
from esrt_privacy.corpora.audio import SAMPLE_RATE

LENGTHS = (5.0, 16.0)  # s; how long a joined recording is to be at least is drawn from here
LONGEST = 20.0  # s
MOST_CHARACTERS = 240  # of all its texts
PAUSES = (0.1, 0.7)  # s between two sentences


@dataclass(frozen=True)
class Row:
    """One joined recording: its parts in order and the pauses (s) between them."""

    parts: tuple[Utterance, ...]
    pauses: tuple[float, ...]


def plan(corpus: Corpus, seed: int) -> list[Row]:
    """Rows in which each utterance of the corpus occurs once; a last one may stay alone."""
    groups: dict[tuple[str, str], list[Utterance]] = defaultdict(list)
    for u in corpus:
        groups[u.speaker or "", u.language or ""].append(u)
    rows = []
    for number, key in enumerate(sorted(groups)):
        rng = np.random.default_rng([seed, number])
        left = [groups[key][i] for i in rng.permutation(len(groups[key]))]
        while left:
            wanted = rng.uniform(*LENGTHS)
            parts = [left.pop()]
            while left and _seconds(parts) < wanted and _fits([*parts, left[-1]]):
                parts.append(left.pop())
            pauses = tuple(float(p) for p in rng.uniform(*PAUSES, len(parts) - 1))
            rows.append(Row(tuple(parts), pauses))
    return rows


def join(corpus: Corpus, folder: Path, seed: int) -> Corpus:
    """The corpus of the plan's recordings, written to `folder` (those that are not there yet)."""
    folder.mkdir(parents=True, exist_ok=True)
    utterances = []
    for row in plan(corpus, seed):
        name = name_of(row)
        path = folder / f"{name}.flac"
        if not path.exists():
            partial = path.with_suffix(".part")
            soundfile.write(partial, _wave(row), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
            partial.replace(path)
        utterances.append(
            Utterance(
                name,
                path,
                speaker=row.parts[0].speaker,
                language=row.parts[0].language,
                sex=row.parts[0].sex,
                text=" ".join(u.text or "" for u in row.parts),
                duration=soundfile.info(path).duration,
                corpus="synth-joined",
                licence=row.parts[0].licence,
            )
        )
    return Corpus("synth-joined", tuple(utterances))


def name_of(row: Row) -> str:
    """Id of the row's recording."""
    return f"{row.parts[0].id}-joined{len(row.parts)}"


def _wave(row: Row) -> NDArray[np.float32]:
    pieces = [row.parts[0].waveform()]
    for pause, part in zip(row.pauses, row.parts[1:], strict=True):
        pieces += [np.zeros(int(pause * SAMPLE_RATE), np.float32), part.waveform()]
    return np.concatenate(pieces)


def _seconds(parts: list[Utterance]) -> float:
    return sum(u.duration or 0.0 for u in parts)


def _fits(parts: list[Utterance]) -> bool:
    short = _seconds(parts) + PAUSES[1] * (len(parts) - 1) <= LONGEST
    return short and sum(len(u.text or "") + 1 for u in parts) <= MOST_CHARACTERS
