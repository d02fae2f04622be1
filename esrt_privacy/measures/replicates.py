"""A figure and its replicates over speakers, from which an interval of any level follows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from esrt_privacy.measures.intervals import (
    Bounds,
    Estimate,
    Floats,
    bounded_ends,
    exact_binomial,
    expanded_level,
    jackknife_error,
    speaker_sums,
)

Counts = NDArray[np.float64]


def drawn_counts(speakers: int, draws: int, rng: np.random.Generator) -> Counts:
    """(draws, speakers) how often each speaker is drawn, with replacement, as many as there are."""
    return rng.multinomial(speakers, np.full(speakers, 1 / speakers), size=draws).astype(np.float64)


def ratio_replicates(
    numerators: ArrayLike,
    denominators: ArrayLike,
    clusters: ArrayLike,
    rng: np.random.Generator,
    draws: int = 2000,
    clip: Bounds | None = None,
) -> "Replicates":
    """Ratio of sums over speakers; arguments and errors as `intervals.speaker_bootstrap_ratio`."""
    sums, left_out = speaker_sums(clusters, numerators, denominators)
    count, total = len(sums), sums.sum(axis=0)
    drawn = drawn_counts(count, draws, rng) @ sums if count else np.empty((0, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        value, *jackknife = (part[0] / part[1] for part in (total, *(total - sums)))
        resampled = drawn[:, 0] / drawn[:, 1]
    note = f"; {left_out} without a value left out" if left_out else ""
    return Replicates(float(value), np.array(jackknife), resampled, count, clip, note=note)


@dataclass(frozen=True)
class Replicates:
    """A figure of all speakers, without each of them, and of drawn speakers.

    Made once, so that many levels (Holm's, or the search for the smallest that excludes zero) cost
    one bootstrap. Replicates that are nan (a draw without any target ...) are left out.
    """

    value: float
    jackknife: Floats  # (speakers,)
    resampled: Floats  # (draws,)
    speakers: int
    clip: Bounds | None = None  # what the figure cannot leave
    share: Bounds | None = None  # what 0 and 1 of a share are to it; None: `clip`
    note: str = ""
    fewest: int = 2  # speakers without whom there is no interval

    def estimate(self, level: float = 0.95) -> Estimate:
        """The hull of value ± t(speakers - 1) · jackknife error and of t-expanded percentiles.

        Where `clip` bounds the figure, also of that t interval on a scale that suits the bounds
        (`intervals.bounded_ends`).
        Where all speakers are alike neither says anything: a figure with finite `clip` gets the
        exact binomial interval with one trial a speaker, others are undefined.
        """
        return self.interval(level, hull_ends)

    def interval(self, level: float, ends: Callable[["Replicates", float], Bounds]) -> Estimate:
        """As `estimate`, with other ends than the hull where speakers differ."""
        undefined = float("nan")
        if np.isnan(self.value):
            reason = "undefined: no values to compare"
            return Estimate(self.value, undefined, undefined, self.speakers, reason + self.note)
        if self.speakers < self.fewest:
            reason = f"undefined: {self.speakers} speakers, at least {self.fewest} are needed"
            return Estimate(self.value, undefined, undefined, self.speakers, reason + self.note)
        if self.error == 0.0 or not len(self.draws):
            return self._alike(level)
        low, high = self._clipped(*ends(self, level))
        method = f"jackknife t and t-expanded bootstrap over {self.speakers} speakers"
        return Estimate(self.value, low, high, self.speakers, method + self.note)

    @property
    def draws(self) -> Floats:
        """The resampled figures that are defined."""
        return self.resampled[np.isfinite(self.resampled)]

    @property
    def error(self) -> float:
        """Jackknife standard error; 0 where speakers do not differ, but for rounding."""
        known = self.jackknife[np.isfinite(self.jackknife)]
        if len(known) < 2:
            return 0.0
        error = jackknife_error(known, self.value)
        scale = max(abs(self.value), float(np.abs(known).max()))
        return 0.0 if error <= 1e-12 * scale else error

    @property
    def degrees(self) -> float:
        """Degrees of freedom of the jackknife error: speakers - 1, fewer where few speakers make it.

        2 · speakers / (kurtosis - 1), which is Satterthwaite's for a variance of independent
        contributions, and never more than speakers - 1 nor less than 1.

        Source: Satterthwaite, "An Approximate Distribution of Estimates of Variance Components",
        Biometrics Bulletin 2 (1946), doi:10.2307/3002019.
        """
        known = self.jackknife[np.isfinite(self.jackknife)]
        squares = (known - known.mean()) ** 2
        kurtosis = float((squares**2).mean() / squares.mean() ** 2)
        most = self.speakers - 1
        if kurtosis <= 1 + 2 / self.speakers:
            return float(most)
        return float(np.clip(2 * self.speakers / (kurtosis - 1), 1, most))

    def _alike(self, level: float) -> Estimate:
        speakers, undefined = self.speakers, float("nan")
        share = self.share or self.clip
        if share is None or not np.isfinite(share).all():
            reason = f"undefined: all {speakers} speakers have the same value"
            return Estimate(self.value, undefined, undefined, speakers, reason + self.note)
        zero, width = share[0], share[1] - share[0]
        low, high = exact_binomial((self.value - zero) / width, speakers, level)
        method = f"exact binomial, one trial for each of {speakers} like speakers"
        ends = self._clipped(zero + width * low, zero + width * high)
        return Estimate(self.value, *ends, speakers, method + self.note)

    def _clipped(self, low: float, high: float) -> Bounds:
        if self.clip is None:
            return low, high
        return max(low, self.clip[0]), min(high, self.clip[1])


def hull_ends(replicates: Replicates, level: float) -> Bounds:
    """Hull of the jackknife's t interval, plain and on a suiting scale, and of the percentiles."""
    value, speakers = replicates.value, replicates.speakers
    t = float(stats.t.ppf((1 + level) / 2, speakers - 1)) * replicates.error
    ends = [value - t, value + t, *percentiles(replicates, level)]
    ends += bounded_ends(value, t, replicates.clip, speakers)
    return float(min(ends)), float(max(ends))


def percentiles(replicates: Replicates, level: float) -> Bounds:
    """The bootstrap's percentiles at t-expanded levels (`intervals.expanded_level`)."""
    tail = expanded_level(level, replicates.speakers)
    lower, upper = np.quantile(replicates.draws, [tail, 1 - tail])
    return float(lower), float(upper)
