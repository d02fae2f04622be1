"""The three stages: how much of which task, and what is trained; the ablations of the paper's Table IX."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from esrt_privacy.esrt.training.errors import TrainingError
from esrt_privacy.esrt.training.tasks import Task

ABLATIONS = ("stage-1", "stage-2", "stage-3", "lora", "tags")


@dataclass(frozen=True)
class Stage:
    """Q-Former and projector are trained in every stage; the rest of the LLM never is."""

    number: int
    weights: Mapping[Task, float]
    lora: bool
    tags: bool = True  # the rows of the language tags

    @property
    def name(self) -> str:
        """`stage-1`."""
        return f"stage-{self.number}"


# Paper, §IV: recognition first; translation of text and of speech joins; then the LLM adapts too.
STAGES = (
    Stage(1, {Task.ASR: 1.0}, lora=False),
    Stage(2, {Task.ASR: 0.2, Task.SMT: 0.4, Task.SRT: 0.4}, lora=False),
    Stage(3, {Task.ASR: 0.2, Task.SRT: 0.8}, lora=True),
)


def planned(numbers: Sequence[int], without: Collection[str] = ()) -> tuple[Stage, ...]:
    """The stages asked for, in order, less what `without` (of ABLATIONS) takes away.

    Without `lora` stage III trains no LoRA; without `tags` the tags' rows stay those of the unused
    tokens that they took over, and text translation (SMT), which then trains nothing before LoRA is,
    leaves its weight to the other tasks. Raises TrainingError for unknown names or nothing left.
    """
    unknown = [name for name in without if name not in ABLATIONS]
    if unknown:
        raise TrainingError(f"--without {unknown[0]}: give one of {', '.join(ABLATIONS)}")
    wrong = [n for n in numbers if n not in {stage.number for stage in STAGES}]
    if wrong:
        raise TrainingError(f"there is no stage {wrong[0]}: give some of 1, 2 and 3")
    kept = [s for s in STAGES if s.number in numbers and s.name not in without]
    if not kept:
        raise TrainingError("no stage is left to train: give --stage and --without others")
    return tuple(_reduced(stage, without) for stage in kept)


def _reduced(stage: Stage, without: Collection[str]) -> Stage:
    lora = stage.lora and "lora" not in without
    tags = "tags" not in without
    weights = dict(stage.weights)
    if not (lora or tags):
        weights.pop(Task.SMT, None)
    total = sum(weights.values())
    return replace(stage, weights={t: w / total for t, w in weights.items()}, lora=lora, tags=tags)
