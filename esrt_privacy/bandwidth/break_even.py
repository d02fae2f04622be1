"""Bytes against duration: from which length of speech on is a tensor smaller than audio?

A tensor costs the same for any recording, since the encoder pads to 30 s; audio grows with its
length. Speech of a given length is the beginning of recordings of one corpus, joined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from esrt_privacy.bandwidth.codecs import AudioFormat, Wave, encode_all
from esrt_privacy.corpora.audio import SAMPLE_RATE, WINDOW_SECONDS
from esrt_privacy.progress import Reporter, silent

DURATIONS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0)  # s
STREAMS = 3  # joined recordings that sizes are averaged over
NEVER = f"never within {WINDOW_SECONDS:.0f} s"


def joined_speech(
    waves: Sequence[Wave], rng: np.random.Generator, streams: int = STREAMS
) -> list[Wave]:
    """`streams` waveforms of 30 s, each of recordings in an order of its own, again from the first
    where there are too few. Raises ValueError without any sample."""
    if not sum(wave.size for wave in waves):
        raise ValueError("no speech to join")
    length = round(WINDOW_SECONDS * SAMPLE_RATE)
    found = []
    for _ in range(streams):
        whole = np.concatenate([waves[i] for i in rng.permutation(len(waves))])
        found.append(np.resize(whole, length))  # repeats it where it is too short
    return found


def size_curves(
    streams: Sequence[Wave],
    formats: tuple[AudioFormat, ...],
    durations: Sequence[float] = DURATIONS,
    report: Reporter = silent,
) -> dict[str, tuple[float, ...]]:
    """Mean bytes over the streams of each format at each duration (s), really encoded."""
    found: dict[str, list[float]] = {each.name: [] for each in formats}
    for done, seconds in enumerate(durations, start=1):
        samples = round(seconds * SAMPLE_RATE)
        bodies = [encode_all(stream[:samples], formats) for stream in streams]
        for name, values in found.items():
            values.append(float(np.mean([len(each[name]) for each in bodies])))
        report("encoding by duration", done, len(durations))
    return {name: tuple(values) for name, values in found.items()}


def break_even_seconds(
    durations: Sequence[float], audio: Sequence[float], tensor: float
) -> float | None:
    """The duration (s) from which on `tensor` bytes are fewer than those of the audio.

    Between two durations the audio's bytes are taken to grow evenly. The first duration where the
    tensor is smaller already there; None where it is not smaller at the last. `durations` rise.
    Raises ValueError when the two differ in length.
    """
    if len(durations) != len(audio) or not durations:
        raise ValueError(f"{len(audio)} sizes for {len(durations)} durations")
    larger = [place for place, size in enumerate(audio) if size <= tensor]
    if not larger:
        return float(durations[0])
    last = larger[-1]
    if last == len(durations) - 1:
        return None
    step = (tensor - audio[last]) / (audio[last + 1] - audio[last])
    return float(durations[last] + step * (durations[last + 1] - durations[last]))


def break_even_words(seconds: float | None, first: float = DURATIONS[0]) -> str:
    """ "from 3.8 s", "from 1 s or less", "never within 30 s"."""
    if seconds is None:
        return NEVER
    return f"from {first:g} s or less" if seconds <= first else f"from {seconds:.1f} s"


def crossings(
    durations: Sequence[float],
    audio: Mapping[str, Sequence[float]],
    tensors: Mapping[str, float],
) -> dict[tuple[str, str], float | None]:
    """`break_even_seconds` of every audio format against every tensor format."""
    return {
        (name, tensor): break_even_seconds(durations, sizes, size)
        for name, sizes in audio.items()
        for tensor, size in tensors.items()
    }
