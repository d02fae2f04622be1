"""Fewer utterances of many, drawn by a seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from esrt_privacy.corpora.utterance import Utterance


def drawn_evenly(
    utterances: Iterable[Utterance],
    most: int,
    seed: int,
    group: Callable[[Utterance], object],
    last: Callable[[Utterance], bool] = lambda u: False,
) -> frozenset[str]:
    """Ids of at most `most` utterances, as evenly over the groups as they allow; those of `last` come last.

    Drawn from the seed and the ids, so that the order of files does not matter.
    """
    rng = np.random.default_rng(seed)
    held = list(utterances)
    draw = {key: rng.random() for key in sorted(u.id for u in held)}
    taken: Counter[object] = Counter()
    ranked = []
    for u in sorted(held, key=lambda u: (last(u), draw[u.id])):
        taken[group(u)] += 1
        ranked.append((last(u), taken[group(u)], draw[u.id], u.id))
    return frozenset(row[-1] for row in sorted(ranked)[:most])
