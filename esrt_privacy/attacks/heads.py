"""Trained heads: what a semi-informed attacker learns from labelled tensors, for voices, classes and numbers alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

from esrt_privacy.attacks.sequences import remembered
from esrt_privacy.captures import Capture
from esrt_privacy.corpora import Utterance
from esrt_privacy.errors import AttackError
from esrt_privacy.progress import Reporter, silent

HEADS = ("linear", "attentive", "ecapa")
Task = Literal["embedding", "classes", "regression"]
Curve = tuple[tuple[int, float], ...]


class TrainedHead(Protocol):
    """A head after its training.

    `curve` has (training steps, error on the development utterances): the EER of all their pairs for an embedding, the
    cross-entropy in nats for classes, the mean absolute error for regression; empty without development utterances.
    The linear head is solved in one step, whose number is that of the utterances it saw.
    """

    @property
    def name(self) -> str: ...

    @property
    def curve(self) -> Curve: ...

    @property
    def classes(self) -> tuple[str, ...]:
        """What `log_probabilities` has columns for, sorted; the training speakers for an embedding."""
        ...

    def embed(self, capture: Capture, utterances: Sequence[Utterance]) -> np.ndarray:
        """(utterances, size) float32 of unit length; of any task, where it is what the answer is made from."""
        ...

    def log_probabilities(self, capture: Capture, utterances: Sequence[Utterance]) -> np.ndarray:
        """(utterances, classes), natural logarithms. AttackError unless trained for classes."""
        ...

    def predict(self, capture: Capture, utterances: Sequence[Utterance]) -> np.ndarray:
        """(utterances,), or (utterances, values) for labels of that shape. AttackError unless for regression."""
        ...


def train_head(
    name: str,
    capture: Capture,
    training: Sequence[Utterance],
    labels: ArrayLike,
    development: Sequence[Utterance],
    development_labels: ArrayLike,
    task: Task,
    seed: int,
    budget: float = 1.0,
    report: Reporter = silent,
    trim: bool = True,
) -> TrainedHead:
    """Train one of HEADS on a capture's utterances.

    `labels` are names for an embedding and for classes, and numbers (utterances,) or (utterances, values) for
    regression. `development` chooses what can be chosen (shrinkage, when to stop) and may be empty. `trim` is that of
    `sequences`: False for attacks on the duration. The same data and seed give the same head. Give a capture that was
    `remembered` where several heads are trained on it.

    Raises AttackError for an unknown head, for labels that never vary, and for tensors that are no numbers.
    """
    known = _checked(name, training, labels, development, development_labels, task)
    capture = remembered(capture, trim)
    if name == "linear":
        from esrt_privacy.attacks.heads_linear import train_linear

        return train_linear(capture, training, known[0], development, known[1], task, trim)
    from esrt_privacy.attacks.heads_training import train_network

    return train_network(
        name, capture, training, known[0], development, known[1], task, seed, budget, report, trim
    )


def _checked(
    name: str,
    training: Sequence[Utterance],
    labels: ArrayLike,
    development: Sequence[Utterance],
    development_labels: ArrayLike,
    task: Task,
) -> tuple[np.ndarray, np.ndarray]:
    if name not in HEADS:
        raise AttackError(f"no head '{name}'; the heads are {', '.join(HEADS)}")
    kind = np.float32 if task == "regression" else np.str_
    own, watched = np.asarray(labels, dtype=kind), np.asarray(development_labels, dtype=kind)
    if len(own) != len(training) or len(watched) != len(development):
        raise AttackError(
            f"{len(own)} labels for {len(training)} training utterances and {len(watched)} for"
            f" {len(development)} development utterances"
        )
    if len(own) < 2 or len(np.unique(own, axis=0)) < 2:
        raise AttackError(
            f"nothing to learn: all {len(own)} training utterances have one label; give more data"
        )
    if task == "regression" and not (np.isfinite(own).all() and np.isfinite(watched).all()):
        raise AttackError("a label is no number; leave its utterance out")
    return own, watched.reshape((len(watched), *own.shape[1:]))
