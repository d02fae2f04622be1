"""Which recordings are drawn, and how many bytes each format needs for them.

The seam to a real connection is `Carrier`: what takes a body across and says how many bytes that took.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from esrt_privacy.bandwidth.carried import Carried
from esrt_privacy.bandwidth.codecs import AudioFormat, encode_all
from esrt_privacy.corpora.audio import SAMPLE_RATE
from esrt_privacy.corpora.corpus import speakers_of
from esrt_privacy.errors import AudioError, CorpusError, shown
from esrt_privacy.measures.intervals import Estimate, speaker_bootstrap_ratio
from esrt_privacy.progress import Reporter, silent

if TYPE_CHECKING:
    from esrt_privacy.corpora import Corpus, Utterance


class Carrier(Protocol):
    """Takes a request's body to the other side: `connection.Connection` does."""

    def carry(self, each: AudioFormat, body: bytes) -> Carried:
        """Bytes that `body` took on its way up, and its answer on its way down."""
        ...


@dataclass(frozen=True)
class Draw:
    """Recordings drawn from a corpus: the distinct ones in the corpus's order, and how often each."""

    utterances: tuple[Utterance, ...]
    counts: tuple[int, ...]
    with_replacement: bool
    seed: int

    @property
    def samples(self) -> int:
        """Draws, each of which counts as a recording."""
        return sum(self.counts)

    def says(self, available: int) -> str:
        """How it was drawn, in a sentence."""
        if self.with_replacement:
            return (
                f"{self.samples} recordings asked for, {available} there: drawn with replacement by seed"
                f" {self.seed}, {len(self.utterances)} distinct ones, each draw counted as a recording"
            )
        return f"{self.samples} of {available} recordings, drawn without replacement by seed {self.seed}"


@dataclass(frozen=True)
class Sizes:
    """Bytes of each distinct recording in each audio format, and what could not be read."""

    draw: Draw  # without the recordings that could not be read
    seconds: tuple[float, ...]  # of each distinct recording
    by_format: Mapping[str, tuple[int, ...]]  # of bodies
    carried: Mapping[str, tuple[Carried, ...]]  # what they took on a connection; empty without one
    notes: tuple[str, ...]

    @property
    def spoken(self) -> float:
        """Seconds of all draws together."""
        return sum(s * count for s, count in zip(self.seconds, self.draw.counts, strict=True))

    def total(self, name: str) -> int:
        """Bytes of all draws together in the format of that name."""
        sizes = self.by_format[name]
        return sum(size * count for size, count in zip(sizes, self.draw.counts, strict=True))


def draw_recordings(corpus: Corpus, samples: int, seed: int) -> Draw:
    """`samples` recordings of `corpus`: without replacement where it has as many, else with."""
    rng = np.random.default_rng(seed)
    size = len(corpus)
    replaced = samples > size
    chosen = (
        rng.choice(size, samples, replace=True) if replaced else rng.permutation(size)[:samples]
    )
    counts = Counter(int(place) for place in chosen)
    places = sorted(counts)
    return Draw(
        tuple(corpus.utterances[place] for place in places),
        tuple(counts[place] for place in places),
        replaced,
        seed,
    )


def audio_sizes(
    draw: Draw,
    formats: tuple[AudioFormat, ...],
    carrier: Carrier | None = None,
    report: Reporter = silent,
) -> Sizes:
    """Encode each distinct recording once in each format, and have it carried where there is a connection.

    A recording that cannot be read is left out with all its draws and a note. Raises CorpusError
    where none is left.
    """
    kept: list[int] = []
    seconds: list[float] = []
    sizes: dict[str, list[int]] = {each.name: [] for each in formats}
    carried: dict[str, list[Carried]] = {each.name: [] for each in formats}
    notes: list[str] = []
    for place, utterance in enumerate(draw.utterances):
        try:
            wave = utterance.waveform()
        except AudioError as error:
            notes.append(f"left out, with {draw.counts[place]} draws: {shown(error, 400)}")
            continue
        bodies = encode_all(wave, formats)
        for each in formats:
            sizes[each.name].append(len(bodies[each.name]))
            if carrier is not None:
                carried[each.name].append(carrier.carry(each, bodies[each.name]))
        kept.append(place)
        seconds.append(wave.size / SAMPLE_RATE)
        report("encoding audio", place + 1, len(draw.utterances))
    if not kept:
        raise CorpusError(f"no recording that was drawn can be read; {notes[0]}")
    readable = Draw(
        tuple(draw.utterances[place] for place in kept),
        tuple(draw.counts[place] for place in kept),
        draw.with_replacement,
        draw.seed,
    )
    by_format = {name: tuple(values) for name, values in sizes.items()}
    crossed = {name: tuple(values) for name, values in carried.items() if carrier is not None}
    return Sizes(readable, tuple(seconds), by_format, crossed, tuple(notes))


def mean_bytes(
    sizes: Sequence[float], counts: Sequence[float], utterances: Sequence[Utterance], seed: int
) -> Estimate:
    """Bytes a recording over all draws, with a 95% interval over speakers.

    A recording of nobody known is a speaker of its own.
    """
    weights = np.asarray(counts, dtype=np.float64)
    return speaker_bootstrap_ratio(
        np.asarray(sizes, dtype=np.float64) * weights,
        weights,
        speakers_of(utterances),
        np.random.default_rng(seed),
        clip=(0, np.inf),
    )
