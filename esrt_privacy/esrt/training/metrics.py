"""The loss curve, one row a step: as CSV always, as TensorBoard's events where asked for."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from esrt_privacy.errors import SystemUnavailable

METRICS_FILE = "metrics.csv"
TENSORBOARD_FOLDER = "tensorboard"


@dataclass(frozen=True)
class Point:
    """One step. `loss` is the mean over the target tokens of all processes."""

    stage: int
    step: int  # from 1
    task: str
    queries: int  # 0 for text alone
    rows: int
    tokens: int
    loss: float
    learning_rate: float
    gradient_norm: float
    seconds: float


_HEAD = [field.name for field in fields(Point)]


class Metrics:
    """Writes points; made by `metrics`."""

    def __init__(self, file: Any, writer: Any) -> None:
        self._file = file
        self._rows = csv.writer(file)
        self._writer = writer

    def add(self, point: Point) -> None:
        """Write one step's row."""
        self._rows.writerow(_cells(point))
        self._file.flush()
        if self._writer is not None:
            for name in ("loss", "learning_rate", "gradient_norm", "seconds"):
                place = f"stage-{point.stage}/{name}"
                self._writer.add_scalar(place, getattr(point, name), point.step)
            self._writer.add_scalar(f"stage-{point.stage}/{point.task}", point.loss, point.step)


@contextmanager
def metrics(folder: Path, kind: str, stage: int, step: int) -> Iterator[Metrics]:
    """Open the curve of a run that stands at `step` of `stage`: what came later is taken away.

    Raises SystemUnavailable where TensorBoard is wanted and missing.
    """
    writer = _tensorboard(folder, step) if kind == "tensorboard" else None
    kept = [p for p in read_metrics(folder) if (p.stage, p.step) <= (stage, step)]
    path = folder / METRICS_FILE
    partial = path.with_suffix(".part")
    with open(partial, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([_HEAD, *map(_cells, kept)])
    os.replace(partial, path)
    with open(path, "a", encoding="utf-8", newline="") as file:
        try:
            yield Metrics(file, writer)
        finally:
            if writer is not None:
                writer.close()


def read_metrics(folder: Path) -> list[Point]:
    """The points of a run's curve, less a last row that a kill cut short; empty without a file."""
    path = folder / METRICS_FILE
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    if not rows or rows[0] != _HEAD:
        return []
    kinds = (int, int, str, int, int, int, float, float, float, float)
    points = []
    for row in rows[1:]:
        try:
            points.append(Point(*(kind(cell) for kind, cell in zip(kinds, row, strict=True))))
        except ValueError:
            break
    return points


def require_tensorboard() -> None:
    """Raises SystemUnavailable where TensorBoard is not installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise SystemUnavailable(
            "TensorBoard is not installed: pip install tensorboard, or give --metrics csv"
        ) from error


def _cells(point: Point) -> list[str]:
    # repr keeps every digit: the curve of a resumed run can be compared with another's.
    return [cell if isinstance(cell, str) else repr(cell) for cell in astuple(point)]


def _tensorboard(folder: Path, step: int) -> Any:
    require_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / TENSORBOARD_FOLDER), purge_step=step + 1)
