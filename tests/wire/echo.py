"""A cloud half without an LLM: its answers say which tensor and languages they belong to."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from esrt_privacy.esrt.answers import Answer


def name_of(tensor: Tensor) -> str:
    """A hash of one recording's values."""
    return hashlib.sha256(tensor.float().contiguous().numpy().tobytes()).hexdigest()[:12]


def expected(tensor: Tensor, source: str, target: str | None) -> Answer:
    """What `EchoCloud` answers."""
    translation = "" if target is None else f"{name_of(tensor)} {target}"
    return Answer(f"{name_of(tensor)} {source}", translation, True, True)


class EchoCloud:
    """Answers at once, or after `seconds`; tells each answer in three pieces to a listener.

    `batches` holds the number of recordings of each run. `filler` makes every answer longer.
    """

    def __init__(self, seconds: float = 0.0, filler: str = "") -> None:
        self.seconds = seconds
        self.filler = filler
        self.batches: list[int] = []
        self.gate = threading.Event()  # cleared, it holds every run back
        self.gate.set()

    def translate(self, wire, source, targets: Sequence[str], beam, most_tokens, on_text=None):
        self._wait(wire)
        rows = [{t: self._answer(row, source, t) for t in targets} for row in wire]
        for n, row in enumerate(rows):
            for k, answer in enumerate(row.values()):
                self._tell(on_text, n, k, answer.transcript)
        return rows

    def transcribe(self, wire, source, beam, most_tokens, on_text=None):
        self._wait(wire)
        rows = [self._answer(row, source, None) for row in wire]
        for n, answer in enumerate(rows):
            self._tell(on_text, n, 0, answer.transcript)
        return rows

    def _answer(self, row, source, target):
        answer = expected(row, source, target)
        return Answer(answer.transcript + self.filler, answer.translation, True, True)

    def _wait(self, wire) -> None:
        self.batches.append(len(wire))
        self.gate.wait(20)
        time.sleep(self.seconds)

    def _tell(self, on_text, recording, target, text) -> None:
        if on_text is not None:
            for start in range(0, len(text), 6):
                on_text(recording, target, text[start : start + 6])


def recordings(count: int, vectors: int = 8, width: int = 24, seed: int = 0) -> Tensor:
    """Wire tensors (count, vectors, width), bfloat16."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, vectors, width, generator=generator).bfloat16()
