"""One figure against one floor, as data: how much more leaks than is reached without the tensor.

Every difference is positive where the attack beats the floor, whichever way its metric runs, and resamples speakers:
both sides are measured on the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from esrt_privacy.measures.intervals import Bounds, Estimate, paired_difference
from esrt_privacy.measures.replicates import Replicates, ratio_replicates

DRAWS = 2000
TRIAL_DRAWS = 1000  # trial lists are long, so a draw costs more there

Column = tuple[Sequence[float], Sequence[float]]  # numerators and denominators, one an utterance


class Comparison(Protocol):
    """A figure and a floor of a finding, in the measure's unit."""

    @property
    def floor(self) -> str:
        """The floor's name, as in `Finding.floors`."""
        ...

    def difference(self, level: float, rng: np.random.Generator) -> Estimate:
        """How far the figure lies from the floor in the direction of leakage, with its interval."""
        ...

    @property
    def speakers(self) -> tuple[str, ...]:
        """Those over whom `leakage` draws, in its order: sorted, each once."""
        ...

    def leakage(self, rng: np.random.Generator) -> Replicates:
        """The figure by itself over `speakers`, signed so that more leaks where it is higher."""
        ...


@dataclass(frozen=True)
class RatioComparison:
    """Two ratios of sums over the same utterances, such as a WER or a mean.

    `sign` is +1 where a higher ratio means more leakage, -1 where a lower one does.
    """

    floor: str
    own: Column
    other: Column
    clusters: Sequence[str]  # one speaker an utterance
    sign: float = 1.0
    clip: Bounds | None = None  # what the difference cannot leave

    def difference(self, level: float, rng: np.random.Generator) -> Estimate:
        """See `measures.intervals.paired_difference`."""
        first, second = (self.own, self.other) if self.sign > 0 else (self.other, self.own)
        return paired_difference(*first, *second, self.clusters, rng, DRAWS, level, self.clip)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Those with a value."""
        above, below = np.asarray(self.own, dtype=np.float64)
        return names_of(
            np.asarray(self.clusters)[np.isfinite(above) & np.isfinite(below) & (below > 0)]
        )

    def leakage(self, rng: np.random.Generator) -> Replicates:
        """See `measures.replicates.ratio_replicates`."""
        own = ratio_replicates(*self.own, self.clusters, rng, DRAWS)
        return own if self.sign > 0 else _negated(own)


@dataclass(frozen=True)
class EerComparison:
    """The EER of the attack's scores against that of other scores of the same trials, or against chance.

    A trial without a score (nan) on either side is left out on both.
    """

    floor: str
    own_scores: ArrayLike  # (trials,)
    other_scores: ArrayLike | None  # None: chance, an EER of 0.5
    is_target: ArrayLike
    enrol: ArrayLike  # (trials,) the enrolled speaker
    test: ArrayLike  # (trials,) the tested speaker

    def difference(self, level: float, rng: np.random.Generator) -> Estimate:
        """The floor's EER minus the attack's, as shares."""
        from esrt_privacy.measures import verification

        if self.other_scores is None:
            own = verification.eer_speaker_bootstrap(
                self.own_scores,
                self.is_target,
                self.enrol,
                self.test,
                rng,
                draws=TRIAL_DRAWS,
                level=level,
            )
            return _from_chance(own, 0.5, -1.0)
        return verification.eer_difference_speaker_bootstrap(
            self.other_scores,
            self.own_scores,
            self.is_target,
            self.enrol,
            self.test,
            rng,
            draws=TRIAL_DRAWS,
            level=level,
        )

    @property
    def speakers(self) -> tuple[str, ...]:
        """All who are enrolled or tested."""
        return names_of(np.union1d(np.unique(self.enrol), np.unique(self.test)))

    def leakage(self, rng: np.random.Generator) -> Replicates:
        """Minus the EER; see `measures.trial_bootstrap.eer_replicates`."""
        from esrt_privacy.measures.trial_bootstrap import eer_replicates

        return _negated(
            eer_replicates(self.own_scores, self.is_target, self.enrol, self.test, rng, TRIAL_DRAWS)
        )


@dataclass(frozen=True)
class AccuracyComparison:
    """The balanced accuracy of the attack's answers against that of other answers, or against chance."""

    floor: str
    truth: ArrayLike  # (utterances,) labels
    own: ArrayLike  # (utterances,) answers
    other: ArrayLike | float  # answers, or chance as a share
    clusters: ArrayLike  # (utterances,) speakers

    def difference(self, level: float, rng: np.random.Generator) -> Estimate:
        """The attack's balanced accuracy minus the floor's, as shares."""
        from esrt_privacy.measures import classification

        if isinstance(self.other, float):
            own = classification.balanced_accuracy_speaker_bootstrap(
                self.truth, self.own, self.clusters, rng, draws=DRAWS, level=level
            )
            return _from_chance(own, self.other, 1.0)
        return classification.balanced_accuracy_difference(
            self.truth, self.own, self.other, self.clusters, rng, draws=DRAWS, level=level
        )

    @property
    def speakers(self) -> tuple[str, ...]:
        """All of them."""
        return names_of(self.clusters)

    def leakage(self, rng: np.random.Generator) -> Replicates:
        """The balanced accuracy; see `measures.classification.classification_replicates`."""
        from esrt_privacy.measures import classification

        return classification.classification_replicates(
            classification.balanced_accuracy_of, self.truth, self.own, self.clusters, rng, DRAWS
        )


def names_of(clusters: ArrayLike) -> tuple[str, ...]:
    """Speakers as measures order them: sorted, each once."""
    return tuple(str(name) for name in np.unique(np.asarray(clusters)))


def _negated(own: Replicates) -> Replicates:
    return replace(
        own,
        value=-own.value,
        jackknife=-own.jackknife,
        resampled=-own.resampled,
        clip=None if own.clip is None else (-own.clip[1], -own.clip[0]),
        share=None if own.share is None else (-own.share[1], -own.share[0]),
    )


def _from_chance(own: Estimate, chance: float, sign: float) -> Estimate:
    """sign · (own - chance) with its interval."""
    ends = [sign * (own.low - chance), sign * (own.high - chance)]
    # nan in either end stays nan: min and max would drop it.
    low, high = ends if sign > 0 else ends[::-1]
    return Estimate(sign * (own.value - chance), low, high, own.n, own.method)
