"""Closed-set identification: whose of the enrolled voices is it?"""

import numpy as np
from numpy.typing import ArrayLike

from esrt_privacy.measures.roc import Floats


def top_k_hits(scores: ArrayLike, truth: ArrayLike, k: int = 1) -> Floats:
    """Chance, (tests,), that the true speaker is among the k highest scores, ties broken by lot.

    A score that all the enrolled share gives k / enrolled, as guessing does: ties broken by order
    would make a constant score look like perfect knowledge or like none.

    Args:
        scores: (tests, enrolled); higher means more alike. A nan elsewhere never wins; a nan at
            the true speaker makes that test nan.
        truth: (tests,) column of the true speaker.

    Means over tests with their interval: `intervals.speaker_bootstrap_ratio(hits, ones, speakers)`.

    Raises ValueError when the shapes do not fit, a column does not exist or k is less than 1.
    """
    table = np.asarray(scores, dtype=np.float64)
    columns = np.asarray(truth, dtype=np.intp)
    if table.ndim != 2 or columns.shape != table.shape[:1]:
        raise ValueError(f"scores of shape {table.shape} for {columns.size} true speakers")
    if columns.size and not (columns.min() >= 0 and columns.max() < table.shape[1]):
        raise ValueError("a true speaker is not enrolled")
    if k < 1:
        raise ValueError(f"the first {k} of the enrolled")
    own = np.take_along_axis(table, columns[:, None], axis=1)
    above = (table > own).sum(axis=1)
    tied = (table == own).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        hits = np.clip((k - above) / tied, 0.0, 1.0)
    hits[np.isnan(own[:, 0])] = np.nan
    return hits


def top_k_accuracy(
    scores: ArrayLike, truth: ArrayLike, k: int = 1, weights: ArrayLike | None = None
) -> float:
    """Weighted mean of `top_k_hits`; tests without a value are left out, nan when none is left.

    Chance is k / enrolled. Raises as `top_k_hits`, and ValueError when weights differ in length.
    """
    hits = top_k_hits(scores, truth, k)
    mass = np.ones_like(hits) if weights is None else np.asarray(weights, dtype=np.float64)
    if mass.shape != hits.shape:
        raise ValueError(f"{len(hits)} tests but {mass.size} weights")
    kept = ~np.isnan(hits)
    total = mass[kept].sum()
    return float((hits[kept] * mass[kept]).sum() / total) if total > 0 else float("nan")
