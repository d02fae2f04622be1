"""A figure and its interval, travelling together.

Utterances of one speaker resemble one another, so the independent unit is the speaker ("cluster"
below) and every interval here, but Wilson's, is taken over speakers. With two to ten of them the
plain percentile bootstrap is far too narrow (seen in simulation: it covers the truth in 50% of
cases with 2 speakers, 76-84% with 5, 86-88% with 10), so `speaker_bootstrap_ratio` reports the
hull of several intervals that fail in different ways; see its docstring.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Bounds = tuple[float, float]
Floats = NDArray[np.float64]

# Below this many speakers the standard error within a bootstrap draw rests on two or three
# different speakers, and the studentised quantiles are noise.
STUDENTISED_FROM = 5


class Estimate(NamedTuple):
    """A value with its interval.

    `n` counts the independent units behind the interval: trials for `wilson`, speakers for the
    bootstraps. `low` and `high` are nan where the data cannot give an interval; `method` says why.
    """

    value: float
    low: float
    high: float
    n: int
    method: str


def wilson(successes: float, n: int, level: float = 0.95) -> Estimate:
    """Wilson's score interval of a proportion from `n` independent trials.

    (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n). For accuracies with one utterance a
    speaker; where speakers have several, use `speaker_bootstrap_ratio`. With n = 0 all is nan.

    Raises ValueError when `successes` does not lie in 0..n.

    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22
    (1927), doi:10.1080/01621459.1927.10502953.
    """
    if n == 0:
        return _undefined(float("nan"), 0, "no trials")
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} trials is no proportion")
    share = successes / n
    z2 = float(stats.norm.ppf((1 + level) / 2)) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    spread = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    # At 0 and n the formula gives the bound exactly; rounding would put it beside the value.
    low = 0.0 if successes == 0 else float(centre - spread)
    high = 1.0 if successes == n else float(centre + spread)
    return Estimate(share, low, high, n, "wilson")


def speaker_bootstrap_ratio(
    numerators: ArrayLike,
    denominators: ArrayLike,
    clusters: ArrayLike,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
    clip: Bounds | None = None,
) -> Estimate:
    """Ratio of sums, sum(numerators) / sum(denominators), with an interval over speakers.

    Errors over words give the WER of a corpus; values over ones give a mean over utterances.

    Args:
        numerators, denominators, clusters: (utterances,), one speaker label per utterance.
            Denominators are not negative. Utterances with a value that is not finite are left out,
            and `method` says how many; the caller reports them.
        rng: draws the speakers, with replacement.
        clip: (low, high) that the value cannot leave, e.g. (0, 1) for an accuracy or
            (0, inf) for a WER; the interval is cut there. None: not cut.

    Returns an Estimate with n = speakers. The interval is the hull of
      (a) value ± t(speakers - 1) · delete-one-speaker jackknife standard error, which holds for
          few speakers of unequal size;
      (b) the bootstrap's percentiles at t-expanded levels, which follow a skewed distribution;
      (c) from 5 speakers on, the studentised bootstrap, which corrects for the skew of errors;
      (d) where `clip` bounds the ratio, (a) on a scale that suits (`bounded_ends`), since few
          errors, and shares near 0 or 1, are skewed.
    Where all speakers have one and the same value, none of these says anything: bounded values
    (`clip` finite) get the exact binomial interval with one trial a speaker, others are undefined.
    One speaker gives no interval: low and high are nan.

    Raises ValueError when the arrays differ in length or a denominator is negative.

    Sources: (a) MacKinnon, Nielsen & Webb, "Fast and reliable jackknife and bootstrap methods for
    cluster-robust inference", J. Applied Econometrics 38 (2023), doi:10.1002/jae.2969;
    (b) Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69
    (2015), doi:10.1080/00031305.2015.1089789; (c) Efron & Tibshirani, "An Introduction to
    the Bootstrap" (1993), ch. 12, doi:10.1201/9780429246593; degenerate case: Clopper & Pearson,
    Biometrika 26 (1934), doi:10.1093/biomet/26.4.404.
    """
    sums, left_out = speaker_sums(clusters, numerators, denominators)
    return _ratio_estimate(sums[:, :2], None, left_out, rng, draws, level, clip)


def paired_difference(
    numerators_a: ArrayLike,
    denominators_a: ArrayLike,
    numerators_b: ArrayLike,
    denominators_b: ArrayLike,
    clusters: ArrayLike,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
    clip: Bounds | None = None,
) -> Estimate:
    """Ratio A minus ratio B over the same utterances, with an interval over speakers.

    Each draw takes the same speakers for both sides, so what makes a speaker hard for both cancels.
    Arguments, interval and errors as `speaker_bootstrap_ratio`; an utterance with a value that is
    not finite on either side is left out on both. `clip` bounds the difference, e.g. (-1, 1).
    """
    sums, left_out = speaker_sums(
        clusters, numerators_a, denominators_a, numerators_b, denominators_b
    )
    return _ratio_estimate(sums[:, :2], sums[:, 2:], left_out, rng, draws, level, clip)


def expanded_level(level: float, clusters: int) -> float:
    """Lower tail, in (0, 0.5), at which bootstrap percentiles stand in for Student's t.

    Phi(-sqrt(G/(G-1)) · t(G-1)): wider than (1 - level)/2 for few clusters, equal to it for many.

    Source: Hesterberg (2015), section 5.3, doi:10.1080/00031305.2015.1089789.
    """
    t = stats.t.ppf((1 + level) / 2, clusters - 1)
    return float(stats.norm.cdf(-np.sqrt(clusters / (clusters - 1)) * t))


def jackknife_error(replicates: Floats, value: float) -> float:
    """Standard error from delete-one-cluster values: sqrt((G-1)/G · sum (value_-g - value)²).

    Source: CV3J in MacKinnon, Nielsen & Webb (2023), doi:10.1002/jae.2969.
    """
    count = len(replicates)
    return float(np.sqrt((count - 1) / count * np.sum((replicates - value) ** 2)))


def bounded_ends(value: float, margin: float, clip: Bounds | None, speakers: int) -> list[float]:
    """Both ends of value ± margin, taken on a scale that suits its bounds; empty where none does.

    With two finite bounds the scale is asin(sqrt(share)), the share being (value - low) /
    (high - low): on the logit scale shares near 1 of ten speakers got intervals twice as wide as
    they need. With a lower bound alone it is log(value - low), from 5 speakers on: t with fewer
    would make it absurdly wide. The margin follows by the delta method. Empty, too, for a value at
    a bound.

    Source: Agresti, "Categorical Data Analysis" (2013), 16.1 (delta method); Anscombe, "The
    transformation of Poisson, binomial and negative-binomial data", Biometrika 35 (1948),
    doi:10.1093/biomet/35.3-4.246.
    """
    if clip is None or not np.isfinite(clip[0]) or value <= clip[0] or value >= clip[1]:
        return []
    low, high = clip
    if np.isfinite(high):
        share, width = (value - low) / (high - low), high - low
        step = margin / width / (2 * np.sqrt(share * (1 - share)))
        centre = np.arcsin(np.sqrt(share))
        angles = np.clip([centre - step, centre + step], 0.0, np.pi / 2)
        return [float(low + width * x) for x in np.sin(angles) ** 2]
    if speakers < STUDENTISED_FROM:
        return []
    return [float(low + (value - low) * np.exp(sign * margin / (value - low))) for sign in (-1, 1)]


def exact_binomial(share: float, n: int, level: float = 0.95) -> Bounds:
    """Clopper and Pearson's interval of a proportion; `share * n` need not be whole.

    Source: Clopper & Pearson, Biometrika 26 (1934), doi:10.1093/biomet/26.4.404.
    """
    tail, successes = (1 - level) / 2, share * n
    low = 0.0 if share <= 0 else float(stats.beta.ppf(tail, successes, n - successes + 1))
    high = 1.0 if share >= 1 else float(stats.beta.ppf(1 - tail, successes + 1, n - successes))
    return low, high


def speaker_sums(clusters: ArrayLike, *columns: ArrayLike) -> tuple[Floats, int]:
    """(speakers, columns) sums over the utterances whose values are all finite, and how many not.

    Columns come as numerator, denominator, numerator, denominator ...
    """
    labels = np.asarray(clusters)
    table = np.column_stack([np.asarray(column, dtype=np.float64).ravel() for column in columns])
    if len(labels) != len(table):
        raise ValueError(f"{len(labels)} speaker labels for {len(table)} utterances")
    if (table[:, 1::2] < 0).any():
        raise ValueError("a denominator is negative")
    finite = np.isfinite(table).all(axis=1)
    speakers, index = np.unique(labels[finite], return_inverse=True)
    sums = np.zeros((len(speakers), table.shape[1]))
    np.add.at(sums, index, table[finite])
    # A speaker without any denominator (no words) says nothing of the ratio or its spread.
    return sums[(sums[:, 1::2] > 0).any(axis=1)], int((~finite).sum())


def _ratio_estimate(
    a: Floats,
    b: Floats | None,
    left_out: int,
    rng: np.random.Generator,
    draws: int,
    level: float,
    clip: Bounds | None,
) -> Estimate:
    """Estimate of the ratio of a's columns, or of its difference from that of b's."""
    speakers = len(a)
    note = f"; {left_out} without a value left out" if left_out else ""
    totals = [part.sum(axis=0) for part in (a, b) if part is not None]
    if speakers == 0 or any(total[1] == 0 for total in totals):
        return _undefined(float("nan"), speakers, "no values" + note)
    value = _difference(totals)
    if speakers == 1:
        return _undefined(value, 1, "one speaker says nothing of others" + note)

    counts = rng.multinomial(speakers, np.full(speakers, 1 / speakers), size=draws)
    counts = np.vstack([1 - np.eye(speakers, dtype=counts.dtype), counts])
    with np.errstate(invalid="ignore", divide="ignore"):
        replicates = _difference([(counts @ part).T for part in (a, b) if part is not None])
    jackknife, resampled = replicates[:speakers], replicates[speakers:]
    jackknife = jackknife[np.isfinite(jackknife)]
    error = jackknife_error(jackknife, value) if len(jackknife) > 1 else 0.0

    scale = max(abs(value), float(np.abs(jackknife).max(initial=0.0)))
    if error <= 1e-12 * scale or error == 0.0:
        return _without_spread(value, speakers, level, clip, note)

    t = float(stats.t.ppf((1 + level) / 2, speakers - 1)) * error
    tail = expanded_level(level, speakers)
    ends = [value - t, value + t, *np.nanquantile(resampled, [tail, 1 - tail])]
    ends += bounded_ends(value, t, clip, speakers)
    method = f"jackknife t and t-expanded bootstrap over {speakers} speakers"
    if speakers >= STUDENTISED_FROM:
        ends += _studentised_ends(a, b, value, counts[speakers:], resampled, level)
        method = f"jackknife t, t-expanded and studentised bootstrap over {speakers} speakers"
    low, high = float(min(ends)), float(max(ends))
    if clip is not None:
        low, high = max(low, clip[0]), min(high, clip[1])
    return Estimate(value, low, high, speakers, method + note)


def _difference(totals: list[Any]) -> Any:
    """Ratio of (numerator, denominator), or the first such ratio minus the second."""
    ratios = [total[0] / total[1] for total in totals]
    return ratios[0] if len(ratios) == 1 else ratios[0] - ratios[1]


def _studentised_ends(
    a: Floats, b: Floats | None, value: float, counts: Any, resampled: Floats, level: float
) -> list[float]:
    """Both ends of the bootstrap-t interval; empty when too few draws have any spread.

    The standard error within a draw is the linearised one, sqrt(G/(G-1) · sum e²) with
    e = (numerator - ratio · denominator) / sum(denominator) of each speaker, a's minus b's.
    """
    speakers = len(a)
    residuals = np.zeros(counts.shape)
    full = np.zeros(speakers)
    with np.errstate(invalid="ignore", divide="ignore"):
        for sign, part in ((1, a), (-1, b)):
            if part is None:
                continue
            sums = counts @ part
            ratio = (sums[:, 0] / sums[:, 1])[:, None]
            residuals += sign * (part[:, 0] - ratio * part[:, 1]) / sums[:, 1:]
            total = part.sum(axis=0)
            full += sign * (part[:, 0] - total[0] / total[1] * part[:, 1]) / total[1]
        factor = np.sqrt(speakers / (speakers - 1))
        errors = factor * np.sqrt((counts * residuals**2).sum(axis=1))
        error = factor * float(np.sqrt((full**2).sum()))
        pivots = (resampled - value) / errors
    pivots = pivots[np.isfinite(pivots) & (errors > 1e-9 * error)]
    if len(pivots) < 0.5 * len(resampled):
        return []
    tail = (1 - level) / 2
    upper, lower = np.quantile(pivots, [1 - tail, tail])
    return [float(value - upper * error), float(value - lower * error)]


def _without_spread(
    value: float, speakers: int, level: float, clip: Bounds | None, note: str
) -> Estimate:
    """All speakers alike: a width of zero would claim certainty that no speaker has given."""
    if clip is None or not np.isfinite(clip).all():
        return _undefined(value, speakers, f"all {speakers} speakers have the same value" + note)
    width = clip[1] - clip[0]
    low, high = exact_binomial((value - clip[0]) / width, speakers, level)
    method = f"exact binomial, one trial for each of {speakers} like speakers"
    return Estimate(value, clip[0] + width * low, clip[0] + width * high, speakers, method + note)


def _undefined(value: float, n: int, reason: str) -> Estimate:
    return Estimate(value, float("nan"), float("nan"), n, f"undefined: {reason}")
