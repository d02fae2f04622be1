"""The proxy of `esrt-privacy intercept` in a thread, and what is needed to look at what it recorded."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from esrt_privacy.wire.address import Address
from esrt_privacy.wire.intercepted import Recording, Recovered, recover
from esrt_privacy.wire.proxy import Proxy, ProxyOptions
from esrt_privacy.wire.streams import Chunk, read_log

ANY_PORT = Address("127.0.0.1", 0)


@contextmanager
def recording(to: Address, folder: Path, **options) -> Iterator[tuple[Address, Proxy]]:
    """A proxy to `to` for the length of a block; yields its address and itself. Logs are whole after the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def wait(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(20)

    async def made() -> tuple[Address, Proxy]:
        proxy = Proxy(ProxyOptions(ANY_PORT, to, folder, **options))
        return await proxy.start(), proxy

    address, proxy = wait(made())
    try:
        yield address, proxy
    finally:
        wait(proxy.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def chunks(path: Path) -> list[Chunk]:
    """The bytes of a log, with side and time."""
    return [event for event in read_log(path)[1] if isinstance(event, Chunk)]


def sides(path: Path) -> tuple[bytes, bytes]:
    """What the edge and what the cloud sent."""
    found = chunks(path)
    return (
        b"".join(c.data for c in found if c.up),
        b"".join(c.data for c in found if not c.up),
    )


def recovered(source: Recording, out: Path, **options) -> tuple[Recovered, list[dict]]:
    """What `recover` found, and the rows of its evidence."""
    found = recover(source, out, **options)
    return found, [json.loads(line) for line in found.evidence.read_text().splitlines()]


def of_kind(rows: list[dict], kind: str) -> list[dict]:
    """Rows of one kind."""
    return [row for row in rows if row["kind"] == kind]


def recorded_calls(cloud: Address, remote, folder: Path, wire: Tensor) -> Path:
    """Each tensor on its own into German and French, then the first again into Spanish; the folder of the logs."""
    with recording(cloud, folder) as (address, _):
        edge = remote(address)
        for row in wire:
            edge.translate(row[None], "eng", ["deu", "fra"])
        edge.translate(wire[:1], "eng", ["spa"])
        edge.close()
    return folder
