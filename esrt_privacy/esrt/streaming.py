"""Text while it is decoded: what `generate` hands on after each step, as pieces of each row's text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# Called with the recording's place, the target's place and the next piece. What it raises ends the decoding.
Listener = Callable[[int, int, str], None]
TextOf = Callable[[list[int]], tuple[str, bool]]  # token ids -> text before <eos>, whether it came

_CUT = "\ufffd"  # what a tokenizer gives for a character whose bytes are not all there


class TextStream:
    """A streamer of `transformers` (`put`, `end`) for a whole batch; `targets` rows to a recording."""

    def __init__(self, text_of: TextOf, targets: int, listener: Listener) -> None:
        self._text_of = text_of
        self._targets = targets
        self._listener = listener
        self._rows: list[list[int]] = []
        self._told: list[int] = []  # characters, by row
        self._ended: list[bool] = []

    def put(self, tokens: Tensor) -> None:
        """The prompt (rows, 1) first, then of each step the new tokens (rows,)."""
        if not self._rows:
            self._rows = [[] for _ in tokens]
            self._told = [0] * len(tokens)
            self._ended = [False] * len(tokens)
            return
        for row, token in enumerate(tokens.flatten().tolist()):
            if not self._ended[row]:
                self._rows[row].append(token)
                self._tell(row)

    def end(self) -> None:
        """What was held back, of rows that ended within a character."""
        for row in range(len(self._rows)):
            self._tell(row, whole=True)

    def _tell(self, row: int, whole: bool = False) -> None:
        text, self._ended[row] = self._text_of(self._rows[row])
        if not whole and not self._ended[row]:
            text = text.rstrip(_CUT)
        if len(text) > self._told[row]:
            piece = text[self._told[row] :]
            self._told[row] = len(text)
            self._listener(row // self._targets, row % self._targets, piece)
