"""The ROC of weighted scores: masses in ascending order of score, its points, its convex hull.

A "mass" is the weight of the target (or non-target) trials that share one score, or one bin of
scores. Every figure of merit that only looks at thresholds is a function of these two arrays, so
it costs one pass whatever the weights are, and a bootstrap sorts its scores only once.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

Floats = NDArray[np.float64]

_ON_THE_CHORD = 1e-15  # as near as rounding


class Masses(NamedTuple):
    """Weight of both kinds of trials at each distinct score, in ascending order of score."""

    scores: Floats  # (distinct scores,)
    targets: Floats
    nontargets: Floats


class Hull(NamedTuple):
    """The edges of the ROC's convex hull, from "accept all" to "reject all".

    Each edge is a range of scores that no threshold need divide; `targets` and `nontargets` are
    shares of their kind that lie in it, so each array sums to 1.
    """

    targets: Floats  # (edges,)
    nontargets: Floats


def masses(
    target: ArrayLike,
    nontarget: ArrayLike,
    target_weights: ArrayLike | None = None,
    nontarget_weights: ArrayLike | None = None,
) -> Masses:
    """Scores of same- and different-speaker trials, sorted, with their weights added up.

    Args:
        target, nontarget: (trials,); higher means more alike. Scores that are nan are left out
            with their weights; the caller counts them.
        target_weights, nontarget_weights: (trials,), not negative. None: all 1.

    Raises ValueError when scores and weights differ in length or a weight is negative.
    """
    target_scores, target_mass = scores_and_weights(target, target_weights)
    nontarget_scores, nontarget_mass = scores_and_weights(nontarget, nontarget_weights)
    scores = np.concatenate([target_scores, nontarget_scores])
    order = np.argsort(scores, kind="stable")
    scores = scores[order]
    starts = run_starts(scores)
    if not len(starts):
        return Masses(scores, scores, scores)
    mass = np.concatenate([target_mass, nontarget_mass])[order]
    of_target = order < len(target_scores)
    return Masses(
        scores[starts],
        np.add.reduceat(np.where(of_target, mass, 0.0), starts),
        np.add.reduceat(np.where(of_target, 0.0, mass), starts),
    )


def scores_and_weights(scores: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats]:
    """(trials,) scores and weights without those whose score is nan; raises as `masses`."""
    values = np.asarray(scores, dtype=np.float64).ravel()
    given = np.ones_like(values) if weights is None else weights
    mass = np.asarray(given, dtype=np.float64).ravel()
    if len(mass) != len(values):
        raise ValueError(f"{len(values)} scores but {len(mass)} weights")
    if (mass < 0).any():
        raise ValueError("a weight is negative")
    kept = ~np.isnan(values)
    return values[kept], mass[kept]


def run_starts(ascending: Floats) -> NDArray[np.intp]:
    """Where each run of equal scores begins."""
    return np.flatnonzero(np.r_[True, ascending[1:] != ascending[:-1]][: len(ascending)])


def error_rates(targets: Floats, nontargets: Floats) -> tuple[Floats, Floats]:
    """Miss and false-alarm rates, (scores + 1,), at the thresholds below, between and above scores.

    Equal scores cannot be told apart by any threshold, so they move as one.
    """
    missed, rejected = np.cumsum(targets), np.cumsum(nontargets)
    return np.r_[0.0, missed / missed[-1]], np.r_[1.0, 1.0 - rejected / rejected[-1]]


def hull(targets: Floats, nontargets: Floats) -> Hull | None:
    """Convex hull of the ROC; None when either kind has no mass at all.

    The blocks of the isotonic fit of "is target" on score (pool adjacent violators) are its edges.

    Source: Fawcett & Niculescu-Mizil, "PAV and the ROC convex hull", Machine Learning 68 (2007),
    doi:10.1007/s10994-007-5011-0.
    """
    mass = targets + nontargets
    present = mass > 0
    if not present.all():
        targets, nontargets, mass = targets[present], nontargets[present], mass[present]
    all_targets, all_nontargets = targets.sum(), nontargets.sum()
    if not (all_targets > 0 and all_nontargets > 0):
        return None
    blocks = isotonic_regression(targets / mass, weights=mass).blocks[:-1].astype(np.intp)
    return Hull(
        np.add.reduceat(targets, blocks) / all_targets,
        np.add.reduceat(nontargets, blocks) / all_nontargets,
    )


def hull_eer(targets: Floats, nontargets: Floats) -> float:
    """Equal error rate of masses in ascending order of score; see `verification.eer`.

    Only the hull's edge that crosses the diagonal is looked for: from a chord across it, the point farthest below the
    chord takes the place of the end on its side, until there is none (Eddy, "A New Convex Hull Algorithm for Planar
    Sets", ACM TOMS 3 (1977), for one edge). That is a few passes over fewer and fewer points.
    """
    if not len(targets):
        return float("nan")
    missed, rejected = targets.cumsum(), nontargets.cumsum()
    if not (missed[-1] > 0 and rejected[-1] > 0):
        return float("nan")
    miss, false_alarm = missed / missed[-1], 1.0 - rejected / rejected[-1]
    first, last = (
        -1,
        len(miss) - 1,
    )  # the chord's ends; before the first score everything is accepted
    (left_miss, left_alarm), (right_miss, right_alarm) = (0.0, 1.0), (1.0, 0.0)
    while last - first > 1:
        rise, fall = right_miss - left_miss, left_alarm - right_alarm
        between = slice(first + 1, last)
        heights = fall * miss[between]
        heights += rise * false_alarm[between]
        lowest = int(heights.argmin())
        if heights[lowest] >= fall * left_miss + rise * left_alarm - _ON_THE_CHORD:
            break
        lowest += first + 1
        point = float(miss[lowest]), float(false_alarm[lowest])
        if point[0] == point[1]:
            return point[0]
        if point[0] < point[1]:
            first, (left_miss, left_alarm) = lowest, point
        else:
            last, (right_miss, right_alarm) = lowest, point
    before, after = left_miss - left_alarm, right_miss - right_alarm
    return left_miss - before / (after - before) * (right_miss - left_miss)


def binning_bound(targets: Floats, nontargets: Floats) -> float:
    """How much the EER of these masses can exceed that of the finer scores they were added up from.

    max over bins of a·b / (a + b), a and b the bin's shares of targets and non-targets: the EER is
    max over priors p of min over thresholds of p · miss + (1 - p) · false alarm, and a threshold
    inside the bin costs at least that of one of its edges less min(p · a, (1 - p) · b). It is never
    less, since a bin's edges are among the thresholds of the finer scores.
    """
    a, b = targets / targets.sum(), nontargets / nontargets.sum()
    both = (a > 0) & (b > 0)
    return float((a[both] * b[both] / (a[both] + b[both])).max(initial=0.0))
