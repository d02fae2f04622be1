"""One figure against one floor, as data: how much more leaks than is reached without the tensor.

Every difference is positive where the attack beats the floor, whichever way its metric runs, and resamples speakers:
both sides are measured on the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from esrt_privacy.measures.intervals import Estimate, paired_difference

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

    def difference(self, level: float, rng: np.random.Generator) -> Estimate:
        """See `measures.intervals.paired_difference`."""
        first, second = (self.own, self.other) if self.sign > 0 else (self.other, self.own)
        return paired_difference(*first, *second, self.clusters, rng, DRAWS, level)


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


def _from_chance(own: Estimate, chance: float, sign: float) -> Estimate:
    """sign · (own - chance) with its interval."""
    ends = [sign * (own.low - chance), sign * (own.high - chance)]
    # nan in either end stays nan: min and max would drop it.
    low, high = ends if sign > 0 else ends[::-1]
    return Estimate(sign * (own.value - chance), low, high, own.n, own.method)
