"""Guesses at a number (duration, rate, age): errors, share explained, and its interval."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esrt_privacy.measures.intervals import Estimate
from esrt_privacy.measures.replicates import Replicates, drawn_counts

Floats = NDArray[np.float64]


def mean_absolute_error(
    truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Weighted mean of |predicted - truth|, in their unit.

    Args:
        truth, predicted: (utterances,). Where either is not finite the utterance is left out with
            its weight; the caller counts them.
        weights: (utterances,), not negative. None: all 1.

    Returns nan when no weight is left. With an interval:
    `intervals.speaker_bootstrap_ratio(abs(predicted - truth), ones, speakers, rng, clip=(0, inf))`.

    Raises ValueError when lengths differ or a weight is negative.
    """
    true, guess, mass = _finite(truth, predicted, weights)
    return _mean(np.abs(guess - true), mass)


def share_within(
    truth: ArrayLike,
    predicted: ArrayLike,
    tolerance: float = 0.05,
    weights: ArrayLike | None = None,
) -> float:
    """Weighted share of guesses that are off by at most `tolerance` of the true value.

    Arguments and errors as `mean_absolute_error`.
    """
    true, guess, mass = _finite(truth, predicted, weights)
    # A guess at exactly the tolerance counts, whatever floating point makes of it.
    allowed = tolerance * np.abs(true) * (1 + 1e-9)
    return _mean((np.abs(guess - true) <= allowed).astype(np.float64), mass)


def r_squared(truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Share of the truth's variance that the guesses explain; negative when the mean does better.

    1 - sum w (truth - predicted)² / sum w (truth - mean)². nan when the truth does not vary.
    Arguments and errors as `mean_absolute_error`.

    Source: Kvålseth, "Cautionary Note about R²", The American Statistician 39 (1985),
    doi:10.1080/00031305.1985.10479448 (its R² no. 1).
    """
    true, guess, mass = _finite(truth, predicted, weights)
    return float(_r_squared_of(_moments(true, guess, mass).sum(axis=0)))


def r_squared_speaker_bootstrap(
    truth: ArrayLike,
    predicted: ArrayLike,
    clusters: ArrayLike,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """R² with an interval over speakers (`Replicates.estimate`), at most 1.

    Args:
        clusters: (utterances,) speakers. Utterances with a value that is not finite are left out
            and `method` says how many.

    Raises ValueError when lengths differ.
    """
    labels = np.asarray(clusters)
    kept = np.isfinite(np.asarray(truth, np.float64)) & np.isfinite(
        np.asarray(predicted, np.float64)
    )
    if len(labels) != len(kept):
        raise ValueError(f"{len(labels)} speaker labels for {len(kept)} utterances")
    true, guess, mass = _finite(truth, predicted, None)
    names, index = np.unique(labels[kept], return_inverse=True)
    sums = np.zeros((len(names), 4))
    # About the mean, else squares of large numbers cancel.
    centre = true.mean() if len(true) else 0.0
    np.add.at(sums, index, _moments(true - centre, guess - centre, mass))
    total = sums.sum(axis=0)
    resampled = drawn_counts(len(names), draws, rng) @ sums if len(names) else np.empty((0, 4))
    left_out = int((~kept).sum())
    return Replicates(
        value=float(_r_squared_of(total)),
        jackknife=_r_squared_of(total - sums),
        resampled=_r_squared_of(resampled),
        speakers=len(names),
        clip=(-np.inf, 1.0),
        note=f"; {left_out} without a value left out" if left_out else "",
    ).estimate(level)


def _moments(true: Floats, guess: Floats, mass: Floats) -> Floats:
    """(utterances, 4) weight, weighted truth, its square, squared error."""
    return np.column_stack([mass, mass * true, mass * true**2, mass * (guess - true) ** 2])


def _r_squared_of(sums: Floats) -> Floats:
    """R² of summed `_moments`, (..., 4)."""
    weight, linear, square, error = np.moveaxis(sums, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        variation = square - linear**2 / weight
        return np.where(variation > 1e-12 * square, 1 - error / variation, np.nan)


def _finite(
    truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    true, guess = (np.asarray(x, dtype=np.float64).ravel() for x in (truth, predicted))
    mass = np.ones_like(true) if weights is None else np.asarray(weights, np.float64).ravel()
    if not len(true) == len(guess) == len(mass):
        raise ValueError(f"{len(true)} true values, {len(guess)} guesses, {len(mass)} weights")
    if (mass < 0).any():
        raise ValueError("a weight is negative")
    kept = np.isfinite(true) & np.isfinite(guess)
    return true[kept], guess[kept], mass[kept]


def _mean(values: Floats, mass: Floats) -> float:
    return float((values * mass).sum() / mass.sum()) if mass.sum() > 0 else float("nan")
