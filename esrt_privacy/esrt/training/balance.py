"""Balance over languages: how often each is drawn, and which recordings a limit of hours keeps."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from esrt_privacy.corpora import Utterance, audio_seconds


def shares(counts: Sequence[int], temperature: float) -> np.ndarray:
    """p ~ n^(1/T) over the units' numbers of rows n, float64 (units,), adding up to 1.

    T = 1 draws in proportion to the data, a high T every unit alike (Conneau and Lample 2019,
    arXiv:1901.07291, eq. 1, with alpha = 1/T).
    """
    weights = np.asarray(counts, dtype=np.float64) ** (1.0 / temperature)
    found: np.ndarray = weights / weights.sum()
    return found


def within_hours(
    utterances: Sequence[Utterance], hours: float, seed: int
) -> tuple[list[Utterance], float]:
    """Utterances of at most `hours` of audio, spread evenly over the languages, and their hours.

    The language with the least audio so far gives the next recording, in an order drawn from the seed;
    so what 1 hour holds is part of what 2 hours hold. Order and result depend on nothing but the
    arguments. Utterances keep their order.
    """
    waiting: dict[str, list[int]] = {}
    for number, utterance in enumerate(utterances):
        waiting.setdefault(utterance.language or "", []).append(number)
    for language, numbers in waiting.items():
        order = np.random.default_rng([seed, *language.encode()]).permutation(len(numbers))
        waiting[language] = [numbers[i] for i in order]
    queue = [(0.0, language) for language in sorted(waiting)]
    heapq.heapify(queue)
    limit, total, kept = hours * 3600, 0.0, []
    while queue:
        held, language = heapq.heappop(queue)
        number = waiting[language].pop()
        length = seconds(utterances[number])
        if total + length > limit:
            break
        total += length
        kept.append(number)
        if waiting[language]:
            heapq.heappush(queue, (held + length, language))
    return [utterances[number] for number in sorted(kept)], total / 3600


def seconds(utterance: Utterance) -> float:
    """The recording's length in seconds, from its header where the corpus does not give it."""
    if utterance.duration is not None:
        return utterance.duration
    whole = audio_seconds(utterance.audio)
    end = whole if utterance.end is None else min(utterance.end, whole)
    return max(end - utterance.start, 0.0)
