"""How long work tells how far it is: a plain callback, so that no room depends on a terminal."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Called with what is being done and how far it is; cheap enough to call often."""

    def __call__(self, label: str, done: float, total: float) -> None: ...


def silent(label: str, done: float, total: float) -> None:
    """A reporter that says nothing."""
