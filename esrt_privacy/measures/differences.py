"""The difference of one figure between two samples, over the same speakers or over others, and many such at once."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from esrt_privacy.measures.intervals import Estimate
from esrt_privacy.measures.replicates import Replicates

# Replicates may come from files in single precision: a spread below this share of the figures is rounding.
ROUNDING = 1e-6


def paired_difference_estimate(
    first: Replicates, second: Replicates, level: float = 0.95
) -> Estimate:
    """A figure minus the same figure of something else, over the same speakers drawn alike.

    Args:
        first, second: replicates whose `jackknife` (speakers,) leave the same speakers out in the same order, and whose
            `resampled` (draws,) drew the same ones, or are empty on both sides.

    What makes a speaker hard for both cancels. The interval is the hull of the jackknife's t interval and of the
    bootstrap's percentiles at t-expanded levels (`Replicates.estimate`), without draws the jackknife's alone. Where no
    speaker changes the difference, neither says anything: low and high are nan, and `method` says why.

    Raises ValueError when numbers of speakers or draws differ.
    """
    for one, other, what in (
        (first.jackknife, second.jackknife, "speakers"),
        (first.resampled, second.resampled, "draws"),
    ):
        if len(one) != len(other):
            raise ValueError(f"{len(one)} and {len(other)} {what} are no pairs")
    value, speakers = first.value - second.value, len(first.jackknife)
    without = np.asarray(first.jackknife, np.float64) - np.asarray(second.jackknife, np.float64)
    drawn = np.asarray(first.resampled, np.float64) - np.asarray(second.resampled, np.float64)
    difference = Replicates(value, without, drawn, speakers)
    largest = max(abs(first.value), abs(second.value))
    nothing = float("nan")
    if not difference.error > ROUNDING * largest:
        reason = f"undefined: none of {speakers} speakers changes the difference"
        return Estimate(value, nothing, nothing, speakers, reason)
    if len(difference.draws):
        found = difference.estimate(level)
        return found._replace(method=f"paired {found.method}")
    half = float(stats.t.ppf((1 + level) / 2, speakers - 1)) * difference.error
    method = f"paired jackknife t over {speakers} speakers"
    return Estimate(value, value - half, value + half, speakers, method)


def unpaired_difference_estimate(first: Estimate, second: Estimate) -> Estimate:
    """A figure minus another of independent data, from their intervals of one level.

    (a - b) - sqrt((a - low_a)² + (high_b - b)²) to (a - b) + sqrt((high_a - a)² + (b - low_b)²): MOVER, the "method of
    variance estimates recovery", which keeps what is lopsided in either interval. `n` is that of the smaller sample.

    Low and high are nan where either interval is not known.

    Source: Zou & Donner, "Construction of confidence limits about effect measures: A general approach", Statistics in
    Medicine 27 (2008), doi:10.1002/sim.3095.
    """
    value = first.value - second.value
    low = value - np.hypot(first.value - first.low, second.high - second.value)
    high = value + np.hypot(first.high - first.value, second.value - second.low)
    n = min(first.n, second.n)
    if not np.isfinite([value, low, high]).all():
        nothing = float("nan")
        return Estimate(value, nothing, nothing, n, "undefined: a side has no interval")
    return Estimate(value, float(low), float(high), n, f"MOVER of two intervals, at least {n} each")


def two_sided_p(estimate: Estimate, level: float = 0.95) -> float:
    """The p-value against zero that an interval stands for, read with Student's t; nan without an interval.

    The half-width towards zero is taken for t(n - 1) · standard error, n being the estimate's speakers: 2 · P(T >
    |value| / error). Exact for a t interval, conservative where the interval is the hull of wider ones.

    Source: Altman & Bland, "How to obtain the P value from a confidence interval", BMJ 343 (2011),
    doi:10.1136/bmj.d2304, with t for their normal deviate.
    """
    half = estimate.value - estimate.low if estimate.value > 0 else estimate.high - estimate.value
    if estimate.n < 2 or not np.isfinite(half):
        return float("nan")
    if estimate.value == 0:
        return 1.0
    if half <= 0:
        return 0.0
    quantile = float(stats.t.ppf((1 + level) / 2, estimate.n - 1))
    return float(2 * stats.t.sf(quantile * abs(estimate.value) / half, estimate.n - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values raised so that comparing each with one level keeps the chance of any false alarm below it.

    The k-th smallest of m counts (m - k + 1)-fold, and never less than a smaller one. nan stays nan and is not counted.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
    (1979).
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if not np.isnan(p))
    raised = [float("nan")] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        raised[place] = largest
    return raised
