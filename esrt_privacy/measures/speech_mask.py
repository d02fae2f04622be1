"""Where speech is and where pauses are, frame by frame: how far a guessed mask is off."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FRAME_SECONDS = 0.02


class BoundaryErrors(NamedTuple):
    """Seconds by which the first and the last speech are off, without sign."""

    onset: float
    offset: float


def frame_error(truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Weighted share of frames that are speech in one mask and a pause in the other.

    Args:
        truth, predicted: (frames,), true where there is speech.
        weights: (frames,), not negative. None: all 1; 0 leaves padding out.

    Returns nan without any weight. Raises ValueError when lengths differ or a weight is negative.
    """
    true, guess = _masks(truth, predicted)
    mass = np.ones(len(true)) if weights is None else np.asarray(weights, dtype=np.float64)
    if len(mass) != len(true):
        raise ValueError(f"{len(true)} frames but {len(mass)} weights")
    if (mass < 0).any():
        raise ValueError("a weight is negative")
    return float(mass[true != guess].sum() / mass.sum()) if mass.sum() > 0 else float("nan")


def boundary_errors(
    truth: ArrayLike, predicted: ArrayLike, frame_seconds: float = FRAME_SECONDS
) -> BoundaryErrors:
    """How far the beginning of the first speech and the end of the last are off.

    Args:
        truth, predicted: (frames,), true where there is speech.

    Both are nan when either mask holds no speech. Raises ValueError when lengths differ.
    """
    true, guess = (np.flatnonzero(mask) for mask in _masks(truth, predicted))
    if not len(true) or not len(guess):
        return BoundaryErrors(float("nan"), float("nan"))
    return BoundaryErrors(
        float(abs(int(true[0]) - int(guess[0])) * frame_seconds),
        float(abs(int(true[-1]) - int(guess[-1])) * frame_seconds),
    )


def _masks(truth: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    true, guess = np.asarray(truth, dtype=bool).ravel(), np.asarray(predicted, dtype=bool).ravel()
    if len(true) != len(guess):
        raise ValueError(f"{len(true)} true frames but {len(guess)} guessed")
    return true, guess
