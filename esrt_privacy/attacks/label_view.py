"""What was answered to a label at one tap, over all seeds: what figures are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.training_curves import still_falling
from esrt_privacy.measures.classification import balanced_accuracy
from esrt_privacy.measures.information import information_gains

LINEAR = "linear"  # the head that is solved in one step


@dataclass(frozen=True)
class LabelView:
    """What was answered at one tap, over all seeds."""

    truth: np.ndarray  # (utterances,) names
    classes: tuple[str, ...]
    speakers: tuple[str, ...]
    logs: np.ndarray  # (utterances, classes): the seeds' probabilities averaged
    floors: Mapping[str, np.ndarray]  # log probabilities of the floors that can answer
    by_seed: Mapping[int, float]  # balanced accuracy
    heads: tuple[str, ...]
    falling: bool
    notes: tuple[str, ...]

    @property
    def answered(self) -> np.ndarray:
        """(utterances,) names."""
        return self.guessed(self.logs)

    def guessed(self, logs: np.ndarray) -> np.ndarray:
        """The likeliest class of each row."""
        return np.array(self.classes)[logs.argmax(axis=1)]

    def gains(self, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bits told of each utterance's class were all classes equally likely, and the weights that make them so."""
        columns = np.searchsorted(self.classes, self.truth)
        weights = 1.0 / np.bincount(columns, minlength=len(self.classes))[columns]
        return information_gains(np.exp(logs), columns, weights), weights


def label_view(answers: Mapping[tuple[str, int], Answers], tap: str, name: str) -> LabelView | None:
    """The answers on a label at one tap, the seeds' probabilities averaged; None where there are none."""
    from scipy.special import logsumexp

    held = {
        seed: found
        for (t, seed), found in sorted(answers.items())
        if t == tap and f"{name}.log_probabilities" in found.arrays
    }
    if not held:
        return None
    first = next(iter(held.values()))
    truth, classes = np.array(first.rows[f"{name}.truth"]), first.rows[f"{name}.classes"]
    tables = [np.asarray(a.arrays[f"{name}.log_probabilities"], np.float64) for a in held.values()]
    logs = logsumexp(np.stack(tables), axis=0) - np.log(len(tables))
    prefix, own = f"{name}.", {"log_probabilities", "curve"}
    floors = {
        key.removeprefix(prefix): np.asarray(table, dtype=np.float64)
        for key, table in first.arrays.items()
        if key.startswith(prefix) and key.removeprefix(prefix) not in own
    }
    by_seed = {
        seed: balanced_accuracy(truth, np.array(classes)[table.argmax(axis=1)])
        for seed, table in zip(held, tables, strict=True)
    }
    return LabelView(
        truth,
        classes,
        first.rows[f"{name}.speakers"],
        logs,
        {key: table for key, table in floors.items() if np.isfinite(table).all()},
        by_seed,
        tuple(head for found in held.values() for head in found.rows[f"{name}.heads"]),
        still_falling(curve for found in held.values() for curve in _curves(found, name)),
        (*first.rows[f"{name}.notes"], *first.notes),
    )


def _curves(found: Answers, name: str) -> list[list[float]]:
    """Development errors in the order of training, of each fold whose answers rest on a network."""
    curve = found.arrays[f"{name}.curve"]
    return [
        [float(error) for _, _, error in sorted(curve[curve[:, 0] == fold].tolist())]
        for fold, head in enumerate(found.rows[f"{name}.heads"])
        if head != LINEAR
    ]
