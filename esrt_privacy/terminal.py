"""The terminal: one console on standard error for progress, one on standard output for results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from esrt_privacy.progress import Reporter

if TYPE_CHECKING:
    from rich.console import Console


def console() -> Console:
    """Standard output."""
    from rich.console import Console

    return Console()


@contextmanager
def reporter() -> Iterator[Reporter]:
    """Progress bars with an estimate on standard error; a line for each finished step where it is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    errors = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    finished: set[str] = set()
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as bars:

        def report(label: str, done: float, total: float) -> None:
            key = label.split(", error")[0]
            if errors.is_terminal:
                if key not in tasks:
                    tasks[key] = bars.add_task(label, total=total)
                bars.update(tasks[key], completed=done, total=total, description=label)
            elif done >= total and key not in finished:
                finished.add(key)
                errors.print(f"{label}: done", highlight=False)

        yield report
