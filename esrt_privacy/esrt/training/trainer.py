"""The loop: stage by stage, step by step, resumable at any of them."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from esrt_privacy.errors import shown
from esrt_privacy.esrt.memory import within_memory
from esrt_privacy.esrt.model import EsrtModel
from esrt_privacy.esrt.training.batches import Sampler, Step, share_of
from esrt_privacy.esrt.training.curriculum import Stage
from esrt_privacy.esrt.training.devices import has_bfloat16
from esrt_privacy.esrt.training.errors import TrainingError
from esrt_privacy.esrt.training.frames import Frames, batch_of
from esrt_privacy.esrt.training.material import Material
from esrt_privacy.esrt.training.metrics import Metrics, Point, metrics
from esrt_privacy.esrt.training.objective import (
    Losses,
    Objective,
    SideLoss,
    parameter_groups,
    query_sets,
    set_trainable,
    trained_counts,
)
from esrt_privacy.esrt.training.options import TrainingOptions
from esrt_privacy.esrt.training.processes import StopRequest, stop_requests
from esrt_privacy.esrt.training.resuming import (
    Checkpoint,
    load_weights,
    read_checkpoint,
    require_same,
    weights_of,
    write_checkpoint,
)
from esrt_privacy.esrt.training.tasks import PlainText, Row, Task, prompt_and_target
from esrt_privacy.progress import Reporter, silent

if TYPE_CHECKING:
    from accelerate import Accelerator

REMEDY = "use a smaller --batch (with more --accumulate), shorter texts or a smaller LLM"


@dataclass(frozen=True)
class Work:
    """What is trained, on what, where to: the same in every process."""

    model: EsrtModel
    stages: Sequence[Stage]
    materials: Mapping[Task, Material]
    frames: Frames
    options: TrainingOptions
    folder: Path
    data: str = ""  # fingerprint of what is trained on
    start: str = ""  # fingerprint of the weights that are trained on from, where they matter
    vocabulary: Tensor | None = None  # sorted ids of the tokens that the softmax is restricted to
    side: SideLoss | None = None  # beside that of the tokens, where audio is read


@dataclass
class StageResult:
    """What a stage did, for the record."""

    stage: Stage
    steps: int
    trained: dict[str, int] = field(default_factory=dict)  # numbers by part


def train(work: Work, accelerator: Accelerator, report: Reporter = silent) -> list[StageResult]:
    """Train the stages in order, in place; `folder` gets a model a stage, and what a killed run needs.

    Raises TrainingError where the folder holds a run that another result would come from, or the loss
    is no number; ModelError where memory runs out; KeyboardInterrupt when asked to stop.
    """
    work.folder.mkdir(parents=True, exist_ok=True)
    return _Run(work, accelerator, report).stages()


def about(work: Work, world: int) -> str:
    """Everything that decides the result, as JSON text. How a step's rows are divided does not."""
    options = work.options
    rows = options.batch * options.accumulate * world
    stages = [
        {"stage": s.number, "weights": dict(s.weights), "lora": s.lora, "tags": s.tags}
        for s in work.stages
    ]
    config = work.model.config
    body = {
        "model": [json.loads(config.edge.to_json()), json.loads(config.to_json())],
        "start": work.start,
        "options": options.deciding(),
        "rows": rows,
        "stages": stages,
        "data": work.data,
        **({} if work.side is None else {"side": work.side.about}),
    }
    return json.dumps(body, sort_keys=True)


class _Run:
    def __init__(self, work: Work, accelerator: Accelerator, report: Reporter) -> None:
        self._work = work
        self._options = work.options
        self._accelerator = accelerator
        self._report = report if accelerator.is_main_process else silent
        self._about = about(work, accelerator.num_processes)
        self._plain = PlainText(work.model.tokenizer, work.model.tags)
        self._query_sets = query_sets(work.model, work.options.query_sets)
        self._objective: Any = None
        self._optimiser: Any = None
        self._trained: dict[str, nn.Parameter] = {}

    def stages(self) -> list[StageResult]:
        saved = read_checkpoint(self._work.folder)
        if saved is not None:
            require_same(self._about, saved.about, self._work.folder)
            load_weights(self._work.model, saved.weights)
        reached = 0 if saved is None else saved.stage
        steps = self._options.steps_of(len(self._work.stages))
        results = []
        kind = self._options.metrics if self._accelerator.is_main_process else ""
        with stop_requests() as request:
            for stage, count in zip(self._work.stages, steps, strict=True):
                result = StageResult(stage, count)
                if stage.number >= reached:
                    here = saved if stage.number == reached else None
                    self._stage(result, here, kind, request)
                else:
                    result.trained = trained_counts(self._free(stage))
                results.append(result)
        self._work.model.requires_grad_(False)
        self._work.model.eval()
        return results

    def _stage(
        self, result: StageResult, saved: Checkpoint | None, kind: str, request: StopRequest
    ) -> None:
        stage, steps = result.stage, result.steps
        start = 0 if saved is None else saved.step
        self._prepare(stage, saved)
        result.trained = trained_counts(self._trained)
        sampler = self._sampler(stage, steps)
        last = time.monotonic()
        with _curve(self._work.folder, kind, stage.number, start) as curve:
            for number in range(start, steps):
                point = self._step(stage, sampler[number], number, steps)
                if curve is not None:
                    curve.add(point)
                label = f"stage {stage.number}, error {point.loss:.3f}"
                self._report(label, number + 1, steps)
                due = time.monotonic() - last >= self._options.checkpoint_seconds
                if due or request.asked or number + 1 == steps:
                    self._save(stage, number + 1)
                    last = time.monotonic()
                if request.asked:
                    raise KeyboardInterrupt
        self._finish(stage)

    def _free(self, stage: Stage) -> dict[str, nn.Parameter]:
        return set_trainable(self._work.model, stage, self._query_sets, self._options.dropout)

    def _prepare(self, stage: Stage, saved: Checkpoint | None) -> None:
        self._trained = self._free(stage)
        optimiser = torch.optim.AdamW(
            parameter_groups(self._trained, self._options.weight_decay),
            lr=self._options.learning_rate,
            betas=(0.9, 0.98),
        )
        wanted = self._options.bfloat16
        bfloat16 = has_bfloat16(self._accelerator.device) if wanted is None else wanted
        self._objective = self._optimiser = None  # the last stage's wrapper holds hooks
        with within_memory("while the model is put on the device", "use a smaller LLM"):
            self._accelerator.free_memory()
            objective = Objective(self._work.model, bfloat16, self._work.side)
            self._objective, self._optimiser = self._accelerator.prepare(objective, optimiser)
            if saved is not None:
                self._optimiser.load_state_dict(dict(saved.optimiser))

    def _sampler(self, stage: Stage, steps: int) -> Sampler:
        options = self._options
        return Sampler(
            self._work.materials,
            stage.weights,
            steps=steps,
            size=options.batch * options.accumulate * self._accelerator.num_processes,
            temperature=options.temperature,
            query_sets=self._query_sets,
            seed=options.seed,
            stage=stage.number,
        )

    def _step(self, stage: Stage, step: Step, number: int, steps: int) -> Point:
        began = time.monotonic()
        options, accelerator = self._options, self._accelerator
        rank, world = accelerator.process_index, accelerator.num_processes
        rate = options.rate(number, steps)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        batch = [_Tokenised(row, *self._pair(step.task, row)) for row in step.rows]
        tokens = _scored(batch)
        loss = torch.zeros((), device=accelerator.device)
        with within_memory(f"in a step of {options.batch} rows a process", REMEDY):
            for micro in range(options.accumulate):
                part = share_of(batch, rank, world, micro, options.accumulate)
                drawn = [options.seed, stage.number, number, rank, micro]
                thin = number < options.thin_padding * steps
                with accelerator.accumulate(self._objective):
                    losses = self._losses(step, part, drawn, thin)
                    # The mean over the tokens of the whole step, however its rows are divided;
                    # processes and passes are averaged afterwards, which the factors undo.
                    mean = losses.tokens * (_scored(part) / tokens)
                    aside = losses.side * (len(part) / len(batch))
                    accelerator.backward((mean + aside) * (world * options.accumulate))
                loss += mean.detach()
            norm = accelerator.clip_grad_norm_(list(self._trained.values()), options.clip)
            self._optimiser.step()
            self._optimiser.zero_grad(set_to_none=True)
        found = float(accelerator.reduce(loss, "sum"))
        if not math.isfinite(found):
            raise TrainingError(
                f"stage {stage.number}, step {number + 1}: the loss is no number any more; give a"
                " lower --learning-rate and another --out"
            )
        return Point(
            stage=stage.number,
            step=number + 1,
            task=str(step.task),
            queries=step.queries if step.task.reads_audio else 0,
            rows=len(batch),
            tokens=tokens,
            loss=found,
            learning_rate=rate,
            gradient_norm=float(norm),
            seconds=time.monotonic() - began,
        )

    def _losses(
        self, step: Step, part: Sequence[_Tokenised], drawn: Sequence[int], thin: bool
    ) -> Losses:
        seed = np.random.SeedSequence(drawn)
        torch.manual_seed(int(seed.generate_state(1)[0]))  # dropout
        frames = bias = None
        keys: list[str] = []
        if step.task.reads_audio:
            utterances = [one.row.utterance for one in part]
            rng = np.random.default_rng(seed) if thin else None
            if self._work.side is not None:  # a fingerprint asks the file system
                keys = [u.fingerprint for u in utterances]
            frames, bias = batch_of(utterances, self._work.frames, self._accelerator.device, rng)
        prompts, targets = [one.prompt for one in part], [one.target for one in part]
        vocabulary = self._work.vocabulary
        found: Losses = self._objective(
            frames, bias, step.queries, prompts, targets, vocabulary, keys
        )
        return found

    def _pair(self, task: Task, row: Row) -> tuple[list[int], list[int]]:
        return prompt_and_target(task, row, self._plain, self._work.model.tags)

    def _save(self, stage: Stage, step: int) -> None:
        if self._accelerator.is_main_process:
            optimiser = self._optimiser.state_dict()
            weights = weights_of(self._work.model)
            checkpoint = Checkpoint(self._about, stage.number, step, weights, optimiser)
            write_checkpoint(self._work.folder, checkpoint)

    def _finish(self, stage: Stage) -> None:
        """The stage's model in a folder of its own, there whole or not at all."""
        if self._accelerator.is_main_process:
            save_whole(self._work.model, self._work.folder / stage.name)
        self._accelerator.wait_for_everyone()


class _Tokenised(NamedTuple):
    row: Row
    prompt: list[int]
    target: list[int]


def _scored(rows: Sequence[_Tokenised]) -> int:
    """How many tokens the loss counts: the targets' and an <eos> each."""
    return sum(len(row.target) + 1 for row in rows)


def save_whole(model: EsrtModel, folder: Path) -> None:
    """`save_pretrained` into a folder that is there whole or not at all, in place of an earlier one."""
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        model.save_pretrained(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except OSError as error:
        raise TrainingError(
            f"{folder}: the model cannot be written ({shown(error)}): free space there; the same"
            " command goes on from the last checkpoint"
        ) from error


@contextmanager
def _curve(folder: Path, kind: str, stage: int, step: int) -> Iterator[Metrics | None]:
    """The run's curve in the process that writes it (which has a `kind`), None in the others."""
    if not kind:
        yield None
        return
    with metrics(folder, kind, stage, step) as curve:
        yield curve
