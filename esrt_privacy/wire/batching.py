"""Requests that wait together are answered together: one run of the LLM for all that ask for the same."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from esrt_privacy.errors import EsrtPrivacyError, ModelError
from esrt_privacy.wire.errors import WireError
from esrt_privacy.wire.messages import Piece, WireAnswer

if TYPE_CHECKING:
    from torch import Tensor

    from esrt_privacy.esrt.answers import Answer
    from esrt_privacy.systems.whole import CloudHalf

Event = Piece | WireAnswer

_log = logging.getLogger(__name__)


class BusyError(WireError):
    """More requests wait than this cloud holds."""


@dataclass(frozen=True)
class Job:
    """One recording to be answered."""

    wire: Tensor  # (vectors, width)
    source: str
    targets: tuple[str, ...]  # none: what was said
    beam: int
    most_tokens: int
    stream: bool = False

    @property
    def kind(self) -> tuple[object, ...]:
        """Jobs of one kind go into one batch."""
        return self.source, self.targets, self.beam, self.most_tokens

    @property
    def rows(self) -> int:
        """Rows of the LLM's batch."""
        return max(1, len(self.targets)) * self.beam


@dataclass
class _Ticket:
    job: Job
    events: asyncio.Queue[Event | Exception | None] = field(default_factory=asyncio.Queue)
    abandoned: bool = False  # whoever asked has gone


class _AllGoneError(Exception):
    """Nobody waits for this batch any more."""


class Batcher:
    """Runs a cloud half in one thread, since an LLM answers one batch at a time.

    No request waits for company: what has arrived while the last batch ran makes up the next one, at most `most_rows`
    rows of the LLM (recordings x targets x beam). More targets than that are answered part by part.
    """

    def __init__(self, cloud: CloudHalf, most_rows: int = 32, most_waiting: int = 1024) -> None:
        self._cloud = cloud
        self._most_rows = most_rows
        self._most_waiting = most_waiting
        self._waiting: deque[_Ticket] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "cloud")
        self._loop = asyncio.get_running_loop()
        self._worker = asyncio.create_task(self._work())
        self.batches: deque[int] = deque(maxlen=1000)  # recordings in each of the last ones

    async def answers(self, job: Job) -> AsyncGenerator[Event, None]:
        """Pieces of text, where they are wanted, and one answer for each target, in any order.

        Raises BusyError, and whatever the cloud half raises.
        """
        if len(self._waiting) >= self._most_waiting:
            raise BusyError(f"{self._most_waiting} requests wait already: try again later")
        ticket = _Ticket(job)
        self._waiting.append(ticket)
        self._arrived.set()
        try:
            while (event := await ticket.events.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            ticket.abandoned = True

    async def close(self) -> None:
        """Start no further batch; the one that runs is told that nobody waits for it."""
        self._worker.cancel()
        with suppress(asyncio.CancelledError):
            await self._worker
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            batch = self._next_batch()
            if not batch:
                self._arrived.clear()
                continue
            self.batches.append(len(batch))
            await self._loop.run_in_executor(self._thread, self._answer, batch)

    def _next_batch(self) -> list[_Ticket]:
        """The oldest request, and those of its kind that fit beside it."""
        while self._waiting and self._waiting[0].abandoned:
            self._waiting.popleft()
        if not self._waiting:
            return []
        first = self._waiting[0].job
        most = max(1, self._most_rows // first.rows)
        batch: list[_Ticket] = []
        others: deque[_Ticket] = deque()
        for ticket in self._waiting:
            if ticket.job.kind == first.kind and len(batch) < most:
                batch.append(ticket)
            else:
                others.append(ticket)
        self._waiting = others
        return [ticket for ticket in batch if not ticket.abandoned]

    def _answer(self, batch: Sequence[_Ticket], may_stream: bool = True) -> None:
        """In the cloud's thread: answer every ticket of a batch, with answers or with an error."""
        try:
            self._run(batch, may_stream)
        except _AllGoneError:
            return
        except ModelError as error:
            # Too much for the memory together, perhaps: alone each gets its own answer or error.
            if len(batch) > 1:
                for ticket in batch:
                    self._answer([ticket], may_stream=False)
                return
            self._tell(batch, error)
        except EsrtPrivacyError as error:
            self._tell(batch, error)
        except Exception as error:  # whatever it is, those who wait must hear of it
            _log.exception("the cloud half failed")
            self._tell(batch, WireError(f"the cloud failed ({type(error).__name__}): see its log"))
        else:
            self._tell(batch, None)

    def _run(self, batch: Sequence[_Ticket], may_stream: bool) -> None:
        import torch

        job = batch[0].job
        # Tensors may have come in several precisions; the projector's own is taken in any case.
        same = len({ticket.job.wire.dtype for ticket in batch}) == 1
        wire = torch.stack([t.job.wire if same else t.job.wire.float() for t in batch])
        if not job.targets:
            options = self._options(batch, 0, may_stream)
            heard = self._cloud.transcribe(wire, job.source, job.beam, job.most_tokens, **options)
            for ticket, answer in zip(batch, heard, strict=True):
                self._tell([ticket], _wire_answer(None, answer))
            return
        most = max(1, self._most_rows // job.beam)
        for start in range(0, len(job.targets), most):
            targets = job.targets[start : start + most]
            options = self._options(batch, start, may_stream)
            rows = self._cloud.translate(
                wire, job.source, targets, job.beam, job.most_tokens, **options
            )
            for ticket, answers in zip(batch, rows, strict=True):
                for n, target in enumerate(targets, start):
                    self._tell([ticket], _wire_answer(n, answers[target]))

    def _options(self, batch: Sequence[_Ticket], start: int, may_stream: bool) -> dict[str, Any]:
        """The listener, for a cloud that takes one, where somebody wants to hear."""
        if not may_stream or not any(ticket.job.stream for ticket in batch):
            return {}
        transcribing = not batch[0].job.targets
        method = self._cloud.transcribe if transcribing else self._cloud.translate
        if "on_text" not in inspect.signature(method).parameters:
            return {}
        return {"on_text": self._listener(batch, None if transcribing else start)}

    def _listener(
        self, batch: Sequence[_Ticket], start: int | None
    ) -> Callable[[int, int, str], None]:
        def heard(recording: int, target: int, text: str) -> None:
            if all(ticket.abandoned for ticket in batch):
                raise _AllGoneError
            if batch[recording].job.stream:
                place = None if start is None else start + target
                self._tell([batch[recording]], Piece(place, text))

        return heard

    def _tell(self, batch: Sequence[_Ticket], event: Event | Exception | None) -> None:
        for ticket in batch:
            with suppress(RuntimeError):  # the loop has closed: the server is gone
                self._loop.call_soon_threadsafe(ticket.events.put_nowait, event)


def _wire_answer(target: int | None, answer: Answer) -> WireAnswer:
    return WireAnswer(
        target, answer.transcript, answer.translation, answer.language_ok, answer.complete
    )
