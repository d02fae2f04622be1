"""Checkpoints: all that a killed run needs to go on as if nothing had happened."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from esrt_privacy.errors import shown
from esrt_privacy.esrt.model import EsrtModel
from esrt_privacy.esrt.training.errors import TrainingError
from esrt_privacy.esrt.training.objective import qformer_of

CHECKPOINT_FILE = "checkpoint.pt"


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stands. Steps draw from (seed, stage, step): no state of a generator is needed."""

    about: str  # what decides the result, as JSON text
    stage: int
    step: int  # steps of the stage that are done
    weights: Mapping[str, Mapping[str, Tensor]]
    optimiser: Mapping[str, Any]


def weights_of(model: EsrtModel) -> dict[str, dict[str, Tensor]]:
    """Everything that some stage trains: Q-Former, projector, LoRA and tag rows."""
    from esrt_privacy.esrt.llm import adapter_state

    return {
        "qformer": dict(qformer_of(model).state_dict()),
        "projector": dict(model.projector.state_dict()),
        "llm": dict(adapter_state(model.llm)),
    }


def load_weights(model: EsrtModel, weights: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Put back what `weights_of` gave."""
    from esrt_privacy.esrt.llm import load_adapter_state

    qformer_of(model).load_state_dict(dict(weights["qformer"]))
    model.projector.load_state_dict(dict(weights["projector"]))
    load_adapter_state(model.llm, dict(weights["llm"]))


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write it whole or not at all. Raises TrainingError where the disk does not take it."""
    partial = folder / f"{CHECKPOINT_FILE}.part"
    try:
        with open(partial, "wb") as file:
            torch.save(vars(checkpoint), file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / CHECKPOINT_FILE)
    except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError on a full disk
        raise TrainingError(
            f"{partial}: the checkpoint cannot be written ({shown(error)}): free space there; the"
            " same command goes on from the last one"
        ) from error


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """The folder's checkpoint, None without one. Raises TrainingError for a damaged file."""
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint = Checkpoint(**found)
        if not (type(checkpoint.stage) is int and type(checkpoint.step) is int):
            raise TypeError("stage and step must be whole numbers")
        if not isinstance(checkpoint.about, str):
            raise TypeError("about must be text")
        return checkpoint
    except Exception as error:  # a damaged file shows as a dozen kinds of errors
        reason = shown(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise TrainingError(
            f"{path}: cannot go on from this checkpoint ({reason}); delete it to begin anew"
        ) from error


def require_same(mine: str, theirs: str, folder: Path) -> None:
    """Raises TrainingError where a folder's run (`theirs`) would come to another result than `mine`.

    Both as `Checkpoint.about`.
    """
    if mine == theirs:
        return
    ours = json.loads(mine)
    try:
        held = json.loads(theirs)
        flat = [{**row["options"], **row} for row in (ours, held)]
    except (ValueError, TypeError, KeyError):
        flat = [ours, {}]
    names = sorted(n for n in flat[0] if n != "options" and flat[0][n] != flat[1].get(n))
    raise TrainingError(
        f"{shown(folder)}: holds a run that differs in {', '.join(names) or 'its form'}; give the"
        " same options and corpora to go on, or another --out"
    )
