"""Speaker verification: how well scores tell same-speaker trials from different-speaker trials."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit

from esrt_privacy.measures.intervals import (
    Estimate,
    exact_binomial,
    expanded_level,
    jackknife_error,
)

Floats = NDArray[np.float64]

# With two speakers, leaving one out leaves no non-target trial.
FEWEST_SPEAKERS = 3


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
    where scores know nothing; `eer_speaker_bootstrap` corrects its interval for that.

    Raises ValueError when scores and weights differ in length or a weight is negative.

    Source: Bruemmer & de Villiers, "The BOSARIS Toolkit" (2011), arXiv:1304.2865 (ROCCH-EER); the
    hull by pool-adjacent-violators: Fawcett & Niculescu-Mizil, "PAV and the ROC convex hull",
    Machine Learning 68 (2007), doi:10.1007/s10994-007-5011-0.
    """
    target_scores, target_mass = _scores_and_weights(target, target_weights)
    nontarget_scores, nontarget_mass = _scores_and_weights(nontarget, nontarget_weights)
    scores = np.concatenate([target_scores, nontarget_scores])
    order = np.argsort(scores, kind="stable")
    return _hull_eer(
        _run_starts(scores[order]),
        np.concatenate([target_mass, np.zeros_like(nontarget_mass)])[order],
        np.concatenate([np.zeros_like(target_mass), nontarget_mass])[order],
    )


def eer_speaker_bootstrap(
    scores: ArrayLike,
    is_target: ArrayLike,
    enrol_speaker: ArrayLike,
    test_speaker: ArrayLike,
    rng: np.random.Generator,
    draws: int = 1000,
    level: float = 0.95,
) -> Estimate:
    """EER of a trial list with an interval over speakers (two-way bootstrap).

    A draw takes speakers with replacement; speaker i drawn c_i times gives target trials of i the
    weight c_i and non-target trials between i and j the weight c_i · c_j. The scores are sorted
    once for all draws.

    Args:
        scores, is_target, enrol_speaker, test_speaker: (trials,); is_target holds booleans. Trials
            whose score is nan are left out and `method` says how many.

    Returns an Estimate with n = speakers, the value being `eer` of all trials. The interval is the
    hull of value ± t(speakers - 1) · delete-one-speaker jackknife standard error (upwards also on
    the logit scale, since few errors are skewed) and of the bootstrap's percentiles at t-expanded
    levels, as they are and reflected about the value. The upper end is raised by the bootstrap's
    own bias: the hull fits the trials it is given, so the EER of few speakers is too low, and
    chance would otherwise look like a leak. All is kept within [0, 0.5]. Where all speakers are
    alike (told apart without error), the exact binomial interval with one trial a speaker. Fewer
    than 3 speakers give no interval (low and high nan).

    Raises ValueError when the arrays differ in length, or a target trial joins two speakers.

    Source: Poh, Martin & Bengio, "Performance Generalization in Biometric Authentication Using
    Joint User-Specific and Sample Bootstraps", IEEE TPAMI 29 (2007), doi:10.1109/TPAMI.2007.55;
    weights of pairs: Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1 (2007),
    doi:10.1214/07-AOAS122.
    """
    trials = _trials(scores, is_target, enrol_speaker, test_speaker)
    note = f"; {trials.left_out} trials without a score left out" if trials.left_out else ""
    everyone = np.ones(trials.speakers)
    value = _drawn_eer(trials, everyone)
    undefined = float("nan")
    if np.isnan(value):
        reason = "undefined: no target or no non-target trial"
        return Estimate(value, undefined, undefined, trials.speakers, reason + note)
    if trials.speakers < FEWEST_SPEAKERS:
        reason = f"undefined: {trials.speakers} speakers, at least {FEWEST_SPEAKERS} are needed"
        return Estimate(value, undefined, undefined, trials.speakers, reason + note)

    speakers = trials.speakers
    left_out_each = everyone - np.eye(speakers)
    jackknife = np.array([_drawn_eer(trials, counts) for counts in left_out_each])
    jackknife = jackknife[np.isfinite(jackknife)]
    drawn = rng.multinomial(speakers, np.full(speakers, 1 / speakers), size=draws)
    resampled = np.array([_drawn_eer(trials, counts) for counts in drawn])
    resampled = resampled[np.isfinite(resampled)]
    error = jackknife_error(jackknife, value) if len(jackknife) > 1 else 0.0
    if error == 0.0 or not len(resampled):
        low, high = exact_binomial(value, speakers, level)
        method = f"exact binomial, one trial for each of {speakers} like speakers"
        return Estimate(value, low, min(high, 0.5), speakers, method + note)

    t = float(stats.t.ppf((1 + level) / 2, speakers - 1)) * error
    tail = expanded_level(level, speakers)
    lower, upper = np.quantile(resampled, [tail, 1 - tail])
    optimism = max(0.0, value - float(resampled.mean()))
    skewed = float(expit(logit(value) + t / (value * (1 - value))))
    low = max(0.0, float(min(value - t, lower, 2 * value - upper)))
    high = min(0.5, optimism + float(max(value + t, upper, 2 * value - lower, skewed)))
    method = f"two-way bootstrap and jackknife t over {speakers} speakers"
    return Estimate(value, low, high, speakers, method + note)


class _Trials(NamedTuple):
    """A trial list in ascending order of score, speakers as numbers."""

    starts: NDArray[np.intp]  # (distinct scores,) where each run of equal scores begins
    is_target: NDArray[np.bool_]  # (trials,)
    enrol: NDArray[np.intp]  # (trials,)
    test: NDArray[np.intp]  # (trials,)
    speakers: int
    left_out: int


def _trials(
    scores: ArrayLike, is_target: ArrayLike, enrol_speaker: ArrayLike, test_speaker: ArrayLike
) -> _Trials:
    values = np.asarray(scores, dtype=np.float64)
    labels = np.asarray(is_target, dtype=bool)
    enrol, test = np.asarray(enrol_speaker), np.asarray(test_speaker)
    if not len(values) == len(labels) == len(enrol) == len(test):
        raise ValueError("scores, is_target, enrol_speaker and test_speaker differ in length")
    if (labels & (enrol != test)).any():
        raise ValueError("a target trial joins two different speakers")
    order = np.argsort(values, kind="stable")
    order = order[: len(order) - int(np.isnan(values).sum())]  # nan sorts last
    speakers, index = np.unique(np.concatenate([enrol[order], test[order]]), return_inverse=True)
    return _Trials(
        _run_starts(values[order]),
        labels[order],
        index[: len(order)],
        index[len(order) :],
        len(speakers),
        len(values) - len(order),
    )


def _drawn_eer(trials: _Trials, counts: ArrayLike) -> float:
    """EER when speaker i counts counts[i] times."""
    weights = np.asarray(counts, dtype=np.float64)
    single = weights[trials.enrol]
    return _hull_eer(
        trials.starts,
        np.where(trials.is_target, single, 0.0),
        np.where(trials.is_target, 0.0, single * weights[trials.test]),
    )


def _scores_and_weights(scores: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats]:
    values = np.asarray(scores, dtype=np.float64).ravel()
    given = np.ones_like(values) if weights is None else weights
    mass = np.asarray(given, dtype=np.float64).ravel()
    if len(mass) != len(values):
        raise ValueError(f"{len(values)} scores but {len(mass)} weights")
    if (mass < 0).any():
        raise ValueError("a weight is negative")
    kept = ~np.isnan(values)
    return values[kept], mass[kept]


def _run_starts(ascending: Floats) -> NDArray[np.intp]:
    return np.flatnonzero(np.r_[True, ascending[1:] != ascending[:-1]][: len(ascending)])


def _hull_eer(starts: NDArray[np.intp], target_mass: Floats, nontarget_mass: Floats) -> float:
    """EER from per-trial masses in ascending order of score; starts: see `_Trials`."""
    if not target_mass.sum() > 0 or not nontarget_mass.sum() > 0:
        return float("nan")
    # Equal scores cannot be told apart by any threshold, so they move as one.
    targets = np.add.reduceat(target_mass, starts)
    nontargets = np.add.reduceat(nontarget_mass, starts)
    mass = targets + nontargets
    present = mass > 0
    targets, nontargets, mass = targets[present], nontargets[present], mass[present]
    # The blocks of the isotonic fit of "is target" on score are the edges of the ROC's hull.
    blocks = isotonic_regression(targets / mass, weights=mass).blocks[:-1].astype(np.intp)
    missed = np.add.reduceat(targets, blocks).cumsum()
    rejected = np.add.reduceat(nontargets, blocks).cumsum()
    miss = np.r_[0.0, missed / missed[-1]]
    false_alarm = np.r_[1.0, 1.0 - rejected / rejected[-1]]
    # The gap rises from -1 to 1 with the threshold; the edge where it turns positive holds the EER.
    gap = miss - false_alarm
    after = int(np.searchsorted(gap, 0.0))
    if gap[after] == 0.0:
        return float(miss[after])
    before = after - 1
    share = -gap[before] / (gap[after] - gap[before])
    return float(miss[before] + share * (miss[after] - miss[before]))
