"""How well a score tells two kinds of utterances apart (known from unknown languages, for example)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esrt_privacy.measures.replicates import Replicates, drawn_counts

Floats = NDArray[np.float64]


def auroc(scores: ArrayLike, is_positive: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Area under the ROC: the chance that a positive utterance scores above a negative one, ties counting half.

    Args:
        scores, is_positive: (utterances,); is_positive holds booleans. Scores that are nan are left out.
        weights: (utterances,), not negative. None: all 1.

    Returns nan without a positive or a negative. Raises ValueError when lengths differ or a weight is negative.

    Source: Hanley & McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve",
    Radiology 143 (1982), doi:10.1148/radiology.143.1.7063747.
    """
    values, positive = _checked(scores, is_positive)
    mass = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    if len(mass) != len(values):
        raise ValueError(f"{len(values)} scores but {len(mass)} weights")
    if (mass < 0).any():
        raise ValueError("a weight is negative")
    kept = ~np.isnan(values)
    return float(_areas(values[kept], positive[kept], mass[kept][None])[0])


def auroc_replicates(
    scores: ArrayLike,
    is_positive: ArrayLike,
    clusters: ArrayLike,
    rng: np.random.Generator,
    draws: int = 1000,
    beside: ArrayLike | None = None,
) -> Replicates:
    """`auroc` over speakers, for intervals of any level; with `beside`, minus that of other scores.

    Args:
        clusters: (utterances,) speakers. An utterance without a score on either side is left out on both.

    A draw takes whole speakers with replacement. Raises ValueError when lengths differ.
    """
    columns = [scores] if beside is None else [scores, beside]
    both = [_checked(column, is_positive) for column in columns]
    labels = np.asarray(clusters)
    if len(labels) != len(both[0][0]):
        raise ValueError(f"{len(labels)} speaker labels for {len(both[0][0])} utterances")
    kept = ~np.any([np.isnan(values) for values, _ in both], axis=0)
    speakers, member = np.unique(labels[kept], return_inverse=True)
    count = len(speakers)

    def figure(counts: Floats) -> Floats:
        areas = [_areas(values[kept], truth[kept], counts[:, member]) for values, truth in both]
        return areas[0] if beside is None else areas[0] - areas[1]

    left_out = int((~kept).sum())
    drawn = drawn_counts(count, draws, rng) if count else np.empty((0, 0))
    return Replicates(
        value=float(figure(np.ones((1, count)))[0]),
        jackknife=figure(1 - np.eye(count)),
        resampled=figure(drawn),
        speakers=count,
        clip=(0.0, 1.0) if beside is None else (-1.0, 1.0),
        note=f"; {left_out} without a score left out" if left_out else "",
    )


def _areas(values: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """(rows,) areas for weights (rows, utterances)."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)])
    if not len(starts):
        return np.full(len(weights), np.nan)
    held = weights[:, order]
    # Equal scores are one step of the ROC, of which half lies on either side.
    targets = np.add.reduceat(np.where(positive[order], held, 0.0), starts, axis=1)
    others = np.add.reduceat(np.where(positive[order], 0.0, held), starts, axis=1)
    below = np.cumsum(others, axis=1) - 0.5 * others
    with np.errstate(invalid="ignore", divide="ignore"):
        return (targets * below).sum(axis=1) / (targets.sum(axis=1) * others.sum(axis=1))


def _checked(scores: ArrayLike, is_positive: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    values = np.asarray(scores, dtype=np.float64).ravel()
    positive = np.asarray(is_positive, dtype=bool).ravel()
    if len(values) != len(positive):
        raise ValueError(f"{len(values)} scores but {len(positive)} labels")
    return values, positive
