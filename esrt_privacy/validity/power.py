"""Power: how small a leak the attacks still find. A known signal is planted in real tensors, weaker and weaker.

The label is shuffled first, so that the planted signal is all that the tensors know of it. It lies in random
directions in which the tensors vary by nature, and its strength is its deviation there, theirs being 1. So the bits
that it carries are known: those of a Gaussian channel, whatever the attack gets out of it.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from esrt_privacy.corpora import Utterance
from esrt_privacy.measures.information import discrete_channel_bits, gaussian_channel_bits
from esrt_privacy.validity.held import Held
from esrt_privacy.validity.shuffling import planted_values, shuffled

VOICE_DIRECTIONS = 8  # in which a planted voice lies


def planted_leak(held: Held, label: str, strength: float, rng: np.random.Generator) -> Held:
    """`held` under shuffled values of `label`, and tensors that carry these values with a deviation of `strength`.

    A length and a label of two values move along one direction, a voice is a normal number in each of VOICE_DIRECTIONS.
    AttackError where the tensors vary in too few directions.
    """
    null = shuffled(held, label, rng)
    signals = _signals(null, label, rng)
    return null.planted(lambda u: strength * signals[u.id])


def planted_bits(held: Held, label: str, strength: float) -> float:
    """Bits of one tensor about the planted value, of a voice at most those that tell the speakers apart."""
    if label == "speaker":
        speakers = max(1, len(held.corpus.speakers))
        voice = gaussian_channel_bits(strength, VOICE_DIRECTIONS)
        return float(min(voice, np.log2(speakers)))
    if label == "duration":
        return gaussian_channel_bits(strength)
    values, counts = np.unique(planted_values(held.corpus.utterances, label), return_counts=True)
    return discrete_channel_bits(strength * values, counts / counts.sum())


def _signals(held: Held, label: str, rng: np.random.Generator) -> dict[str, Tensor]:
    """(vectors, width) by utterance id, of deviation 1."""
    utterances = held.corpus.utterances
    if label == "speaker":
        axes = held.directions(rng, VOICE_DIRECTIONS)
        voices = {name: rng.normal(size=len(axes)) for name in sorted(held.corpus.speakers)}

        def of(u: Utterance) -> Tensor:
            # Summed by hand: a tensor product would hold every direction once an utterance.
            total = axes[0] * float(voices[str(u.speaker)][0])
            for axis, amount in zip(axes[1:], voices[str(u.speaker)][1:], strict=True):
                total = total + axis * float(amount)
            return total

        by_speaker = {u.speaker: of(u) for u in utterances}
        return {u.id: by_speaker[u.speaker] for u in utterances}
    (axis,) = held.directions(rng, 1)
    values = planted_values(utterances, label)
    return {u.id: axis * float(value) for u, value in zip(utterances, values, strict=True)}
