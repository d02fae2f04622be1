"""How many bits about a label reach the attacker: lower bounds of the mutual information."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from esrt_privacy.measures.intervals import Estimate, speaker_bootstrap_ratio

Floats = NDArray[np.float64]


def entropy_bits(labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Entropy of the labels' own frequencies, in bits; nan without any weight.

    Frequencies of a sample give somewhat too little, which keeps the bounds below honest.
    """
    _, index = np.unique(np.asarray(labels), return_inverse=True)
    shares = np.bincount(index.ravel(), _mass(index.size, weights))
    if not shares.sum() > 0:
        return float("nan")
    shares = shares / shares.sum()
    return float(-xlogy(shares, shares).sum() / np.log(2))


def information_gains(
    probabilities: ArrayLike, truth: ArrayLike, weights: ArrayLike | None = None
) -> Floats:
    """Bits, (utterances,), that a prediction tells of each label beyond the labels' frequencies.

    log2(q(y|x) / p(y)): their weighted mean is H(Y) minus the cross-entropy of the predictions,
    which no attacker's predictions can bring above I(X; Y), whatever model made them. So it is a
    lower bound, on data that the model was not trained on. -inf where the truth was ruled out.

    Args:
        probabilities: (utterances, labels) held-out predictions; rows sum to 1.
        truth: (utterances,) column of the true label.
        weights: (utterances,), not negative, for the frequencies. None: all 1.

    Raises ValueError when the shapes do not fit or a row is no distribution.

    Source: Barber & Agakov, "The IM Algorithm: A variational approach to Information
    Maximization", NeurIPS 2003; that it stays a bound for every model: the cross-entropy is at
    least the conditional entropy (Gibbs).
    """
    table, columns = np.asarray(probabilities, dtype=np.float64), np.asarray(truth, dtype=np.intp)
    if table.ndim != 2 or columns.shape != table.shape[:1]:
        raise ValueError(f"probabilities of shape {table.shape} for {columns.size} labels")
    if columns.size and not (columns.min() >= 0 and columns.max() < table.shape[1]):
        raise ValueError("a true label has no column")
    if not ((table >= 0).all() and np.allclose(table.sum(axis=1), 1, atol=1e-4)):
        raise ValueError("a row is no distribution: not negative, with the sum 1")
    frequencies = np.bincount(columns, _mass(len(columns), weights), table.shape[1])
    own = table[np.arange(len(columns)), columns]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log2(own) - np.log2(frequencies[columns] / frequencies.sum())


def information_bound(
    probabilities: ArrayLike, truth: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """I(X; Y) is at least this many bits: H(Y) minus the predictions' cross-entropy.

    May be negative, when the predictions are worse than the frequencies: show `at_least_zero` of
    it. Arguments and errors as `information_gains`; nan without any weight.
    """
    gains = information_gains(probabilities, truth, weights)
    mass = _mass(len(gains), weights)
    held = mass > 0
    if not held.any():
        return float("nan")
    return float(np.average(gains[held], weights=mass[held]))


def information_speaker_bootstrap(
    probabilities: ArrayLike,
    truth: ArrayLike,
    clusters: ArrayLike,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """`information_bound` with an interval over speakers, not cut at 0.

    The labels' frequencies stay those of all utterances; the gains are resampled
    (`intervals.speaker_bootstrap_ratio`). Raises as `information_gains`, and ValueError when a
    prediction rules the truth out: smooth the predictions, or one utterance outweighs all.
    """
    gains = information_gains(probabilities, truth)
    if np.isneginf(gains).any():
        raise ValueError("a prediction gives the true label the probability 0")
    return speaker_bootstrap_ratio(gains, np.ones_like(gains), clusters, rng, draws, level)


def at_least_zero(bits: float) -> float:
    """For display: an information is never negative, though its estimate may be. nan stays nan."""
    return bits if np.isnan(bits) else max(0.0, bits)


def fano_information(accuracy: float, labels: int, entropy: float | None = None) -> float:
    """I(X; Y) is at least this many bits when labels are guessed with this accuracy.

    H(Y) - h(e) - e·log2(labels - 1), e = 1 - accuracy, h the binary entropy. Where only guesses
    are known, no probabilities. May be negative.

    Args:
        labels: how many there are, at least 2.
        entropy: H(Y) in bits. None: log2(labels), all labels being as likely.

    Raises ValueError when the accuracy is no share or labels are fewer than 2.

    Source: Fano's inequality: Cover & Thomas, "Elements of Information Theory" (2006), theorem
    2.10.1, doi:10.1002/047174882X.
    """
    if not 0 <= accuracy <= 1:
        raise ValueError(f"{accuracy} is no accuracy")
    if labels < 2:
        raise ValueError(f"{labels} labels tell nothing apart")
    held = np.log2(labels) if entropy is None else entropy
    wrong = 1 - accuracy
    doubt = -(xlogy(wrong, wrong) + xlogy(accuracy, accuracy)) / np.log(2)
    return float(held - doubt - wrong * np.log2(labels - 1))


def gaussian_channel_bits(deviation: float, directions: int = 1) -> float:
    """Bits that one look tells of a normal signal in each of `directions`, of this deviation, in unit normal noise.

    directions / 2 · log2(1 + deviation²). Raises ValueError for a negative deviation.

    Source: Cover & Thomas, "Elements of Information Theory" (2006), theorem 9.1.1,
    doi:10.1002/047174882X.
    """
    if deviation < 0:
        raise ValueError(f"{deviation} is no deviation")
    return float(directions / 2 * np.log2(1 + deviation**2))


def discrete_channel_bits(values: ArrayLike, shares: ArrayLike) -> float:
    """Bits that one look tells which of a few values was sent, in unit normal noise.

    The entropy of the mixture of normals about the values minus that of one of them, by summation
    over a grid of 1/50 deviation.

    Args:
        values, shares: (values,), shares adding up to 1.

    Raises ValueError when shares are no distribution.

    Source: Cover & Thomas (2006), section 9.1: I(X; Y) = h(Y) - h(noise).
    """
    sent, weights = np.asarray(values, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    if sent.shape != weights.shape or (weights < 0).any() or not np.isclose(weights.sum(), 1):
        raise ValueError("shares are no distribution over the values")
    step = 0.02
    grid = np.arange(sent.min() - 8, sent.max() + 8, step)
    density = np.exp(-((grid[:, None] - sent) ** 2) / 2) @ weights / np.sqrt(2 * np.pi)
    entropy = -float(xlogy(density, density).sum()) * step / np.log(2)
    return max(0.0, entropy - float(np.log2(2 * np.pi * np.e)) / 2)


def residual_risk(attack: ArrayLike, control: ArrayLike) -> Floats:
    """What the attack succeeds at beyond the control, of what the control leaves: element by element.

    (attack - control) / (1 - control), shares of success. 0 where the attack does no better, 1
    where it never fails, negative where it does worse; nan where the control never fails.

    Raises ValueError when a value is not in [0, 1].

    Source: Giomi et al., "A Unified Framework for Quantifying Privacy Risk in Synthetic Data",
    PoPETs 2023, doi:10.56553/popets-2023-0055.
    """
    success, floor = np.broadcast_arrays(
        np.asarray(attack, dtype=np.float64), np.asarray(control, dtype=np.float64)
    )
    if ((success < 0) | (success > 1) | (floor < 0) | (floor > 1)).any():
        raise ValueError("a success rate is not in [0, 1]")
    left = 1 - floor
    return np.divide(success - floor, left, out=np.full(left.shape, np.nan), where=left > 0)


def _mass(count: int, weights: ArrayLike | None) -> Floats:
    mass = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64).ravel()
    if len(mass) != count:
        raise ValueError(f"{count} labels but {len(mass)} weights")
    if (mass < 0).any():
        raise ValueError("a weight is negative")
    return mass
