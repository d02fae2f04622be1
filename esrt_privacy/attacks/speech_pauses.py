"""Where an utterance has speech and where pauses, 20 ms by 20 ms, from the energy of its true audio."""

from __future__ import annotations

import itertools

import numpy as np

from esrt_privacy.corpora.audio import SAMPLE_RATE, WINDOW_SECONDS
from esrt_privacy.measures.speech_mask import FRAME_SECONDS

FRAMES = round(WINDOW_SECONDS / FRAME_SECONDS)  # of the 30 s window
FRAME_SAMPLES = round(FRAME_SECONDS * SAMPLE_RATE)
RANGE_DB = (15.0, 35.0)  # least and most that the threshold lies below loud speech
SHARE = 0.4  # of the way from the noise to loud speech, in dB
SHORTEST = 3  # frames: shorter bursts and gaps (closures of stops) are bridged over
_SILENCE_DB = -100.0


def speech_pauses(wave: np.ndarray) -> np.ndarray:
    """True where there is speech, (frames,) for the samples (samples,) at 16 kHz; at most 1,500 frames.

    A frame is speech where its level exceeds a threshold between the utterance's noise (5% quantile of its frames) and
    its loud speech (95%): 40% of the way up in dB, at least 15 and at most 35 dB below loud speech. Then pauses and
    bursts shorter than 60 ms are bridged. Digital silence is a pause throughout.
    """
    count = min(FRAMES, -(-len(wave) // FRAME_SAMPLES))
    padded = np.zeros(count * FRAME_SAMPLES)
    kept = np.asarray(wave, dtype=np.float64)[: count * FRAME_SAMPLES]
    padded[: len(kept)] = kept
    power = (padded.reshape(count, FRAME_SAMPLES) ** 2).mean(axis=1)
    level = 10 * np.log10(np.maximum(power, 10 ** (_SILENCE_DB / 10)))
    if not count or level.max() <= _SILENCE_DB:
        return np.zeros(count, dtype=bool)
    noise, loud = np.quantile(level, [0.05, 0.95])
    least, most = RANGE_DB
    threshold = np.clip(noise + SHARE * (loud - noise), loud - most, loud - least)
    return _bridged(_bridged(level > threshold, False), True)


def _bridged(mask: np.ndarray, value: bool) -> np.ndarray:
    """Runs of `value` shorter than SHORTEST between two of the other are turned; those at the ends stay."""
    out = mask.copy()
    edges = np.flatnonzero(np.diff(mask)) + 1
    for first, last in itertools.pairwise(edges):
        if mask[first] == value and last - first < SHORTEST:
            out[first:last] = not value
    return out
