"""How a training run goes, and which options decide its result."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from esrt_privacy.errors import shown
from esrt_privacy.esrt.training.errors import TrainingError

SCHEDULES = ("constant", "linear", "cosine")
METRICS = ("csv", "tensorboard")
FRAMES = ("stored", "live")
DECAYED_TO = 0.02  # of the learning rate, by linear and cosine schedules
# What may differ when a run goes on: it changes nothing in the result.
_FREE = ("batch", "accumulate", "metrics", "checkpoint_seconds", "frames")


@dataclass(frozen=True)
class TrainingOptions:
    """The paper gives AdamW, a linear warm-up over 1,000 steps and the LoRA; not the learning rate, the
    number of steps, the batch or the temperature. Those defaults are ours."""

    steps: tuple[int, ...] = (5000,)  # of each stage trained, or one number for all
    batch: int = 16  # rows at a time in each process
    accumulate: int = 1  # batches to a step
    learning_rate: float = 2e-4
    warm_up: int = 1000  # steps
    schedule: str = "constant"  # of SCHEDULES, after the warm-up
    weight_decay: float = 0.01  # of matrices; never of biases, norms, queries and tag rows
    clip: float = 1.0  # largest norm of the gradient
    dropout: float = 0.1  # in the Q-Former, as BLIP-2 has it
    temperature: float = 2.0  # of the balance over languages
    query_sets: tuple[int, ...] = ()  # those trained; none: all that the Q-Former has
    restrict_vocabulary: bool = False  # the softmax over tokens in use only
    thin_padding: float = 0.0  # share of each stage, from its start, that reads thinned padding
    bfloat16: bool | None = None  # None: where the hardware has it
    metrics: str = "csv"  # of METRICS
    frames: str = "stored"  # of FRAMES
    checkpoint_seconds: float = 300.0  # between checkpoints
    seed: int = 0

    def __post_init__(self) -> None:
        whole = {"batch": self.batch, "accumulate": self.accumulate}
        whole |= {"steps": min(self.steps, default=0)}
        for name, value in whole.items():
            if value < 1:
                raise TrainingError(f"{name} must be at least 1, not {value}")
        for name in ("learning_rate", "temperature", "clip"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise TrainingError(f"{name.replace('_', ' ')} must be above 0, not {value}")
        if not (0 <= self.thin_padding <= 1 and 0 <= self.dropout < 1 and self.warm_up >= 0):
            raise TrainingError(
                "thin padding lies between 0 and 1, dropout below 1, warm-up above 0"
            )
        known = {"schedule": SCHEDULES, "metrics": METRICS, "frames": FRAMES}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise TrainingError(f"{name} is one of {', '.join(values)}")
        if self.seed < 0:
            raise TrainingError("seed must be 0 or more")

    def steps_of(self, stages: int) -> tuple[int, ...]:
        """Steps of each of `stages` stages. Raises TrainingError for another number of them."""
        if len(self.steps) == 1:
            return self.steps * stages
        if len(self.steps) != stages:
            raise TrainingError(
                f"{len(self.steps)} numbers of steps for {stages} stages: give one for each, or one"
            )
        return self.steps

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step (from 0) of `steps`."""
        if step < self.warm_up:
            return self.learning_rate * (step + 1) / self.warm_up
        if self.schedule == "constant":
            return self.learning_rate
        done = (step - self.warm_up) / max(1, steps - self.warm_up)
        left = 1 - done if self.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
        return self.learning_rate * (DECAYED_TO + (1 - DECAYED_TO) * left)

    def deciding(self) -> dict[str, Any]:
        """The options that decide the result, as JSON holds them."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if name not in _FREE
        }


def whole_numbers(text: str, what: str) -> tuple[int, ...]:
    """`1,2,3` as numbers. Raises TrainingError naming `what` for anything else."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise TrainingError(f"{what} {shown(text)}: give whole numbers, such as 1,2,3") from None
