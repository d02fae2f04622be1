"""Bytes that a request and its answer took, each way."""

from __future__ import annotations

from typing import NamedTuple


class Carried(NamedTuple):
    """Bytes upstream (from the device) and downstream."""

    up: int
    down: int

    def plus(self, other: Carried, times: int = 1) -> Carried:
        """Both, the other `times` over."""
        return Carried(self.up + times * other.up, self.down + times * other.down)
