"""Speaker verification: how well scores tell same-speaker trials from different-speaker trials.

Intervals over speakers of these figures: `trial_bootstrap`. What the scores disclose in bits, and
how far they link: `linkability`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri, xlogy

from esrt_privacy.measures.roc import (
    Floats,
    error_rates,
    hull,
    hull_eer,
    masses,
    scores_and_weights,
)
from esrt_privacy.measures.trial_bootstrap import (
    eer_difference_speaker_bootstrap,
    eer_speaker_bootstrap,
)

__all__ = [
    "DetCurve",
    "Rate",
    "cllr",
    "det_curve",
    "eer",
    "eer_difference_speaker_bootstrap",
    "eer_speaker_bootstrap",
    "hull_det_curve",
    "hull_min_cllr",
    "mass_tpr",
    "min_cllr",
    "tpr_at_fpr",
]

# A false-alarm rate f needs 10/f non-target trials: with fewer, under ten of them decide it.
NONTARGETS_AT_A_RATE = 10
ON_AN_EDGE = 60  # points of a DET curve along an edge of the hull, before it is thinned


class Rate(NamedTuple):
    """A share, or nan and the reason why it cannot be told."""

    value: float
    reason: str = ""


class DetCurve(NamedTuple):
    """Points of a detection error trade-off curve, in ascending order of threshold."""

    thresholds: Floats  # (points,) a trial is accepted whose score is at least this; nan: by lot
    false_alarm: Floats  # (points,) shares in (0, 1)
    miss: Floats
    false_alarm_probit: Floats  # the same on the curve's axes
    miss_probit: Floats


def eer(
    target: ArrayLike,
    nontarget: ArrayLike,
    target_weights: ArrayLike | None = None,
    nontarget_weights: ArrayLike | None = None,
) -> float:
    """Equal error rate: where miss rate = false-alarm rate on the convex hull of the ROC.

    Args:
        target, nontarget: (trials,) scores of same- and different-speaker trials; higher means
            more alike. Scores that are nan are left out with their weights; the caller counts them.
        target_weights, nontarget_weights: (trials,), not negative; a weight of 2 is that trial
            twice, 0 leaves it out. None: all 1.

    Returns a share in [0, 0.5], or nan when either side has no weight. The hull contains "accept
    all" and "reject all", hence the cap: scores that rank the wrong way round give 0.5, not more.
    The hull also fits the trials at hand, so a few dozen of them give somewhat less than 0.5 even
    where scores know nothing; `trial_bootstrap.eer_speaker_bootstrap` corrects its interval for it.

    Raises ValueError when scores and weights differ in length or a weight is negative.

    Source: Bruemmer & de Villiers, "The BOSARIS Toolkit" (2011), arXiv:1304.2865 (ROCCH-EER).
    """
    found = masses(target, nontarget, target_weights, nontarget_weights)
    return hull_eer(found.targets, found.nontargets)


def cllr(
    target: ArrayLike,
    nontarget: ArrayLike,
    target_weights: ArrayLike | None = None,
    nontarget_weights: ArrayLike | None = None,
) -> float:
    """Cost of log-likelihood ratios, in bits: 1 is what an attacker pays who says 0 to all trials.

    (mean of log2(1 + exp(-s)) over targets + mean of log2(1 + exp(s)) over non-targets) / 2, the
    scores s being natural-log likelihood ratios. Arguments and errors as `eer`; may exceed 1, and
    is infinite when a ratio is infinitely wrong.

    Source: Bruemmer & du Preez, "Application-independent evaluation of speaker detection",
    Computer Speech & Language 20 (2006), doi:10.1016/j.csl.2005.08.001.
    """
    target_scores, target_mass = scores_and_weights(target, target_weights)
    nontarget_scores, nontarget_mass = scores_and_weights(nontarget, nontarget_weights)
    if not (target_mass.sum() > 0 and nontarget_mass.sum() > 0):
        return float("nan")
    held_t, held_n = target_mass > 0, nontarget_mass > 0
    missed = np.average(np.logaddexp(0, -target_scores[held_t]), weights=target_mass[held_t])
    alarmed = np.average(np.logaddexp(0, nontarget_scores[held_n]), weights=nontarget_mass[held_n])
    return float((missed + alarmed) / (2 * np.log(2)))


def min_cllr(
    target: ArrayLike,
    nontarget: ArrayLike,
    target_weights: ArrayLike | None = None,
    nontarget_weights: ArrayLike | None = None,
) -> float:
    """Cllr after the best monotone calibration of the scores (pool adjacent violators), in [0, 1].

    1 - minCllr is what the order of the scores tells, whatever their scale. Like `eer` it fits the
    trials at hand, so few of them give less than 1 where scores know nothing. Arguments and errors
    as `eer`; nan when either side has no weight.

    Source: Bruemmer & du Preez (2006), doi:10.1016/j.csl.2005.08.001.
    """
    found = masses(target, nontarget, target_weights, nontarget_weights)
    return hull_min_cllr(found.targets, found.nontargets)


def hull_min_cllr(targets: Floats, nontargets: Floats) -> float:
    """minCllr of masses in ascending order of score.

    The calibrated ratio of a hull edge is a / b, its shares of targets and non-targets, so that
    the cost is the sum over edges of ((a + b)·log2(a + b) - a·log2 a - b·log2 b) / 2.
    """
    edges = hull(targets, nontargets)
    if edges is None:
        return float("nan")
    a, b = edges
    bits = (xlogy(a + b, a + b) - xlogy(a, a) - xlogy(b, b)).sum() / np.log(2)
    return float(np.clip(bits / 2, 0.0, 1.0))


def tpr_at_fpr(
    target: ArrayLike,
    nontarget: ArrayLike,
    rate: float,
    target_weights: ArrayLike | None = None,
    nontarget_weights: ArrayLike | None = None,
) -> Rate:
    """Share of targets accepted where at most `rate` of the non-targets are (0.01, 0.001 ...).

    What an attacker gets who may not cry wolf; an average such as the EER hides it. The threshold
    is one of the scores: nothing is interpolated, so the share is reached, not promised. With a
    weight of less than 10 / rate non-targets the value is nan and `reason` says so. Arguments and
    errors as `eer`, and ValueError when rate is not in (0, 1).

    Source: Carlini et al., "Membership Inference Attacks From First Principles", IEEE S&P 2022,
    doi:10.1109/SP46214.2022.9833649.
    """
    if not 0 < rate < 1:
        raise ValueError(f"{rate} is no false-alarm rate in (0, 1)")
    found = masses(target, nontarget, target_weights, nontarget_weights)
    return mass_tpr(found.targets, found.nontargets, rate)


def mass_tpr(targets: Floats, nontargets: Floats, rate: float) -> Rate:
    """`tpr_at_fpr` of masses in ascending order of score."""
    if not targets.sum() > 0:
        return Rate(float("nan"), "no target trial")
    held = nontargets.sum()
    needed = NONTARGETS_AT_A_RATE / rate
    # 10 / 0.001 is a hair above 10000 in floating point.
    if held < needed * (1 - 1e-9):
        return Rate(float("nan"), f"{held:g} non-target trials, {needed:g} are needed")
    miss, false_alarm = error_rates(targets, nontargets)
    allowed = np.flatnonzero(false_alarm <= rate * (1 + 1e-9))
    return Rate(float(1 - miss[allowed[0]]))


def det_curve(
    target: ArrayLike,
    nontarget: ArrayLike,
    target_weights: ArrayLike | None = None,
    nontarget_weights: ArrayLike | None = None,
    points: int = 500,
) -> DetCurve:
    """Miss against false-alarm rate on probit axes, at most `points` of them.

    Points where either rate is 0 or 1 lie infinitely far out on these axes and are left out, so
    that a perfect attack has no point at all. Of more than `points`, those nearest to equal steps
    along the curve stay, its ends among them. Arguments and errors as `eer`, and ValueError when
    points is less than 2.

    Source: Martin et al., "The DET curve in assessment of detection task performance",
    Eurospeech 1997, doi:10.21437/Eurospeech.1997-504.
    """
    if points < 2:
        raise ValueError(f"a curve of {points} points")
    found = masses(target, nontarget, target_weights, nontarget_weights)
    if not (found.targets.sum() > 0 and found.nontargets.sum() > 0):
        nothing = np.empty(0)
        return DetCurve(nothing, nothing, nothing, nothing, nothing)
    miss, false_alarm = error_rates(found.targets, found.nontargets)
    inside = (miss > 0) & (miss < 1) & (false_alarm > 0) & (false_alarm < 1)
    # miss[k] is the rate when scores[k] is the lowest that is accepted; the last accepts nothing.
    thresholds = np.r_[found.scores, np.inf][inside]
    miss, false_alarm = miss[inside], false_alarm[inside]
    return _thinned(thresholds, false_alarm, miss, points)


def hull_det_curve(target: ArrayLike, nontarget: ArrayLike, points: int = 500) -> DetCurve:
    """`det_curve` along the ROC's convex hull, on which `eer` lies: the best that thresholds and lots reach.

    Between two corners of the hull either threshold is taken by lot, so there is no threshold there (nan). Arguments
    and errors as `det_curve`.

    Source: Bruemmer & de Villiers, "The BOSARIS Toolkit" (2011), arXiv:1304.2865 (ROCCH-DET).
    """
    if points < 2:
        raise ValueError(f"a curve of {points} points")
    found = masses(target, nontarget)
    edges = hull(found.targets, found.nontargets)
    nothing = np.empty(0)
    if edges is None:
        return DetCurve(nothing, nothing, nothing, nothing, nothing)
    corner_miss = np.r_[0.0, edges.targets.cumsum()]
    corner_alarm = np.r_[1.0, 1.0 - edges.nontargets.cumsum()]
    # A straight edge bends on probit axes, and most where a rate nears 0 or 1.
    share = np.r_[0.0, ndtr(np.linspace(-4, 4, ON_AN_EDGE))]
    miss = (corner_miss[:-1, None] + share * edges.targets[:, None]).ravel()
    false_alarm = (corner_alarm[:-1, None] - share * edges.nontargets[:, None]).ravel()
    inside = (miss > 0) & (miss < 1) & (false_alarm > 0) & (false_alarm < 1)
    miss, false_alarm = miss[inside], false_alarm[inside]
    return _thinned(np.full(len(miss), np.nan), false_alarm, miss, points)


def _thinned(thresholds: Floats, false_alarm: Floats, miss: Floats, points: int) -> DetCurve:
    """The points nearest to equal steps along the curve, at most `points`, its ends among them."""
    x, y = ndtri(false_alarm), ndtri(miss)
    along = y - x  # rises with the threshold
    if len(along) > points:
        steps = np.linspace(along[0], along[-1], points)
        kept = np.unique(np.r_[np.searchsorted(along, steps), len(along) - 1])
        kept = kept[kept < len(along)][-points:]
        kept[0] = 0
        thresholds, miss, false_alarm = thresholds[kept], miss[kept], false_alarm[kept]
        x, y = x[kept], y[kept]
    return DetCurve(thresholds, false_alarm, miss, x, y)
