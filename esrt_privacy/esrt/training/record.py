"""training.json: with which options, on what, balanced how, and what was left out and why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from esrt_privacy import __version__
from esrt_privacy.esrt.training.balance import shares
from esrt_privacy.esrt.training.errors import TrainingError
from esrt_privacy.esrt.training.material import Material, Unit
from esrt_privacy.esrt.training.metrics import Point
from esrt_privacy.esrt.training.options import TrainingOptions
from esrt_privacy.esrt.training.tasks import Task
from esrt_privacy.esrt.training.trainer import StageResult, Work

RECORD_FILE = "training.json"
LAST = 50  # steps of a stage whose mean loss is told


def write_record(
    folder: Path,
    work: Work,
    results: Sequence[StageResult],
    points: Sequence[Point],
    world: int,
    extra: Mapping[str, Any],
) -> None:
    """Write the record of a run that is done, whole or not at all. `extra` is told as it is."""
    options = work.options
    body = {
        "format": 1,
        "esrt_privacy": __version__,
        "model": {"edge": work.model.config.edge.name, "llm": work.model.config.llm},
        **extra,
        "options": asdict(options),
        "processes": world,
        "rows_a_step": options.batch * options.accumulate * world,
        "softmax_tokens": "all" if work.vocabulary is None else len(work.vocabulary),
        "stages": [_stage(result, work, points) for result in results],
        "data": work.data,
    }
    partial = folder / f".{RECORD_FILE}.part"
    partial.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(folder / RECORD_FILE)


def read_record(folder: Path) -> dict[str, Any] | None:
    """A finished run's record, None where there is none. Raises TrainingError for a damaged one."""
    path = folder / RECORD_FILE
    if not path.is_file():
        return None
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(body, dict):
            raise ValueError("not an object")
        return body
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"{path}: not the record of a training; delete it") from error


def _stage(result: StageResult, work: Work, points: Sequence[Point]) -> dict[str, Any]:
    mine = [p for p in points if p.stage == result.stage.number]
    tasks = {}
    for task, weight in result.stage.weights.items():
        of_task = [p for p in mine if p.task == str(task)]
        tasks[str(task)] = {
            "weight": weight,
            "steps": len(of_task),
            "loss_of_last_steps": _mean([p.loss for p in of_task[-LAST:]]),
            **_balance(work.materials[task], sum(p.rows for p in of_task), work.options),
        }
    return {
        "stage": result.stage.number,
        "steps": result.steps,
        "trained": result.trained,
        "seconds": round(sum(p.seconds for p in mine), 1),
        "tasks": tasks,
    }


def _balance(material: Material, drawn: int, options: TrainingOptions) -> dict[str, Any]:
    """Rows of each language or direction, its share of the data and of what is drawn, and how often
    its rows come round."""
    counts = [len(places) for places in material.units.values()]
    probabilities = shares(counts, options.temperature)
    return {
        "rows": sum(counts),
        "languages": {
            unit_name(unit): {
                "rows": count,
                "share_of_data": round(count / sum(counts), 6),
                "share_drawn": round(float(p), 6),
                "rounds": round(float(p) * drawn / count, 3),
            }
            for unit, count, p in zip(material.units, counts, probabilities, strict=True)
        },
    }


def unit_name(unit: Unit) -> str:
    """`eng`, or `eng>deu` for a direction."""
    return ">".join(part for part in unit if part)


def left_out(materials: Mapping[Task, Material]) -> list[str]:
    """A line for each kind of row that a task had to leave out."""
    return [note for material in materials.values() for note in material.notes]


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None
