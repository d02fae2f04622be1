"""A real connection on loopback, TLS and all, and the bytes that bodies take on it.

Tensors go through the project's own client (`wire/client.py`, gRPC, TLS with a client's certificate) to its own
server, everything else through HTTP/1.1 over TLS to a speech API; both stand in a process of their own
(`stub_cloud.py`). Between them the proxy of `wire/proxy.py` counts TCP payload: bodies, headers of HTTP/1.1 or HTTP/2
and gRPC, TLS records. What TCP and IP add is estimated in `tcp_ip.py`.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from esrt_privacy.bandwidth.carried import Carried
from esrt_privacy.bandwidth.cloud_process import cloud_process
from esrt_privacy.bandwidth.codecs import JSON_TYPE, AudioFormat
from esrt_privacy.bandwidth.options import BandwidthError
from esrt_privacy.bandwidth.speech_api import SpeechApi
from esrt_privacy.bandwidth.tensors import TensorFormat
from esrt_privacy.wire.address import Address, load_grpc
from esrt_privacy.wire.certificates import CLIENT, LOCAL_NAMES, make_certificates, read_credentials
from esrt_privacy.wire.channel import ClientOptions
from esrt_privacy.wire.client import RemoteCloud
from esrt_privacy.wire.proxy import Proxy, ProxyOptions
from esrt_privacy.wire.tensors import WireShape

Format = AudioFormat | TensorFormat

HOST = "127.0.0.1"
SOURCE = "eng"
API = "api"  # the endpoint of everything that is no bare tensor
REQUEST_SECONDS = 60.0
PROTOCOLS = {
    True: "HTTP/1.1, TLS 1.3",
    False: "gRPC on HTTP/2, TLS 1.3, both sides with certificates",
}


@dataclass
class Counter:
    """Hears of every byte of one endpoint's connections (`wire.proxy.Log`), and keeps how many there were."""

    up: int = 0
    down: int = 0

    def data(self, up: bool, data: bytes) -> None:
        if up:
            self.up += len(data)
        else:
            self.down += len(data)

    def end(self, up: bool, whole: bool) -> None:
        """Ends carry no payload."""

    def close(self) -> None:
        """Nothing is held."""


@dataclass
class Endpoint:
    """A client with one connection to one server, and what counts its bytes."""

    client: SpeechApi | RemoteCloud
    counter: Counter = field(default_factory=Counter)
    # What the first request took beyond a later one: handshakes, settings, headers that are not yet indexed.
    opening: Carried = field(default_factory=lambda: Carried(0, 0))

    def counted(self, action: Callable[[], object]) -> Carried:
        """The bytes that pass while `action` runs."""
        before = self.counter.up, self.counter.down
        action()
        return Carried(self.counter.up - before[0], self.counter.down - before[1])

    def send(self, body: bytes, content_type: str, target: str) -> None:
        """One request that brings a body; the wire names a tensor that it has sent already."""
        if isinstance(self.client, SpeechApi):
            self.client.translate(body, content_type, SOURCE, target)
        else:
            self.client.translate_encoded(body, SOURCE, [target])

    def name(self, body: bytes, target: str) -> None:
        """One request that names a body which was sent."""
        if isinstance(self.client, SpeechApi):
            self.client.translate_again(body, SOURCE, target)
        else:
            self.client.translate_encoded(body, SOURCE, [target])


class Connection:
    """A connection to each endpoint, opened when it is first needed; made by `connected`."""

    def __init__(self, opened: Callable[[str], Endpoint]) -> None:
        from esrt_privacy.esrt.language_tags import FLEURS_LANGUAGES

        self._opened = opened
        self._endpoints: dict[str, Endpoint] = {}
        # Each request names the next language: their codes have one length, and the bytes show it.
        self._languages = cycle([code for code in FLEURS_LANGUAGES if code != SOURCE])

    def opening(self, each: Format) -> Carried:
        """What a new connection takes beyond its requests: a few bytes more or less each time, as signatures vary."""
        return self._endpoint(each).opening

    def carry(self, each: Format, body: bytes) -> Carried:
        """TCP payload of one request that brings `body`, and of its answer.

        The wire sends no tensor twice: ValueError for one that it has sent, whose identifier went instead.
        """
        endpoint, target = self._endpoint(each), next(self._languages)
        carried = endpoint.counted(lambda: endpoint.send(body, content_type(each), target))
        if carried.up < len(body):
            raise ValueError(f"a body of {each.name} that was sent before")
        return carried

    def refer(self, each: Format, body: bytes) -> Carried:
        """The same for a further language of what `carry` has brought: its identifier goes in its place."""
        endpoint, target = self._endpoint(each), next(self._languages)
        return endpoint.counted(lambda: endpoint.name(body, target))

    def _endpoint(self, each: Format) -> Endpoint:
        # Late: servers close connections that have been idle for long, and audio comes first.
        name = endpoint_name(each)
        if name not in self._endpoints:
            self._endpoints[name] = self._opened(name)
        return self._endpoints[name]


def endpoint_name(each: Format) -> str:
    """Where a format goes: a bare tensor to the server of its shape, the rest to the API."""
    if isinstance(each, AudioFormat) or each.in_json:
        return API
    return str(WireShape(each.vectors, each.width))


def protocol(each: Format) -> str:
    """In words, what carries a format."""
    return PROTOCOLS[goes_to_api(each)]


def goes_to_api(each: Format) -> bool:
    """Whether a format goes by HTTP/1.1 to the API rather than by gRPC."""
    return endpoint_name(each) == API


def content_type(each: Format) -> str:
    """Of a body that goes to the API."""
    return each.content_type if isinstance(each, AudioFormat) else JSON_TYPE


def require_parts() -> None:
    """Raise WireError or CertificateError where gRPC or the maker of certificates is not installed."""
    load_grpc()
    with tempfile.TemporaryDirectory() as folder:
        make_certificates(Path(folder))


@contextmanager
def connected(shapes: Sequence[tuple[int, int]], identifier_bytes: int) -> Iterator[Connection]:
    """Certificates, the cloud's process, a counting proxy and a connection for each endpoint, for a block.

    Raises BandwidthError where the cloud does not start, WireError where the wire cannot be used.
    """
    wanted = [WireShape(*shape) for shape in shapes]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="esrt-bandwidth-")))
        make_certificates(folder, LOCAL_NAMES)
        addresses = stack.enter_context(cloud_process(folder, HOST, identifier_bytes, wanted))
        run = stack.enter_context(_loop())

        def opened(name: str) -> Endpoint:
            counter = Counter()
            near = stack.enter_context(_counted(run, addresses[name], folder, counter))
            return _opened(near, name, folder, identifier_bytes, counter, stack)

        yield Connection(opened)


def clients(
    address: Address, name: str, folder: Path, identifier_bytes: int, seconds: float
) -> SpeechApi | RemoteCloud:
    """The client of an endpoint, with its own connection, made with the first request. Close it."""
    if name == API:
        return SpeechApi(address, folder, secrets.token_urlsafe(32), identifier_bytes, seconds)
    options = ClientOptions(read_credentials(folder, CLIENT), patience=seconds, seconds=seconds)
    return RemoteCloud(address, options)


def _opened(
    near: Address,
    name: str,
    folder: Path,
    identifier_bytes: int,
    counter: Counter,
    stack: ExitStack,
) -> Endpoint:
    """A client of its own for an endpoint, after two requests: the first has opened the connection."""
    client = clients(near, name, folder, identifier_bytes, REQUEST_SECONDS)
    stack.callback(client.close)
    endpoint = Endpoint(client, counter)
    first, second = (_opening(endpoint, body) for body in _two_bodies(name))
    endpoint.opening = first.plus(second, -1)
    return endpoint


def _opening(endpoint: Endpoint, body: bytes) -> Carried:
    return endpoint.counted(lambda: endpoint.send(body, JSON_TYPE, "deu"))


def _two_bodies(name: str) -> list[bytes]:
    """Two bodies of different content, so that both are sent, and one length."""
    import torch

    if name == API:
        return [b"1", b"2"]
    vectors, width = map(int, name.split("x"))
    made = TensorFormat(vectors, width, "bf16")
    return [made.pack(torch.full((vectors, width), value)) for value in (1.0, 2.0)]


@contextmanager
def _loop() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """An event loop in a thread; yields what runs a coroutine in it and waits."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="counting-proxy", daemon=True)
    thread.start()
    try:
        yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def _counted(
    run: Callable[[Coroutine[Any, Any, Any]], Any], to: Address, folder: Path, counter: Counter
) -> Iterator[Address]:
    """A proxy to `to` that counts and keeps nothing; yields its address."""

    async def made() -> tuple[Proxy, Address]:
        options = ProxyOptions(Address(HOST, 0), to, folder)
        proxy = Proxy(options, open_log=lambda path, edge, cloud: counter)
        return proxy, await proxy.start()

    proxy, address = run(made())
    try:
        yield address
    finally:
        run(proxy.stop())
        if proxy.failure is not None:
            raise BandwidthError(f"the counting proxy failed ({proxy.failure})")
