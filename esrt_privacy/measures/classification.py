"""Guesses at a label (sex, language, emotion ...): accuracies from confusions, and their intervals."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from esrt_privacy.measures.intervals import Bounds, Estimate
from esrt_privacy.measures.replicates import Replicates, drawn_counts

Floats = NDArray[np.float64]

# A figure of confusions (..., labels, labels), rows the truth, columns the guesses.
Figure = Callable[[Floats], Floats]

# Confusions are held as labels², so an absurd number of labels is refused before it fills memory.
MOST_LABELS = 1000
CELLS_AT_ONCE = 1 << 22


def confusion(
    truth: ArrayLike,
    predicted: ArrayLike,
    weights: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> Floats:
    """Weight of each pair of label (row) and guess (column), (labels, labels).

    Args:
        truth, predicted: (utterances,) labels, numbers or strings.
        weights: (utterances,), not negative. None: all 1.
        labels: the order of rows and columns. None: all that occur, sorted.

    Raises ValueError when lengths differ, a weight is negative, a label is not among `labels`, or
    there are more than 1,000 labels.
    """
    cell, count, mass = _cells(truth, predicted, weights, labels)
    return np.bincount(cell, mass, count * count).astype(np.float64).reshape(count, count)


def accuracy_of(confusions: Floats) -> Floats:
    """Share of guesses that are right, (...); nan without any utterance."""
    hits = np.trace(confusions, axis1=-2, axis2=-1)
    with np.errstate(invalid="ignore"):
        return hits / confusions.sum(axis=(-2, -1))


def balanced_accuracy_of(confusions: Floats) -> Floats:
    """Mean over labels of the share of their utterances that is guessed right, (...).

    A label without an utterance is left out; nan where none has any. Chance is 1 / labels.
    """
    held = confusions.sum(axis=-1)
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    present = held > 0
    shares = np.divide(hits, held, out=np.zeros_like(held), where=present)
    with np.errstate(invalid="ignore"):
        return shares.sum(axis=-1) / present.sum(axis=-1)


def balanced_cross_entropy(logs: Floats, truth: Sequence[str], classes: Sequence[str]) -> float:
    """Mean over the labels of truth of the mean cross-entropy of their utterances, in nats.

    Args:
        logs: (utterances, classes) natural logarithms of probabilities.
        truth: (utterances,), each among `classes`; at least one.
    """
    columns = np.array([classes.index(name) for name in truth])
    own = -logs[np.arange(len(columns)), columns]
    return float(np.mean([own[columns == column].mean() for column in np.unique(columns)]))


def macro_f1_of(confusions: Floats) -> Floats:
    """Mean over labels of F1 = 2·hits / (utterances of the label + guesses of it), (...).

    A label that neither occurs nor is guessed is left out; one that is only guessed has F1 0.

    Source: van Rijsbergen, "Information Retrieval" (1979), ch. 7; the mean of F1 over labels:
    Opitz & Burst, "Macro F1 and Macro F1" (2019), arXiv:1911.03347.
    """
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    both = confusions.sum(axis=-1) + confusions.sum(axis=-2)
    present = both > 0
    f1 = np.divide(2 * hits, both, out=np.zeros_like(both), where=present)
    with np.errstate(invalid="ignore"):
        return f1.sum(axis=-1) / present.sum(axis=-1)


def accuracy(truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Share of guesses that are right; arguments and errors as `confusion`."""
    return float(accuracy_of(confusion(truth, predicted, weights)))


def balanced_accuracy(
    truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Mean recall over labels (`balanced_accuracy_of`); arguments and errors as `confusion`.

    Source: Brodersen et al., "The Balanced Accuracy and Its Posterior Distribution", ICPR 2010,
    doi:10.1109/ICPR.2010.764.
    """
    return float(balanced_accuracy_of(confusion(truth, predicted, weights)))


def macro_f1(truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean F1 over labels (`macro_f1_of`); arguments and errors as `confusion`."""
    return float(macro_f1_of(confusion(truth, predicted, weights)))


def balanced_accuracy_speaker_bootstrap(
    truth: ArrayLike,
    predicted: ArrayLike,
    clusters: ArrayLike,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
    weights: ArrayLike | None = None,
) -> Estimate:
    """Balanced accuracy with an interval over speakers.

    Args:
        truth, predicted: (utterances,) labels.
        clusters: (utterances,) speakers, each with one or with several labels.

    The interval is that of `Replicates.estimate` within [0, 1]. A draw that misses a label is
    judged on the others. Errors as `confusion`, and ValueError when clusters differ in length.
    """
    replicates = classification_replicates(
        balanced_accuracy_of, truth, predicted, clusters, rng, draws, weights
    )
    return replicates.estimate(level)


def balanced_accuracy_difference(
    truth: ArrayLike,
    predicted_a: ArrayLike,
    predicted_b: ArrayLike,
    clusters: ArrayLike,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
    weights: ArrayLike | None = None,
) -> Estimate:
    """Balanced accuracy of guesses a minus that of guesses b over the same utterances.

    Each draw takes the same speakers for both. Arguments, interval (within [-1, 1]) and errors as
    `balanced_accuracy_speaker_bootstrap`.
    """
    replicates = classification_replicates(
        balanced_accuracy_of, truth, predicted_a, clusters, rng, draws, weights, predicted_b
    )
    return replicates.estimate(level)


def classification_replicates(
    figure: Figure,
    truth: ArrayLike,
    predicted: ArrayLike,
    clusters: ArrayLike,
    rng: np.random.Generator,
    draws: int = 2000,
    weights: ArrayLike | None = None,
    beside: ArrayLike | None = None,
) -> Replicates:
    """A figure of confusions (`macro_f1_of` ...) over speakers, for intervals of any level.

    With `beside`, other guesses at the same utterances: the figure of `predicted` minus theirs.
    Arguments and errors as `balanced_accuracy_speaker_bootstrap`.
    """
    guesses = [np.asarray(predicted)] + ([] if beside is None else [np.asarray(beside)])
    names = np.unique(np.concatenate([np.unique(np.asarray(truth)), *map(np.unique, guesses)]))
    speakers, index = np.unique(np.asarray(clusters), return_inverse=True)
    tables = []
    for guess in guesses:
        cell, count, mass = _cells(truth, guess, weights, names)
        if len(index) != len(cell):
            raise ValueError(f"{len(index)} speaker labels for {len(cell)} utterances")
        shape = (len(speakers), count * count)
        tables.append(sparse.csr_matrix((mass, (index, cell)), shape=shape))

    def across(confusions: list[Floats]) -> Floats:
        each = [figure(c.reshape(-1, len(names), len(names))) for c in confusions]
        return each[0] if len(each) == 1 else each[0] - each[1]

    clip: Bounds = (0.0, 1.0) if beside is None else (-1.0, 1.0)
    totals = [np.asarray(table.sum(axis=0)) for table in tables]
    value = float(across(totals)[0])
    if len(speakers) < 2:
        return Replicates(value, np.empty(0), np.empty(0), len(speakers), clip)
    counts = drawn_counts(len(speakers), draws, rng)
    step = max(1, CELLS_AT_ONCE // len(names) ** 2)
    jackknife, resampled = [np.empty(0)], [np.empty(0)]
    for start in range(0, len(speakers), step):
        part = slice(start, start + step)
        pairs = zip(totals, tables, strict=True)
        jackknife.append(across([total - table[part].toarray() for total, table in pairs]))
    for start in range(0, draws, step):
        some = counts[start : start + step]
        resampled.append(across([some @ table for table in tables]))
    return Replicates(
        value, np.concatenate(jackknife), np.concatenate(resampled), len(speakers), clip
    )


def _cells(
    truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None, labels: ArrayLike | None
) -> tuple[NDArray[np.intp], int, Floats]:
    """(utterances,) cell of a flattened confusion, the number of labels, (utterances,) weights."""
    true, guess = np.asarray(truth).ravel(), np.asarray(predicted).ravel()
    mass = np.ones(len(true)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not len(true) == len(guess) == len(mass):
        raise ValueError(f"{len(true)} labels, {len(guess)} guesses, {len(mass)} weights")
    if (mass < 0).any():
        raise ValueError("a weight is negative")
    if labels is None:
        names = np.union1d(np.unique(true), np.unique(guess))
        order = np.arange(len(names))
    else:
        given = np.asarray(labels).ravel()
        order = np.argsort(given, kind="stable")
        names = given[order]
    if len(names) > MOST_LABELS:
        raise ValueError(f"{len(names)} labels, at most {MOST_LABELS} are compared")
    places = []
    for column in (true, guess):
        place = np.minimum(np.searchsorted(names, column), max(len(names) - 1, 0))
        if len(column) and not (len(names) and (names[place] == column).all()):
            raise ValueError("a label is not among those given")
        places.append(order[place] if len(names) else place)
    return places[0] * len(names) + places[1], len(names), mass
