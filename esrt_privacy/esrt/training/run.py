"""A whole training run: corpora, model, frames, stages, and the folder that comes of it.

The one place here that knows captures; everything else takes frames from whoever has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from esrt_privacy.corpora import Corpus, check, load_corpus
from esrt_privacy.errors import shown
from esrt_privacy.esrt.checkpoint import MODEL_FILE
from esrt_privacy.esrt.edge import read_config
from esrt_privacy.esrt.model import EsrtModel
from esrt_privacy.esrt.model_config import ModelConfig, model_preset
from esrt_privacy.esrt.training.curriculum import STAGES, Stage, planned
from esrt_privacy.esrt.training.devices import llm_dtype, training_device
from esrt_privacy.esrt.training.errors import TrainingError
from esrt_privacy.esrt.training.frames import Frames, LiveFrames
from esrt_privacy.esrt.training.material import tokens_in_use
from esrt_privacy.esrt.training.metrics import read_metrics, require_tensorboard
from esrt_privacy.esrt.training.objective import SideLoss
from esrt_privacy.esrt.training.options import TrainingOptions
from esrt_privacy.esrt.training.processes import started_processes
from esrt_privacy.esrt.training.record import left_out, read_record, write_record
from esrt_privacy.esrt.training.resuming import CHECKPOINT_FILE, require_same
from esrt_privacy.esrt.training.selection import (
    Selection,
    amounts,
    materials,
    selected,
    unique,
)
from esrt_privacy.esrt.training.tasks import PlainText
from esrt_privacy.esrt.training.trainer import Work, about, train
from esrt_privacy.esrt.vocabulary import special_id
from esrt_privacy.progress import Reporter, silent
from esrt_privacy.weights import fingerprint

if TYPE_CHECKING:
    from accelerate import Accelerator

DEFAULT_PRESET = "reference"


@dataclass(frozen=True)
class TrainRequest:
    """What `esrt-privacy train` was asked for."""

    corpora: tuple[str, ...]
    out: Path
    preset: str | None = None  # None: that of the adapter, else the reference
    adapter: Path | None = None  # an edge half, or a whole model, to start from
    weights: Path | None = None
    stages: tuple[int, ...] = (1, 2, 3)
    without: tuple[str, ...] = ()
    hours: float | None = None
    options: TrainingOptions = field(default_factory=TrainingOptions)
    command: str = ""


@dataclass(frozen=True)
class Done:
    """The folder with the model, and what there is to say about the run."""

    folder: Path
    notes: tuple[str, ...]
    speaks: bool = True  # whether this process is the one that speaks to the user


def run(request: TrainRequest, report: Reporter = silent) -> Done:
    """Train, or go on with, what `request` asks for. Raises the package's errors, in one line."""
    from esrt_privacy.assets import cache_folder
    from esrt_privacy.esrt.training.encoding import stored_frames

    options = request.options
    stages = planned(request.stages, request.without)
    options.steps_of(len(stages))
    if options.metrics == "tensorboard":
        require_tensorboard()
    accelerator = started_processes(options.batch, options.accumulate, options.clip)
    if not accelerator.is_main_process:
        report = silent
    with accelerator.main_process_first():  # archives are unpacked once
        corpora = [load_corpus(path, report) for path in request.corpora]
    notes = [note for corpus in corpora for note in corpus.notes]
    rows = unique([u for corpus in corpora for u in corpus])
    selection = selected(rows, request.hours, options.seed)
    with accelerator.main_process_first():  # weights are converted once
        model = starting_model(request)
    materials(selection, model, stages, options.query_sets)  # what is missing is said before hours
    edge = model.edge
    assert edge is not None  # starting_model loads it
    frames: Frames
    if options.frames == "live":
        heard = check(Corpus("training audio", selection.with_text))
        lost = {u.id for u in selection.with_text} - {u.id for u in heard}
        selection = selection.less(lost, heard.notes)
        frames = LiveFrames(edge.encoder.to(accelerator.device))
    else:
        root = cache_folder() / "captures"
        frames, selection = stored_frames(edge, selection, root, accelerator, report)
    extra = {
        "command": request.command,
        "corpora": [
            {"path": path, "name": c.name, "recordings": len(c), "notes": list(c.notes)}
            for path, c in zip(request.corpora, corpora, strict=True)
        ],
        "without": list(request.without),
        "hours": request.hours,
    }
    start = ""
    if request.adapter is not None:
        start = f"{fingerprint(edge.qformer)} {fingerprint(model.projector)}"
    done = train_model(
        model, selection, frames, options, request.out, stages, accelerator, report, extra, start
    )
    return Done(done.folder, (*notes, *done.notes), done.speaks)


def train_model(
    model: EsrtModel,
    selection: Selection,
    frames: Frames,
    options: TrainingOptions,
    out: Path,
    stages: Sequence[Stage] = STAGES,
    accelerator: Accelerator | None = None,
    report: Reporter = silent,
    extra: dict[str, Any] | None = None,
    start: str = "",
    side: SideLoss | None = None,
) -> Done:
    """Train `model` in place on what `selected` gave; `out` becomes a folder for `from_pretrained`.

    Beside the model `out` holds one of each stage (`stage-1` …), metrics.csv and training.json, which
    also tells `extra`. `side` is a loss beside that of the tokens. A killed run goes on in its folder,
    where options, data and `start` (which tells one beginning from another) are the same; a finished
    one is left as it is.
    """
    if accelerator is None:
        accelerator = started_processes(options.batch, options.accumulate, options.clip)
    found = materials(selection, model, stages, options.query_sets)
    vocabulary = None
    if options.restrict_vocabulary:
        plain, end = PlainText(model.tokenizer, model.tags), special_id(model.tokenizer, "eos")
        ids = tokens_in_use(list(found.values()), plain, model.tags, end)
        vocabulary = torch.tensor(ids)
    data = Corpus("training", selection.with_text).fingerprint
    work = Work(model, stages, found, frames, options, out, data, start, vocabulary, side)
    notes = (*selection.notes, *left_out(found))
    world, speaks = accelerator.num_processes, accelerator.is_main_process
    earlier = read_record(out)
    if earlier is not None:
        require_same(about(work, world), str(earlier.get("about")), out)
        return Done(out, ("this run was finished before: nothing was done",), speaks)
    _make_folder(out)
    results = train(work, accelerator, report)
    if speaks:
        model.save_pretrained(out)
        told = {
            **(extra or {}),
            "languages": amounts(selection.with_text),
            "left_out": list(notes),
            "about": about(work, world),
        }
        write_record(out, work, results, read_metrics(out), world, told)
        (out / CHECKPOINT_FILE).unlink(missing_ok=True)
    accelerator.wait_for_everyone()
    return Done(out, notes, speaks)


def starting_model(request: TrainRequest) -> EsrtModel:
    """The model that training starts from: a whole one, or the LLM as published with an edge half.

    What is drawn at random comes from the seed. Raises AssetError or SystemUnavailable.
    """
    wanted = None if request.preset is None else model_preset(request.preset)
    dtype = llm_dtype(training_device())
    torch.manual_seed(request.options.seed)
    adapter = request.adapter
    if adapter is not None and (adapter / MODEL_FILE).is_file():
        return EsrtModel.from_pretrained(adapter, wanted, request.weights, dtype)
    config = wanted or model_preset(DEFAULT_PRESET)
    if adapter is not None:
        # Layers and the like are the adapter's own: the paper's presets only guess them.
        own = ModelConfig(read_config(adapter), config.llm, config.llm_width)
        config = own.as_preset(config, adapter)
    return EsrtModel.create(config, adapter, request.weights, dtype)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(
            f"{shown(out)}: cannot be made ({error.strerror}): give another --out"
        ) from error
