"""Labels that tensors cannot know: shuffled so that each question's null hypothesis is true.

All labels are shuffled, those of training, development and test: with the training's alone the tensors still know the
truth of the test, and whitening alone tells speakers apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from esrt_privacy.corpora import Utterance
from esrt_privacy.corpora.split import speaker_key
from esrt_privacy.validity.held import Held

# By label, and what is shuffled for it, in words.
HOW: dict[str, str] = {
    "speaker": "speakers over the utterances of each sex: nobody's utterances are one person's",
    "sex": "sexes over the speakers: all of a speaker's utterances keep one",
    "language": "languages over the utterances of each speaker, or over speakers who have one each",
    "duration": "lengths over all utterances",
}


def shuffled(held: Held, label: str, rng: np.random.Generator) -> Held:
    """The same tensors under shuffled values of a label; see HOW."""
    utterances = held.corpus.utterances
    values = [getattr(u, label) for u in utterances]
    if label == "duration":
        return held.labelled(label, _within(values, [""] * len(values), rng))
    if label == "speaker":
        return held.labelled(label, _within(values, [u.sex or "" for u in utterances], rng))
    units = [speaker_key(u) for u in utterances]
    if _constant(values, units):
        return held.labelled(label, _over_units(values, units, rng))
    return held.labelled(label, _within(values, units, rng))


def planted_values(utterances: Sequence[Utterance], label: str) -> np.ndarray:
    """(utterances,) what a signal of a length or of a label with two values carries: mean 0, deviation 1."""
    values = [getattr(u, label) for u in utterances]
    if label == "duration":
        numbers = np.array(values, dtype=float)
    else:
        numbers = np.array([float(v == sorted(set(map(str, values)))[0]) for v in map(str, values)])
    return (numbers - numbers.mean()) / max(float(numbers.std()), 1e-9)


def _within(
    values: Sequence[object], groups: Sequence[str], rng: np.random.Generator
) -> list[object]:
    """Values dealt out anew within each group."""
    dealt = list(values)
    for group in sorted(set(groups)):
        places = [i for i, g in enumerate(groups) if g == group]
        for i, j in zip(places, rng.permutation(places), strict=True):
            dealt[i] = values[j]
    return dealt


def _over_units(
    values: Sequence[object], units: Sequence[str], rng: np.random.Generator
) -> list[object]:
    """Each unit gets the value of another."""
    own = dict(zip(units, values, strict=True))
    names = sorted(own)
    other = dict(zip(names, (own[n] for n in rng.permutation(names)), strict=True))
    return [other[unit] for unit in units]


def _constant(values: Sequence[object], units: Sequence[str]) -> bool:
    held: dict[str, set[object]] = defaultdict(set)
    for value, unit in zip(values, units, strict=True):
        held[unit].add(value)
    return all(len(found) == 1 for found in held.values())
