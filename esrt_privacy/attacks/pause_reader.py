"""From a tensor to its speech and pauses: each vector tells of the stretch of time that it stands for.

Vector i of v stands for the i-th of v parts of the 30 s window; one map for all of them tells the speech in it, 10 ms
by 10 ms. Since vectors need not follow time, a map from the whole tensor is tried too. Both are solved in moments, and
with a few hundred utterances they did better than the reconstruction network.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from esrt_privacy.attacks.heads import train_head
from esrt_privacy.attacks.heads_linear import ridge
from esrt_privacy.attacks.sequences import remembered
from esrt_privacy.attacks.speech_pauses import FRAMES
from esrt_privacy.captures import Capture
from esrt_privacy.corpora import Utterance
from esrt_privacy.errors import AttackError
from esrt_privacy.esrt.config import MEL_FRAMES

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
THRESHOLDS = tuple(float(t) for t in np.arange(0.2, 0.85, 0.05))
CONTEXT_SECONDS = 0.08  # on either side, where vectors are as fine as that
CONTEXT_COMPONENTS = 48  # of a vector that is seen with its neighbours
MOST_ROWS = 40_000
LATE = 8  # of the vectors behind the longest training utterance every so many is learnt from
MOST_WHOLE = 100_000  # values of a tensor that is read as a whole
HIDDEN = 64
_TINY = 1e-6

Masks = Mapping[str, np.ndarray]  # by utterance id, (frames,) of 20 ms
Answer = Callable[[np.ndarray], np.ndarray]  # (vectors, features) -> (vectors, frames of 10 ms)
Read = Callable[
    [Sequence[Utterance]], np.ndarray
]  # utterances -> (utterances, 1500), the more the surer of speech


@dataclass(frozen=True)
class PauseReader:
    """What errs least on the development utterances, and the threshold at which it does."""

    name: str
    threshold: float
    speech: Read = field(repr=False)

    def read(self, utterances: Sequence[Utterance]) -> np.ndarray:
        """True where there is speech, (utterances, 1500) frames of 20 ms."""
        return self.speech(utterances) > self.threshold


def train_pause_reader(
    capture: Capture,
    training: Sequence[Utterance],
    development: Sequence[Utterance],
    masks: Masks,
    seed: int,
) -> PauseReader:
    """Learn from utterances whose `masks` are known. The same data and seed give the same reader.

    Raises AttackError with fewer than two training utterances.
    """
    if len(training) < 2:
        raise AttackError(
            f"{capture.tap}: {len(training)} utterances to learn pauses from, at least 2 are needed"
        )
    judges = development or training
    best: PauseReader | None = None
    least = math.inf
    for name, speech in _candidates(capture, training, development, masks, seed):
        heard = speech(judges)
        for threshold in THRESHOLDS:
            error = wrong_share(heard > threshold, judges, masks)
            if error < least:
                best, least = PauseReader(name, threshold, speech), error
    assert best is not None
    return best


def wrong_share(guesses: np.ndarray, utterances: Sequence[Utterance], masks: Masks) -> float:
    """Wrong frames of guesses (utterances, 1500), those behind the end too, for each frame of the utterances."""
    wrong = total = 0
    for row, u in zip(guesses, utterances, strict=True):
        truth = masks[u.id]
        wrong += int((row[: len(truth)] != truth).sum()) + int(row[len(truth) :].sum())
        total += len(truth)
    return wrong / total


def _candidates(
    capture: Capture,
    training: Sequence[Utterance],
    development: Sequence[Utterance],
    masks: Masks,
    seed: int,
) -> Iterator[tuple[str, Read]]:
    for equal in (False, True):
        view = _View.fitted(capture, training, masks, equal)
        rows, targets = view.learnt(training, masks, seed)
        scale = "channels of equal scale" if equal else "channels as they are"
        solve = ridge(rows, targets)
        for penalty in PENALTIES:
            weights, offset, _ = solve(penalty)
            yield f"each vector, {scale}", view.reading(_linear(weights, offset))
        if view.context and not equal:
            network = _network(rows, targets, seed)
            yield "each vector with its neighbours, a network", view.reading(network)
    alike = len({masks[u.id].tobytes() for u in training}) < 2
    if math.prod(capture.shape) <= MOST_WHOLE and not alike:
        yield "the whole tensor", _whole(capture, training, development, masks, seed)


@dataclass(frozen=True)
class _View:
    """A vector as it is looked at: scaled, and where vectors are fine among its neighbours and its utterance."""

    capture: Capture
    mean: np.ndarray
    scale: np.ndarray
    axes: np.ndarray | None  # principal directions of a vector; None: as it is
    context: int  # neighbours on either side
    used: int  # vectors that the training utterances fill

    @property
    def frames(self) -> int:
        """Of 10 ms, for each vector."""
        return math.ceil(MEL_FRAMES / self.capture.shape[0])

    @classmethod
    def fitted(
        cls, capture: Capture, training: Sequence[Utterance], masks: Masks, equal: bool
    ) -> _View:
        """Scaled by what the training utterances' speech has; `equal` gives all channels one deviation."""
        vectors = capture.shape[0]
        longest = max(len(masks[u.id]) for u in training) * (MEL_FRAMES // FRAMES)
        used = min(vectors, math.ceil(longest / math.ceil(MEL_FRAMES / vectors)) + 1)
        spoken = np.concatenate([_vectors(capture, u)[:used] for u in training])
        mean, deviation = spoken.mean(axis=0), spoken.std(axis=0)
        floor = max(_TINY, 0.05 * float(deviation.mean()))  # what hardly varies is not blown up
        scale = (
            np.maximum(deviation, floor)
            if equal
            else np.full_like(mean, max(_TINY, float(spoken.std())))
        )
        context = round(CONTEXT_SECONDS * vectors / (MEL_FRAMES / 100))
        axes = None
        if context:
            scaled = (spoken - mean) / scale
            _, axes = np.linalg.eigh((scaled.T @ scaled).astype(np.float64))
            axes = axes[:, ::-1][:, :CONTEXT_COMPONENTS].astype(np.float32)
        return cls(capture, mean, scale, axes, context, used)

    def learnt(
        self, training: Sequence[Utterance], masks: Masks, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows (vectors, features) and what they stand for (vectors, frames of 10 ms), at most MOST_ROWS."""
        places = np.r_[: self.used, self.used : self.capture.shape[0] : LATE]
        share = min(1.0, MOST_ROWS / (len(places) * len(training)))
        rng = np.random.default_rng([seed, 14])
        rows, targets = [], []
        for u in training:
            kept = places[rng.random(len(places)) < share] if share < 1 else places
            fine = np.repeat(masks[u.id], MEL_FRAMES // FRAMES)
            truth = np.zeros((self.capture.shape[0], self.frames), dtype=np.float32)
            truth.flat[: len(fine)] = fine[: truth.size]
            rows.append(self.features(u)[kept])
            targets.append(truth[kept])
        return np.concatenate(rows), np.concatenate(targets)

    def features(self, utterance: Utterance) -> np.ndarray:
        """(vectors, features)."""
        x = (_vectors(self.capture, utterance) - self.mean) / self.scale
        if self.axes is None:
            return x
        x = x @ self.axes
        padded = np.pad(x, ((self.context, self.context), (0, 0)), mode="edge")
        near = [padded[k : k + len(x)] for k in range(2 * self.context + 1)]
        # How loud the utterance and its noise are: what is a pause is a matter of both.
        whole = np.concatenate([x.mean(axis=0), x.max(axis=0), x.min(axis=0)])
        return np.hstack([*near, np.broadcast_to(whole, (len(x), len(whole)))])

    def reading(self, answer: Answer) -> Read:
        """Each vector's answer at its place in time."""

        def read(utterances: Sequence[Utterance]) -> np.ndarray:
            out = np.zeros((len(utterances), FRAMES), dtype=np.float32)
            for row, u in zip(out, utterances, strict=True):
                fine = answer(self.features(u)).reshape(-1)[:MEL_FRAMES]
                row[:] = fine.reshape(FRAMES, -1).mean(axis=1)
            return out

        return read


def _linear(weights: np.ndarray, offset: np.ndarray) -> Answer:
    return lambda rows: rows @ weights + offset


def _network(rows: np.ndarray, targets: np.ndarray, seed: int) -> Answer:
    """A network of one hidden layer on the rows."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    model = MLPRegressor(hidden_layer_sizes=(HIDDEN,), alpha=0.1, max_iter=25, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is stopped early on purpose
        model.fit(rows, targets if targets.shape[1] > 1 else targets[:, 0])
    return lambda x: np.asarray(model.predict(x)).reshape(len(x), -1)


def _whole(
    capture: Capture,
    training: Sequence[Utterance],
    development: Sequence[Utterance],
    masks: Masks,
    seed: int,
) -> Read:
    """Ridge regression of all frames on the whole tensor, for vectors that do not follow time."""
    longest = max(len(masks[u.id]) for u in training)

    def table(utterances: Sequence[Utterance]) -> np.ndarray:
        rows = np.zeros((len(utterances), longest))
        for row, u in zip(rows, utterances, strict=True):
            mask = masks[u.id][:longest]
            row[: len(mask)] = mask
        return rows

    kept = remembered(capture, trim=False)
    head = train_head(
        "linear",
        kept,
        training,
        table(training),
        development,
        table(development),
        "regression",
        seed,
        trim=False,
    )

    def read(utterances: Sequence[Utterance]) -> np.ndarray:
        values = np.asarray(head.predict(kept, utterances)).reshape(len(utterances), -1)
        return np.pad(values, ((0, 0), (0, FRAMES - values.shape[1])))

    return read


def _vectors(capture: Capture, utterance: Utterance) -> np.ndarray:
    return np.asarray(capture.tensor(utterance).float().numpy())
