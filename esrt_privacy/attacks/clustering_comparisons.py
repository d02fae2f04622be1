"""How well a clustering agrees with a label, against shuffled labels and against another clustering."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from esrt_privacy.attacks.comparisons import names_of
from esrt_privacy.measures.intervals import Estimate, jackknife_error
from esrt_privacy.measures.replicates import Replicates

Floats = NDArray[np.float64]
LEAST_PERMUTATIONS = 2000
MOST_PERMUTATIONS = 20_000
PERMUTATIONS_PER_TAIL = 4  # so that the quantile asked for lies within the permutations


class Agreement(Protocol):
    """An agreement of labels and clusters, 0 to 1, as `measures.clustering` has them of tables."""

    def __call__(self, tables: Floats, /) -> Floats: ...


def agreement(measure: Agreement, labels: ArrayLike, clusters: ArrayLike) -> float:
    """The agreement of labels and clusters, (utterances,) each."""
    return float(measure(confusion_table(labels, clusters)))


def confusion_table(labels: ArrayLike, clusters: ArrayLike) -> Floats:
    """(labels, clusters) numbers of utterances."""
    names, row = np.unique(np.asarray(labels), return_inverse=True)
    groups, column = np.unique(np.asarray(clusters), return_inverse=True)
    cells = np.bincount(row * len(groups) + column, minlength=len(names) * len(groups))
    return cells.reshape(len(names), len(groups)).astype(np.float64)


def agreement_estimate(
    measure: Agreement, labels: Sequence[str], clusters: ArrayLike, speakers: Sequence[str]
) -> Estimate:
    """The agreement (a share) with its jackknife interval over speakers, cut to 0..1."""
    own = np.asarray(clusters)
    truth = np.asarray(labels)
    value = agreement(measure, truth, own)
    error = _error(lambda kept: agreement(measure, truth[kept], own[kept]), value, speakers)
    count = len(set(speakers))
    if error is None:
        reason = f"undefined: {count} speakers, all alike or too few"
        return Estimate(value, float("nan"), float("nan"), count, reason)
    half = _t(0.95, count) * error
    method = f"jackknife t over {count} speakers"
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), count, method)


@dataclass(frozen=True)
class PermutationComparison:
    """Agreement of clusters with labels beyond what shuffled labels have.

    `groups` (utterances,) are shuffled as wholes, since a voice's utterances are not independent.
    """

    floor: str
    measure: Agreement
    labels: Sequence[str]
    clusters: ArrayLike
    groups: Sequence[str] | None
    spoken_by: Sequence[str]

    def floor_estimate(self, rng: np.random.Generator) -> Estimate:
        """The mean and the middle 95% of the agreement with shuffled labels."""
        null = self._null(LEAST_PERMUTATIONS, rng)
        low, high = np.quantile(null, [0.025, 0.975])
        method = f"{len(null)} permutations"
        return Estimate(
            float(null.mean()), float(low), float(high), len(set(self.spoken_by)), method
        )

    def difference(self, level: float, rng: np.random.Generator) -> Estimate:
        """Agreement minus its mean over shuffled labels.

        The lower end is a test by inversion: it lies above 0 just where the agreement exceeds the (1 + level) / 2
        quantile of the shuffled ones. The upper end also covers the spread over speakers.
        """
        truth, own = np.asarray(self.labels), np.asarray(self.clusters)
        count = len(set(self.spoken_by))
        value = agreement(self.measure, truth, own)
        tail = (1 - level) / 2
        wanted = math.ceil(PERMUTATIONS_PER_TAIL / max(tail, 1e-9))
        null = self._null(min(max(wanted, LEAST_PERMUTATIONS), MOST_PERMUTATIONS), rng)
        if tail * len(null) < 1:
            # So many tests that no number of permutations that is run could pass one of them.
            return _unknown(value - float(null.mean()), count, "too many tests for permutations")
        # As an order statistic of the permutations, never below it: the test keeps its level.
        ordered = np.sort(null)
        place = min(len(ordered) - 1, math.ceil((1 - tail) * (len(ordered) + 1)) - 1)
        beyond = value - float(null.mean())
        low = value - float(ordered[place])
        high = value - float(np.quantile(null, tail))
        error = _error(
            lambda kept: agreement(self.measure, truth[kept], own[kept]), value, self.spoken_by
        )
        if error is not None:
            high = max(high, beyond + _t(level, count) * error)
        method = f"{len(null)} permutations, jackknife t over {count} speakers"
        return Estimate(beyond, min(low, beyond), max(high, beyond), count, method)

    @property
    def speakers(self) -> tuple[str, ...]:
        """All of them."""
        return names_of(self.spoken_by)

    def leakage(self, rng: np.random.Generator) -> Replicates:
        """The agreement without each speaker; no draws, since `agreement_estimate` rests on none."""
        return _without_each(self.measure, self.labels, self.clusters, self.spoken_by)

    def _null(self, permutations: int, rng: np.random.Generator) -> np.ndarray:
        from esrt_privacy.measures.clustering import permuted_agreements

        return permuted_agreements(
            self.labels, self.clusters, rng, self.measure, permutations, self.groups
        )


@dataclass(frozen=True)
class ClusteringComparison:
    """Agreement of one clustering with labels beyond that of another one of the same utterances."""

    floor: str
    measure: Agreement
    labels: Sequence[str]
    own: ArrayLike
    other: ArrayLike
    spoken_by: Sequence[str]

    def difference(self, level: float, rng: np.random.Generator) -> Estimate:
        """The one's agreement minus the other's, with a jackknife interval over speakers; `rng` is not used."""
        truth, own, other = (np.asarray(x) for x in (self.labels, self.own, self.other))
        count = len(set(self.spoken_by))

        def beyond(kept: np.ndarray) -> float:
            mine = agreement(self.measure, truth[kept], own[kept])
            return mine - agreement(self.measure, truth[kept], other[kept])

        value = beyond(np.ones(len(truth), dtype=bool))
        error = _error(beyond, value, self.spoken_by)
        if error is None:
            return _unknown(value, count, "too few speakers, or all of them alike")
        half = _t(level, count) * error
        return Estimate(
            value, value - half, value + half, count, f"jackknife t over {count} speakers"
        )

    @property
    def speakers(self) -> tuple[str, ...]:
        """All of them."""
        return names_of(self.spoken_by)

    def leakage(self, rng: np.random.Generator) -> Replicates:
        """See `PermutationComparison.leakage`."""
        return _without_each(self.measure, self.labels, self.own, self.spoken_by)


def _error(
    statistic: Callable[[np.ndarray], float], value: float, speakers: Sequence[str]
) -> float | None:
    """Delete-one-speaker standard error; None with fewer than three speakers or without any spread."""
    replicates = _jackknife(statistic, speakers)
    if len(replicates) < 3:
        return None
    error = jackknife_error(replicates[np.isfinite(replicates)], value)
    return error if error > 0 else None


def _jackknife(statistic: Callable[[np.ndarray], float], speakers: Sequence[str]) -> Floats:
    """(speakers,) the statistic without each of them; empty where nobody else is left."""
    names, index = np.unique(np.asarray(speakers), return_inverse=True)
    if len(names) < 2:
        return np.empty(0)
    return np.array([statistic(index != i) for i in range(len(names))])


def _without_each(
    measure: Agreement, labels: Sequence[str], clusters: ArrayLike, speakers: Sequence[str]
) -> Replicates:
    truth, own = np.asarray(labels), np.asarray(clusters)
    jackknife = _jackknife(lambda kept: agreement(measure, truth[kept], own[kept]), speakers)
    value = agreement(measure, truth, own)
    return Replicates(value, jackknife, np.empty(0), len(names_of(speakers)), clip=(0.0, 1.0))


def _t(level: float, count: int) -> float:
    return float(stats.t.ppf((1 + level) / 2, count - 1))


def _unknown(value: float, count: int, reason: str) -> Estimate:
    return Estimate(value, float("nan"), float("nan"), count, f"undefined: {reason}")
