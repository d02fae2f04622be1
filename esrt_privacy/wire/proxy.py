"""A TCP proxy between edge and cloud that records every byte before it passes it on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from esrt_privacy.errors import shown
from esrt_privacy.wire.address import Address
from esrt_privacy.wire.errors import WireError
from esrt_privacy.wire.streams import SUFFIX, LogWriter

READ_BYTES = 64 << 10  # at a time; a side that reads slowly makes the other wait (drain)
MOST_CONNECTIONS = 256  # at a time: what is held of each is a few times READ_BYTES
CONNECT_SECONDS = 10.0
MOST_LINES = 100  # that are said of what could not be carried


class Log(Protocol):
    """What hears of every byte of one connection, in the order in which it passes. Any method may raise OSError."""

    def data(self, up: bool, data: bytes) -> None:
        """Bytes of one side, before they are passed on."""
        ...

    def end(self, up: bool, whole: bool) -> None:
        """One side has sent its last byte, or the connection is cut off."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


@dataclass(frozen=True)
class ProxyOptions:
    """Where to stand, and where the logs go."""

    listen: Address  # port 0: any that is free
    to: Address
    folder: Path
    most_connections: int = MOST_CONNECTIONS


@dataclass
class Proxy:
    """One proxy; made and used inside a running event loop. `say` gets a line for what cannot be carried."""

    options: ProxyOptions
    say: Callable[[str], None] = lambda line: None
    open_log: Callable[[Path, str, str], Log] = LogWriter  # (its path, edge's address, cloud's)
    failure: OSError | None = None  # of a log that could not be written
    failed: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0  # that were recorded
    _open: set[asyncio.Task[None]] = field(default_factory=set)
    _told: set[str] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def start(self) -> Address:
        """Listen; the address with its port. Raises WireError where that cannot be."""
        listen, folder = self.options.listen, self.options.folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise WireError(
                f"{folder}: cannot hold the logs ({error.strerror}); give another folder as --out"
            ) from error
        try:
            self._server = await asyncio.start_server(
                self._accepted, listen.host, listen.port, limit=READ_BYTES
            )
        except OSError as error:
            raise WireError(
                f"{listen}: cannot listen there ({shown(error.strerror)}); is the port taken?"
            ) from error
        return Address(listen.host, self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Take no further connections, cut those that are open, and close their logs.

        gRPC keeps connections open for as long as it can, so there is no use in waiting for their end.
        """
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)

    async def _accepted(self, near: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # a callback of start_server is a task
        if len(self._open) >= self.options.most_connections or self.failure is not None:
            self._tell(f"more than {self.options.most_connections} connections: refused the rest")
            out.transport.abort()
            return
        self._open.add(task)
        try:
            await self._carry(near, out)
        except asyncio.CancelledError:
            pass  # told to stop; the log says that it was cut
        except OSError as error:
            if self.failure is None:
                self.failure = error
            self.failed.set()
        finally:
            out.transport.abort()
            self._open.discard(task)

    async def _carry(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """One connection from its first byte to its last. Raises OSError of its log alone."""
        to = self.options.to
        try:
            far, out = await asyncio.wait_for(
                asyncio.open_connection(to.host, to.port, limit=READ_BYTES), CONNECT_SECONDS
            )
        except (OSError, TimeoutError) as error:
            self._tell(f"{to}: no cloud answers there ({shown(error, 120)}); the edge was refused")
            return
        log = None
        try:
            peer = back.get_extra_info("peername") or ("?", 0)
            log = self.open_log(self._path(), str(Address(peer[0], peer[1])), str(to))
            self.connections += 1
            await self._both_ways(log, near, out, far, back)
        finally:
            out.transport.abort()
            if log is not None:
                log.close()

    async def _both_ways(
        self,
        log: Log,
        near: asyncio.StreamReader,
        out: asyncio.StreamWriter,
        far: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> None:
        ways = [
            asyncio.create_task(_one_way(log, True, near, out)),
            asyncio.create_task(_one_way(log, False, far, back)),
        ]
        try:
            # Either may end long before the other: a side that is done sending still reads.
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
            for way in done:
                way.result()
            with contextlib.suppress(OSError):
                await asyncio.gather(_closed(out), _closed(back))
        except _CutError as cut:
            log.end(cut.up, whole=False)
        except asyncio.CancelledError:
            log.end(True, whole=False)
            log.end(False, whole=False)
            raise
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    def _path(self) -> Path:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        return self.options.folder / f"{stamp}-{self.connections + 1:05d}{SUFFIX}"

    def _tell(self, line: str) -> None:
        # A client that tries again and again shall not fill the terminal.
        if line not in self._told and len(self._told) < MOST_LINES:
            self._told.add(line)
            self.say(line)


def run_proxy(
    options: ProxyOptions,
    ready: Callable[[Address], None],
    say: Callable[[str], None],
) -> int:
    """Carry and record until Ctrl-C or SIGTERM; the number of connections. `ready` is told the address.

    Raises WireError where it cannot listen, and where a log cannot be written: bytes that are not recorded are not
    carried either, since a recording with holes is no evidence.
    """
    return asyncio.run(_run(options, ready, say))


async def _run(
    options: ProxyOptions, ready: Callable[[Address], None], say: Callable[[str], None]
) -> int:
    loop = asyncio.get_running_loop()
    proxy = Proxy(options, say)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, proxy.failed.set)
    try:
        ready(await proxy.start())
        await proxy.failed.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        await proxy.stop()
    if proxy.failure is not None:
        raise WireError(
            f"{options.folder}: a log cannot be written ({shown(proxy.failure.strerror)}); make room and start again"
        )
    return proxy.connections


class _CutError(Exception):
    """The connection broke while one side was sending."""

    def __init__(self, up: bool) -> None:
        super().__init__("cut")
        self.up = up


async def _one_way(
    log: Log, up: bool, source: asyncio.StreamReader, sink: asyncio.StreamWriter
) -> None:
    """Until the source ends. Raises _CutError for a broken connection, OSError for a log that cannot be written."""
    while True:
        try:
            data = await source.read(READ_BYTES)
        except OSError as error:
            raise _CutError(up) from error
        if not data:
            break
        log.data(up, data)
        try:
            sink.write(data)
            await sink.drain()
        except OSError as error:
            raise _CutError(not up) from error
    log.end(up, whole=True)
    with contextlib.suppress(OSError):
        sink.write_eof()


async def _closed(writer: asyncio.StreamWriter) -> None:
    """Sent to the last byte, and closed."""
    writer.close()
    await writer.wait_closed()
