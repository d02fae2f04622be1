"""Independent parts side by side, each in a process of its own, on one thread each.

One thread whatever the number of processes: sums in another order are other figures, and an audit must find the same
with one process as with eight. Processes are started anew (spawn), since a fork of a process that has computed with
torch may hang. They and this process talk in JSON; a process ends when this one does, however that came about.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from esrt_privacy.errors import AttackError, EsrtPrivacyError
from esrt_privacy.progress import Reporter

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

REPORT_SECONDS = 0.25  # a worker's progress is told no more often
PATIENCE = 10.0  # seconds that a worker without work has to end


Material_contra = TypeVar("Material_contra", contravariant=True)


class Work(Protocol[Material_contra]):
    """One part, as `audit.parts.Part` is: plain data, so that another process can take it over."""

    @property
    def target(self) -> int:
        """Its material's place."""
        ...

    @property
    def label(self) -> str:
        """As progress shows it."""
        ...

    def run(self, target: Material_contra, report: Reporter) -> None:
        """Do it, and write what it found."""
        ...


Part = TypeVar("Part", bound=Work[Any])


def run_parts(
    parts: Sequence[Part],
    targets: Sequence[Any],
    jobs: int,
    report: Reporter,
    doing: str = "attacking",
) -> dict[Part, str]:
    """Runs every part, and returns what each of those said that could not answer.

    Only the package's own errors are such answers; any other ends the run.
    """
    label = f"{doing} in {len(parts)} parts"
    failures: dict[Part, str] = {}
    report(label, 0, len(parts))
    if jobs == 1 or len(parts) < 2:
        with one_thread():
            for done, part in enumerate(parts, start=1):
                failure = _attempt(part, targets[part.target], report)
                if failure is not None:
                    failures[part] = failure
                report(label, done, len(parts))
        return failures
    with _processes(parts, targets, min(jobs, len(parts))) as workers:
        for done, (part, failure) in enumerate(_dealt(parts, workers, report), start=1):
            if failure is not None:
                failures[part] = failure
            report(label, done, len(parts))
    return failures


@contextmanager
def one_thread() -> Iterator[None]:
    """torch and the linear algebra of numpy compute on one thread inside, as before outside."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def _attempt(part: Work[Any], target: Any, report: Reporter) -> str | None:
    try:
        part.run(target, report)
    except EsrtPrivacyError as error:
        return str(error)
    return None


@contextmanager
def _processes(
    parts: Sequence[Work[Any]], targets: Sequence[Any], count: int
) -> Iterator[dict[Connection, SpawnProcess]]:
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    workers: dict[Connection, SpawnProcess] = {}
    with ExitStack() as stack:
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, list(parts), list(targets)))
            process.start()
            theirs.close()
            workers[ours] = process
            stack.callback(_end, ours, process)
        try:
            yield workers
        except BaseException:
            for process in workers.values():
                process.terminate()
            raise


def _end(connection: Connection, process: SpawnProcess) -> None:
    """A process whose pipe is closed goes home by itself, and puts away what its libraries hold (semaphores)."""
    connection.close()
    process.join(PATIENCE)
    process.terminate()
    process.join()


def _dealt(
    parts: Sequence[Part], workers: dict[Connection, SpawnProcess], report: Reporter
) -> Iterator[tuple[Part, str | None]]:
    """Hands parts out in order, and gives each with its failure when it is done."""
    from multiprocessing.connection import wait

    waiting = list(range(len(parts)))[::-1]
    running: dict[Connection, int] = {}

    def give(worker: Connection) -> None:
        if waiting:
            running[worker] = waiting.pop()
            worker.send_bytes(json.dumps(running[worker]).encode())

    for worker in workers:
        give(worker)
    while running:
        for ready in wait(list(running)):
            worker = next(w for w in running if w is ready)
            part = parts[running[worker]]
            try:
                message: dict[str, Any] = json.loads(worker.recv_bytes())
            except (EOFError, OSError) as error:
                workers[worker].join()
                raise AttackError(
                    f"{part.label}: its process ended with code {workers[worker].exitcode}, as for want of memory;"
                    " run the same command again, with fewer --jobs"
                ) from error
            if "label" in message:
                report(message["label"], message["done"], message["total"])
            elif "crash" in message:
                raise RuntimeError(f"{part.label}:\n{message['crash']}")
            else:
                del running[worker]
                give(worker)
                yield part, message["failure"]


def _work(connection: Connection, parts: Sequence[Work[Any]], targets: Sequence[Any]) -> None:
    """What a worker process does, until its pipe is closed."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with one_thread():
        while True:
            try:
                part = parts[json.loads(connection.recv_bytes())]
            except (EOFError, OSError):
                return
            try:
                answer: dict[str, Any] = {
                    "failure": _attempt(part, targets[part.target], _Messages(connection))
                }
            except Exception:  # its trace is shown by the process that reads it
                answer = {"crash": traceback.format_exc()}
            connection.send_bytes(json.dumps(answer).encode())


class _Messages:
    """A reporter that sends what it is told, now and then."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._said = 0.0

    def __call__(self, label: str, done: float, total: float) -> None:
        now = time.monotonic()
        if done < total and now - self._said < REPORT_SECONDS:
            return
        self._said = now
        # float: an attack may count with numpy's numbers, which JSON does not know
        message = {"label": label, "done": float(done), "total": float(total)}
        self._connection.send_bytes(json.dumps(message).encode())


def _end_with_parent() -> None:
    """A killed parent closes no pipe of a worker that computes: this ends it at once."""
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        sys.stderr.flush()
        os._exit(1)
