"""What comparison scores give away: linkability (D_sys) and disclosed evidence in bits (ZEBRA)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esrt_privacy.measures.roc import Floats, Masses, hull, masses, scores_and_weights

# As the authors of both measures count: a tenth of the mated scores, at most 100 bins.
SCORES_A_BIN = 10
MOST_BINS = 100

# Lower ends, in powers of ten, of the verbal classes A to F of the worst case.
CLASSES = ((6.0, "F"), (5.0, "E"), (4.0, "D"), (2.0, "C"), (1.0, "B"), (0.0, "A"))


class Disclosure(NamedTuple):
    """Evidence that the scores give, beyond none."""

    expected: float  # bits, from 0 (none) to 0.7213: averaged over all priors and trials
    worst: float  # log10 of the strongest likelihood ratio of any single trial
    tag: str  # "0", or A to F by `worst`


def linkability(
    target: ArrayLike,
    nontarget: ArrayLike,
    target_weights: ArrayLike | None = None,
    nontarget_weights: ArrayLike | None = None,
    prior_ratio: float = 1.0,
) -> float:
    """D_sys: how far two templates of one speaker can be linked, 0 not at all, 1 always.

    The mean over mated scores s of D(s) = 2·w·LR / (1 + w·LR) - 1 where w·LR > 1, else 0; LR is
    the ratio of the densities of mated and non-mated scores in equal bins (a tenth as many as
    mated scores, 1 to 100), w = `prior_ratio` the prior odds of being mated.

    Histograms of few scores differ by accident and only differences upwards count, so that D_sys
    is above 0 even where both kinds have one distribution (0.04 for some thousand scores). Compare
    it with that of permuted labels, or take `linkability_corrected`. Arguments and errors as
    `verification.eer`; infinite scores fall into the outermost bins; nan when a side has no weight.

    Source: Gomez-Barrero et al., "General Framework to Evaluate Unlinkability in Biometric
    Template Protection Systems", IEEE TIFS 13 (2018), doi:10.1109/TIFS.2017.2788000.
    """
    t, t_mass = scores_and_weights(target, target_weights)
    n, n_mass = scores_and_weights(nontarget, nontarget_weights)
    if not (t_mass.sum() > 0 and n_mass.sum() > 0):
        return float("nan")
    bins, index = _bin_indices(np.r_[t, n], len(t))
    return _d_sys(index, np.r_[t_mass, 0 * n_mass], np.r_[0 * t_mass, n_mass], bins, prior_ratio)


def linkability_corrected(
    target: ArrayLike,
    nontarget: ArrayLike,
    rng: np.random.Generator,
    target_weights: ArrayLike | None = None,
    nontarget_weights: ArrayLike | None = None,
    prior_ratio: float = 1.0,
    permutations: int = 100,
) -> float:
    """D_sys with the part taken off that permuted labels have too: (D - D0) / (1 - D0).

    D0 is the mean D_sys when the labels are shuffled over the trials, each keeping its weight, so
    that identical distributions give 0 on average (may be negative) and perfect linking stays 1.
    Trials that share a speaker depend on one another, which shuffled ones do not: of a few
    speakers D0 takes off too little, so judge it by its interval over speakers too.

    Arguments and errors as `linkability`.
    """
    t, t_mass = scores_and_weights(target, target_weights)
    n, n_mass = scores_and_weights(nontarget, nontarget_weights)
    if not (t_mass.sum() > 0 and n_mass.sum() > 0):
        return float("nan")
    bins, index = _bin_indices(np.r_[t, n], len(t))
    mass = np.r_[t_mass, n_mass]
    labels = np.arange(len(mass)) < len(t)
    found = _d_sys(index, mass * labels, mass * ~labels, bins, prior_ratio)
    permuted = []
    for _ in range(permutations):
        labels = rng.permutation(labels)
        permuted.append(_d_sys(index, mass * labels, mass * ~labels, bins, prior_ratio))
    by_accident = float(np.nanmean(permuted))
    return (found - by_accident) / (1 - by_accident) if by_accident < 1 else found


def disclosure(
    target: ArrayLike,
    nontarget: ArrayLike,
    target_weights: ArrayLike | None = None,
    nontarget_weights: ArrayLike | None = None,
) -> Disclosure:
    """ZEBRA: evidence disclosed by scores after their best monotone calibration.

    Expected: the area between the entropy of a prior and the empirical cross-entropy of the
    calibrated scores, over all priors in [0, 1], in bits. It has a closed form in the likelihood
    ratios r: (mean of Z(r) over targets + mean of Z(1/r) over non-targets) / ln 2 with
    Z(r) = 1/4 - 1/(2(r - 1)) + ln r / (2(r - 1)²). Worst: log10 of the largest ratio, either way,
    of any trial; here the calibration is held finite by one trial of each kind added at both ends
    (Laplace's rule), so that it grows with the number of trials.

    Like minCllr both fit the trials at hand: where scores know nothing, few trials give somewhat
    more than none. Arguments and errors as `verification.eer`; all nan and tag "" when a side has
    no weight.

    Source: Nautsch et al., "The Privacy ZEBRA: Zero Evidence Biometric Recognition Assessment",
    Interspeech 2020, arXiv:2005.09413.
    """
    found = masses(target, nontarget, target_weights, nontarget_weights)
    expected = expected_disclosure(found.targets, found.nontargets)
    if np.isnan(expected):
        return Disclosure(float("nan"), float("nan"), "")
    worst = _worst_disclosure(found)
    tag = "0" if worst == 0 else next(name for low, name in CLASSES if worst >= low)
    return Disclosure(expected, worst, tag)


def expected_disclosure(targets: Floats, nontargets: Floats) -> float:
    """Expected disclosure, bits, of masses in ascending order of score; nan without either kind."""
    edges = hull(targets, nontargets)
    if edges is None:
        return float("nan")
    a, b = edges
    bits = (a * _area(a, b)).sum() + (b * _area(b, a)).sum()
    return float(max(0.0, bits / np.log(2)))


def _area(own: Floats, other: Floats) -> Floats:
    """Z(own / other); 0 where own is 0, since it then weighs nothing."""
    area = np.zeros_like(own)
    infinite, defined = (other == 0) & (own > 0), (other > 0) & (own > 0)
    area[infinite] = 0.25
    ratio = own[defined] / other[defined]
    d = ratio - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        closed = 0.25 - 1 / (2 * d) + np.log(ratio) / (2 * d * d)
    # Near 1 the closed form is a small difference of large terms.
    series = d / 6 - d**2 / 8 + d**3 / 10
    area[defined] = np.where(np.abs(d) < 1e-3, series, closed)
    return area


def _worst_disclosure(found: Masses) -> float:
    targets = np.r_[1.0, 0.0, found.targets, 1.0, 0.0]
    nontargets = np.r_[0.0, 1.0, found.nontargets, 0.0, 1.0]
    edges = hull(targets, nontargets)
    assert edges is not None
    # The odds of the trials alone, without the four that were added.
    prior = found.targets.sum() / found.nontargets.sum()
    ratios = (edges.targets * targets.sum()) / (edges.nontargets * nontargets.sum()) / prior
    # An uninformative hull has a ratio of 1 only up to the four added trials.
    if len(ratios) == 1:
        return 0.0
    return float(np.abs(np.log10(ratios)).max())


def _bin_indices(scores: Floats, mated: int) -> tuple[int, NDArray[np.intp]]:
    bins = int(np.clip(mated // SCORES_A_BIN, 1, MOST_BINS))
    finite = scores[np.isfinite(scores)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    if low == high:
        # One value, and what lies below and above it.
        return 3, (1 + (scores > low) - (scores < low)).astype(np.intp)
    place = (np.clip(scores, low, high) - low) / (high - low) * bins
    return bins, np.minimum(place.astype(np.intp), bins - 1)


def _d_sys(
    index: NDArray[np.intp], targets: Floats, nontargets: Floats, bins: int, prior_ratio: float
) -> float:
    t = np.bincount(index, targets, bins)
    n = np.bincount(index, nontargets, bins)
    if not (t.sum() > 0 and n.sum() > 0):
        return float("nan")
    t, n = prior_ratio * t / t.sum(), n / n.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        local = np.where(t > n, (t - n) / (t + n), 0.0)
    return float((t / prior_ratio * local).sum())
