"""The length of an utterance from its tensor: linear readings of coarse steps, and where the padding begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from esrt_privacy.attacks.folds import Fold
from esrt_privacy.attacks.heads import train_head
from esrt_privacy.attacks.heads_linear import ridge
from esrt_privacy.attacks.sequences import pooled, remembered, sequences
from esrt_privacy.captures import Capture
from esrt_privacy.captures.capture import StoreView
from esrt_privacy.captures.store import About
from esrt_privacy.corpora import Corpus, Utterance
from esrt_privacy.corpora.audio import WINDOW_SECONDS
from esrt_privacy.progress import Reporter, silent

COARSE_STEPS = 100  # frames finer than 0.3 s are averaged: a sum over them tells the length as well
PADDING = "where the padding begins"
SHARES = "a line through the mean and deviation of the vectors"
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_TINY = 1e-8

Predict = Callable[[Sequence[Utterance]], np.ndarray]


@dataclass(frozen=True)
class LengthReader:
    """What errs least on a fold's development utterances."""

    name: str
    seconds: Predict = field(repr=False)  # utterances -> (utterances,)


def train_length_reader(
    capture: Capture,
    coarse: Capture,
    fold: Fold,
    seed: int,
    budget: float,
    report: Reporter = silent,
) -> LengthReader:
    """The linear head on the `coarse` capture, a line through means, both, or a line through where the padding begins.

    Network heads are not tried: on 222 utterances at the reference's encoder and Q-Former the attentive one erred twice
    as much as these and took forty times as long. Errors as `train_head`.
    """
    truth, watched = seconds_of(fold.training), seconds_of(fold.development)
    judges = fold.development or fold.training
    target = seconds_of(judges)
    head = train_head(
        "linear",
        coarse,
        fold.training,
        truth,
        fold.development,
        watched,
        "regression",
        seed,
        budget,
        report,
        trim=False,
    )
    candidates: dict[str, Predict] = {
        head.name: lambda rows: head.predict(coarse, rows),
        SHARES: _by_shares(coarse, fold.training, truth, judges, target),
        PADDING: _by_padding(capture, fold.training, truth),
    }
    pair = (candidates[head.name], candidates[SHARES])
    candidates[f"{head.name} and {SHARES}"] = lambda rows: np.mean([f(rows) for f in pair], axis=0)
    errors = {name: float(np.abs(f(judges) - target).mean()) for name, f in candidates.items()}
    best = min(errors, key=lambda name: errors[name])
    return LengthReader(best, candidates[best])


def _by_padding(capture: Capture, training: Sequence[Utterance], truth: np.ndarray) -> Predict:
    slope, level = _line(_padding_start(capture, training), truth)
    return lambda rows: slope * _padding_start(capture, rows) + level


def _by_shares(
    coarse: Capture,
    training: Sequence[Utterance],
    truth: np.ndarray,
    judges: Sequence[Utterance],
    target: np.ndarray,
) -> Predict:
    """Ridge regression on mean and deviation over all vectors, at the penalty that errs least on the judges.

    The padding's share of them is the length; the linear head scales each place by itself and so loses it.
    """
    rows = pooled(coarse, training, trim=False).astype(np.float64)
    mean, scale = rows.mean(axis=0), np.maximum(rows.std(axis=0), _TINY)

    solve = ridge((rows - mean) / scale, truth)

    def of(penalty: float) -> Predict:
        weights, offset, _ = solve(penalty)
        return lambda us: ((pooled(coarse, us, trim=False) - mean) / scale @ weights + offset)[:, 0]

    lines = [of(penalty) for penalty in PENALTIES]
    return min(lines, key=lambda line: float(np.abs(line(judges) - target).mean()))


def _padding_start(capture: Capture, utterances: Sequence[Utterance]) -> np.ndarray:
    """Steps before the vectors that all equal the last one, (utterances,).

    At the encoder `sequences` cuts by the true length, which an attacker does not hold: there it says nothing.
    """
    if capture.tap.partition(".")[0] == "encoder":
        return np.zeros(len(utterances))
    return np.array([float(len(sequences(capture, [u])[0])) for u in utterances])


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and level of the least-squares line; the mean where x does not vary."""
    if float(x.std()) == 0.0:
        return 0.0, float(y.mean())
    slope, level = np.polyfit(x, y, 1)
    return float(slope), float(level)


def seconds_of(utterances: Sequence[Utterance] | Corpus) -> np.ndarray:
    """True lengths in seconds, (utterances,)."""
    return np.array([u.duration for u in utterances], dtype=np.float64)


@dataclass
class _CoarseStore(StoreView):
    """A store whose vectors are averaged in groups."""

    group: int

    @property
    def about(self) -> About:
        about = self.inner.about
        vectors, width = about.shape
        return About(about.system, about.tap, about.fingerprint, (vectors // self.group, width))

    def tensor(self, key: str) -> Tensor:
        tensor = self.inner.tensor(key).float()
        whole = len(tensor) // self.group * self.group
        return tensor[:whole].unflatten(0, (-1, self.group)).mean(dim=1)


def coarser(capture: Capture) -> Capture:
    """The same capture with at most 2 · COARSE_STEPS vectors, neighbours averaged."""
    group = capture.shape[0] // COARSE_STEPS
    return capture if group < 2 else Capture(capture.corpus, _CoarseStore(capture.store, group))


@dataclass(frozen=True)
class Inferred:
    """Seconds of each test utterance, (utterances,): as its tensor tells them, and the median of those learnt from."""

    predicted: np.ndarray
    median: np.ndarray
    heads: tuple[str, ...]  # chosen, one a fold


def infer_lengths(
    capture: Capture,
    test: Corpus,
    folds: Sequence[Fold],
    seed: int,
    budget: float,
    report: Reporter = silent,
) -> Inferred:
    """Read the length of every test utterance by what was learnt in its fold."""
    label = f"duration at {capture.tap}"
    coarse = remembered(coarser(capture), trim=False)
    place = {u.id: i for i, u in enumerate(test)}
    predicted, median = np.full(len(test), np.nan), np.full(len(test), np.nan)
    heads = []
    for number, fold in enumerate(folds):
        report(label, number, len(folds))
        rows = [place[u.id] for u in fold.test]
        reader = train_length_reader(capture, coarse, fold, seed, budget, report)
        predicted[rows] = np.clip(reader.seconds(fold.test), 0.0, WINDOW_SECONDS)
        median[rows] = np.median(seconds_of((*fold.training, *fold.development)))
        heads.append(reader.name)
    report(label, len(folds), len(folds))
    return Inferred(predicted, median, tuple(heads))
