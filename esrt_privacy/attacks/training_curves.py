"""Whether a training had come to its end: then a figure is a value, else a bound of what more training would find."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

STILL_FALLING = "the development error still fell when the training ended: a bound of what can be had, not its value"
LEAST_SHARE = 0.02  # of the error that must have gone for a fall to matter
ONE_SIDED = 0.95
LEAST_LOOKS = 4
FALLING = 0.03  # of the least error before the last quarter of one training


def still_falling(curves: Iterable[Sequence[float]]) -> bool:
    """Whether the second half of the training brought the development error down by more than its noise.

    Each curve has the errors at its looks, in order, at equal distances; folds and seeds give several curves. The fall
    of one is the mean of the looks of its third quarter minus that of its last: what the first half reached does not
    matter, nor what single looks jump by. The falls' mean must exceed a fiftieth of the error and lie above zero by
    Student's t over the curves, one-sided at 95%. Fewer than two curves of four looks say nothing: False.
    """
    falls, errors = [], []
    for curve in curves:
        looks = np.asarray(curve, dtype=np.float64)
        looks = looks[np.isfinite(looks)]
        if len(looks) < LEAST_LOOKS:
            continue
        quarter = len(looks) // 4
        falls.append(float(looks[-2 * quarter : -quarter].mean() - looks[-quarter:].mean()))
        errors.append(float(looks[-2 * quarter : -quarter].mean()))
    if len(falls) < 2:
        return False
    noise = float(np.std(falls, ddof=1)) / np.sqrt(len(falls))
    needed = float(stats.t.ppf(ONE_SIDED, len(falls) - 1)) * noise
    return float(np.mean(falls)) > max(needed, LEAST_SHARE * float(np.mean(errors)))


def last_quarter_falls(amounts: Sequence[float], values: Sequence[float | None]) -> bool:
    """Whether the last quarter of one curve's training took more than FALLING off the least error before it.

    For one training alone, whose noise cannot be judged; several folds or seeds are for `still_falling`.
    """
    known = [(a, v) for a, v in zip(amounts, values, strict=True) if v is not None]
    if len(known) < 2:
        return False
    before = [v for a, v in known if a <= 0.75 * known[-1][0]]
    return bool(before) and known[-1][1] < (1 - FALLING) * min(before)
