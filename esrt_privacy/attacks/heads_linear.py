"""The linear head: a closed form on the tensors' mean and deviation, or on the whole tensor, that takes moments.

For voices it is linear discriminant analysis as two-covariance PLDA uses it: directions in which speakers differ more
than one speaker's utterances do, each weighted by how much more. For numbers it is ridge regression on the
same features, for classes logistic regression on these and on the statistics of `heads_statistics`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np

from esrt_privacy.attacks.heads import Curve, Task
from esrt_privacy.attacks.heads_statistics import fit_statistics
from esrt_privacy.attacks.scoring import pairs_eer, unit_length
from esrt_privacy.attacks.sequences import STEPS, comes_whole, pooled, sequences
from esrt_privacy.captures import Capture
from esrt_privacy.corpora import Utterance
from esrt_privacy.errors import AttackError
from esrt_privacy.measures.classification import balanced_cross_entropy

SHRINKAGES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)  # of the within-speaker covariance
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)  # of ridge and logistic regression, per utterance
UNWATCHED = 0.1  # of either, where no development utterances choose
MOST_FEATURES = 100_000  # beyond, whole tensors would fill the memory
MOST_DIRECTIONS = 512  # principal directions kept
_TINY = 1e-8
Floats = np.ndarray
Solved = tuple[Floats, Floats, tuple[str, ...]]  # weights, offset, classes
Solver = Callable[[float], Solved]  # by the strength of shrinkage or penalty


class Reading(Protocol):
    """What is read off an utterance's tensor for a linear answer."""

    def of(self, capture: Capture, utterances: Sequence[Utterance]) -> Floats:
        """(utterances, features) float64."""
        ...


@dataclass(frozen=True)
class Features:
    """Features in the principal directions of the training utterances."""

    whole: bool  # each vector at its place, else mean and deviation over the vectors
    # mean and deviation of each (vector, channel), where tensors come whole
    places: tuple[Floats, Floats] | None
    mean: Floats
    scale: Floats
    directions: Floats  # (features, kept)
    trim: bool

    def of(self, capture: Capture, utterances: Sequence[Utterance]) -> Floats:
        """(utterances, kept) float64."""
        raw = _raw(capture, utterances, self.whole, self.places, self.trim)
        return np.asarray(((raw - self.mean) / self.scale) @ self.directions, dtype=np.float64)


@dataclass(frozen=True)
class LinearHead:
    """A solved linear head; see `heads.TrainedHead`."""

    curve: Curve
    classes: tuple[str, ...]
    task: Task
    features: Reading
    weights: Floats  # (features, outputs)
    offset: Floats  # (outputs,)

    @property
    def name(self) -> str:
        """As in HEADS."""
        return "linear"

    def embed(self, capture: Capture, utterances: Sequence[Utterance]) -> np.ndarray:
        """(utterances, outputs) float32 of unit length."""
        return np.asarray(unit_length(self._outputs(capture, utterances)), dtype=np.float32)

    def log_probabilities(self, capture: Capture, utterances: Sequence[Utterance]) -> np.ndarray:
        """(utterances, classes)."""
        if self.task != "classes":
            raise AttackError(f"a head trained for {self.task} gives no probabilities")
        return _log_softmax(self._outputs(capture, utterances))

    def predict(self, capture: Capture, utterances: Sequence[Utterance]) -> np.ndarray:
        """(utterances,) or (utterances, values)."""
        if self.task != "regression":
            raise AttackError(f"a head trained for {self.task} predicts no numbers")
        values = self._outputs(capture, utterances)
        return values if values.shape[1] > 1 else values[:, 0]

    def _outputs(self, capture: Capture, utterances: Sequence[Utterance]) -> Floats:
        return self.features.of(capture, utterances) @ self.weights + self.offset


def train_linear(
    capture: Capture,
    training: Sequence[Utterance],
    labels: np.ndarray,
    development: Sequence[Utterance],
    development_labels: np.ndarray,
    task: Task,
    trim: bool,
) -> LinearHead:
    """See `heads.train_head`. Features and shrinkage are those with the least development error."""
    best: LinearHead | None = None
    strengths = SHRINKAGES if task == "embedding" else PENALTIES
    for features in _readings(capture, training, task, trim):
        own = features.of(capture, training)
        watched = features.of(capture, development)
        solve = SOLVERS[task](own, labels)
        for strength in strengths if len(development) else (UNWATCHED,):
            weights, offset, classes = solve(strength)
            answers = watched @ weights + offset
            error = _error(answers, development_labels, classes, task)
            if best is None or error < best.curve[0][1]:
                curve = ((len(training), error),)
                best = LinearHead(curve, classes, task, features, weights, offset)
    assert best is not None
    if task == "classes":
        # It was solved, and chosen, as if every class were met equally often.
        shares = np.array([np.mean(labels == name) for name in best.classes])
        best = replace(best, offset=best.offset + np.log(shares))
    return best if len(development) else replace(best, curve=())


def discriminant(rows: Floats, speakers: np.ndarray, shrinkage: float) -> Floats:
    """Directions in which speakers differ most against their own spread, (features, directions).

    With the within-speaker covariance W, shrunk towards a multiple of the unit matrix, and the between-speaker
    covariance B: the eigenvectors of B in the space where W is the unit matrix, at most as many as speakers less one.

    Source: Fisher's discriminant for many classes, Rao, JRSS B 10 (1948); shrinkage: Friedman, "Regularized
    Discriminant Analysis", JASA 84 (1989), doi:10.1080/01621459.1989.10478752.
    """
    names, place, counts = np.unique(speakers, return_inverse=True, return_counts=True)
    means = np.zeros((len(names), rows.shape[1]))
    np.add.at(means, place, rows)
    means /= counts[:, None]
    residual = rows - means[place]
    size = rows.shape[1]
    within = residual.T @ residual / max(1, len(rows) - len(names))
    level = np.trace(within) / size
    # Speakers with one utterance each have no spread of their own: then nothing is whitened.
    unit = np.eye(size)
    within = (1 - shrinkage) * within + (shrinkage * level if level > _TINY else 1.0) * unit
    spread, axes = np.linalg.eigh(within)
    whitening = axes / np.sqrt(np.maximum(spread, _TINY))
    centred = (means - means.mean(axis=0)) @ whitening
    _, strength, directions = np.linalg.svd(centred, full_matrices=False)
    kept = max(1, int((strength[: len(names) - 1] > _TINY * strength[0]).sum()))
    return np.asarray(whitening @ directions[:kept].T)


def _discriminant(rows: Floats, labels: np.ndarray, strength: float) -> Solved:
    weights = discriminant(rows, labels, strength)
    return weights, -rows.mean(axis=0) @ weights, tuple(sorted(set(labels.tolist())))


def ridge(rows: Floats, labels: np.ndarray) -> Solver:
    """Least squares with a penalty (Hoerl & Kennard 1970, doi:10.1080/00401706.1970.10488634), for any strength of it.

    The penalty moves no principal direction of the rows, so these are found once for all strengths, by the smaller of
    both Gram matrices.
    """
    targets = np.asarray(labels, dtype=np.float64).reshape(len(labels), -1)
    mean, level = targets.mean(axis=0), rows.mean(axis=0)
    centred, rest = rows - level, targets - mean
    few = len(rows) < rows.shape[1]
    spread, axes = np.linalg.eigh(centred @ centred.T if few else centred.T @ centred)
    along = axes.T @ (rest if few else centred.T @ rest)

    def solved(strength: float) -> Solved:
        damped = np.maximum(spread, 0.0) + strength * len(rows)
        weights = axes @ (along / damped[:, None])
        weights = centred.T @ weights if few else weights
        return weights, mean - level @ weights, ()

    return solved


def _logistic(rows: Floats, labels: np.ndarray, strength: float) -> Solved:
    from sklearn.linear_model import LogisticRegression

    # Each class counts alike, however many utterances it has: rare ones would never be answered.
    penalty = 1 / (strength * len(rows))
    model = LogisticRegression(C=penalty, class_weight="balanced", max_iter=1000).fit(rows, labels)
    weights, offset = model.coef_.T, model.intercept_
    if weights.shape[1] == 1:  # of two classes scikit-learn keeps the second's only
        weights, offset = np.hstack([-weights, weights]) / 2, np.r_[-offset, offset] / 2
    return weights, offset, tuple(str(name) for name in model.classes_)


SOLVERS: dict[Task, Callable[[Floats, np.ndarray], Solver]] = {
    "embedding": lambda rows, labels: partial(_discriminant, rows, labels),
    "classes": lambda rows, labels: partial(_logistic, rows, labels),
    "regression": ridge,
}


def _error(answers: Floats, truth: np.ndarray, classes: tuple[str, ...], task: Task) -> float:
    """Development error as `heads.TrainedHead` defines it; inf where it is not defined."""
    if not len(answers):
        return float("inf")
    if task == "embedding":
        return pairs_eer(unit_length(answers), truth)
    if task == "regression":
        return float(np.abs(answers - truth.reshape(answers.shape)).mean())
    met = [i for i, name in enumerate(truth) if str(name) in classes]
    known = [str(truth[i]) for i in met]
    return balanced_cross_entropy(_log_softmax(answers)[met], known, classes) if met else np.inf


def fit_features(
    capture: Capture,
    training: Sequence[Utterance],
    whole: bool,
    trim: bool,
    standardised: bool = True,
) -> Features:
    """Features fitted on the training utterances, each of deviation 1 or, not `standardised`, as strong as it comes."""
    places = _place_statistics(capture, training, trim) if comes_whole(capture, trim) else None
    raw = _raw(capture, training, whole, places, trim)
    mean = raw.mean(axis=0)
    scale = np.maximum(raw.std(axis=0), _TINY)
    if not standardised:
        scale = np.full_like(scale, np.sqrt(np.mean(scale**2)))
    return Features(whole, places, mean, scale, _principal((raw - mean) / scale), trim)


def feature_candidates(
    capture: Capture, training: Sequence[Utterance], trim: bool
) -> Iterator[Features]:
    """The features that are tried: pooled, pooled without standardising, and whole tensors where they come whole."""
    yield fit_features(capture, training, False, trim)
    if not comes_whole(capture, trim):
        # Components of falling strength, such as the transparent tensor's, are mostly noise at the end: made equal they
        # drown the rest.
        yield fit_features(capture, training, False, trim, standardised=False)
    elif min(capture.shape[0], STEPS) * capture.shape[1] <= MOST_FEATURES:
        yield fit_features(capture, training, True, trim)


def _readings(
    capture: Capture, training: Sequence[Utterance], task: Task, trim: bool
) -> Iterator[Reading]:
    """The candidates of a task. For classes of sequences in time they are what `heads_statistics` says of these."""
    if task == "classes":
        yield fit_statistics(capture, training, trim, equal=False)
        if not comes_whole(capture, trim):
            # Mean and deviation of every channel alike are mostly noise beside it, and chosen by chance.
            yield fit_statistics(capture, training, trim, equal=True)
            return
    yield from feature_candidates(capture, training, trim)


def _raw(
    capture: Capture,
    utterances: Sequence[Utterance],
    whole: bool,
    places: tuple[Floats, Floats] | None,
    trim: bool,
) -> Floats:
    """(utterances, features) float32: mean and deviation over the vectors, or all of them."""
    if places is None:
        return pooled(capture, utterances, trim)
    mean, deviation = places
    rows = []
    for u in utterances:
        steps = (sequences(capture, [u], trim)[0].numpy() - mean) / deviation
        rows.append(steps.ravel() if whole else np.r_[steps.mean(axis=0), steps.std(axis=0)])
    return np.stack(rows) if rows else np.zeros((0, mean.size if whole else 2 * mean.shape[1]))


def _place_statistics(
    capture: Capture, training: Sequence[Utterance], trim: bool
) -> tuple[Floats, Floats]:
    """Mean and deviation of each (vector, channel) over the training utterances."""
    total = square = np.zeros(1)
    for u in training:
        steps = sequences(capture, [u], trim)[0].numpy().astype(np.float64)
        total, square = total + steps, square + steps**2
    mean = total / len(training)
    deviation = np.sqrt(np.maximum(square / len(training) - mean**2, 0))
    floor = max(_TINY, 0.05 * float(deviation.mean()))  # what hardly varies is not blown up
    return mean.astype(np.float32), np.maximum(deviation, floor).astype(np.float32)


def _principal(centred: Floats) -> Floats:
    """Orthonormal directions, the strongest first, (features, kept), by the smaller Gram matrix."""
    count, size = centred.shape
    if size <= count:
        _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
        return np.asarray(axes[:, ::-1][:, :MOST_DIRECTIONS], dtype=centred.dtype)
    strength, left = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    kept = np.flatnonzero(strength > 1e-6 * strength[-1])[::-1][:MOST_DIRECTIONS]
    # In the rows' own precision: of whole tensors this product is most of what a linear head costs.
    turned = (left[:, kept] / np.sqrt(strength[kept])).astype(centred.dtype)
    return np.asarray(centred.T @ turned)


def _log_softmax(values: Floats) -> Floats:
    from scipy.special import log_softmax

    return np.asarray(log_softmax(values, axis=1))
