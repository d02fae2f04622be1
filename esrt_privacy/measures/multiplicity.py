"""Several findings at once: how strong each is, and what is left of it when all are counted."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esrt_privacy.measures.intervals import Estimate

# The search ends when it knows the level to a hundredth of itself.
PRECISION = 1.01


def significance(difference: Callable[[float], Estimate], smallest: float = 1e-6) -> float:
    """The smallest alpha whose two-sided interval at level 1 - alpha lies above zero.

    What a p-value is to a test, for any interval that narrows as its level falls; found by
    bisection, about 20 calls of `difference`. Let those share one bootstrap
    (`replicates.Replicates.estimate`), and one seed in any case, or the search chases its noise.

    Args:
        difference: level in (0, 1) -> value and interval at that level.
        smallest: returned where even this alpha leaves the interval above zero; draws of a
            bootstrap say nothing of a smaller one.

    Returns an alpha in [smallest, 1], on the cautious side of the search's precision of 1%; 1
    where no interval lies above zero, an undefined one (nan) included.
    """

    def above_zero(alpha: float) -> bool:
        return bool(difference(1 - alpha).low > 0)

    if above_zero(smallest):
        return smallest
    low, high = smallest, 0.999
    if not above_zero(high):
        return 1.0
    while high / low > PRECISION:
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if above_zero(middle) else (middle, high)
    return high


def holm(alphas: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down correction: each alpha as it counts among all of them, (tests,).

    Sorted, the k-th of m is multiplied by m - k + 1, is at least its predecessor and at most 1: a
    finding stands at 5% if its corrected value is at most 0.05, and the chance of any false one is
    then at most 5%. nan (no interval) counts as 1.

    Raises ValueError when a value is not in [0, 1].

    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal
    of Statistics 6 (1979).
    """
    values = np.asarray(alphas, dtype=np.float64).ravel()
    values = np.where(np.isnan(values), 1.0, values)
    if ((values < 0) | (values > 1)).any():
        raise ValueError("a significance is not in [0, 1]")
    order = np.argsort(values, kind="stable")
    stepped = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return corrected
