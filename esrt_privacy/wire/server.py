"""The cloud on the network: requests in, checked and bounded, answers out as they are decoded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from esrt_privacy.errors import EsrtPrivacyError, LanguageError, shown
from esrt_privacy.wire.address import (
    DEFAULT_PORT,
    METHOD,
    MOST_METADATA_BYTES,
    NO_COMPRESSION,
    SERVICE,
    Address,
    load_grpc,
)
from esrt_privacy.wire.batching import Batcher, BusyError, Job
from esrt_privacy.wire.certificates import Credentials
from esrt_privacy.wire.errors import MessageError, WireError
from esrt_privacy.wire.feature_cache import FeatureCache, cache_key
from esrt_privacy.wire.health import NOT_SERVING, SERVING, Health
from esrt_privacy.wire.messages import (
    MOST_REPLY_BYTES,
    Bounds,
    Miss,
    Request,
    decode_request,
    encode_reply,
)
from esrt_privacy.wire.tensors import DTYPES, WireShape, decode_tensor

if TYPE_CHECKING:
    import grpc.aio
    from torch import Tensor

    from esrt_privacy.systems.whole import CloudHalf

KEEPALIVE_MS = 60_000  # a peer that answers no ping for KEEPALIVE_ANSWER_MS is gone
KEEPALIVE_ANSWER_MS = 20_000
IDLE_MS = 600_000  # a connection without requests is closed after so long
HERE = Address("127.0.0.1", DEFAULT_PORT)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServeOptions:
    """Where a cloud listens, what it reads, and how much of it."""

    shape: WireShape
    address: Address = HERE  # port 0: any that is free
    credentials: Credentials | None = None  # None: plaintext, on loopback
    any_client: bool = False  # TLS without asking clients for a certificate
    insecure: bool = False  # plaintext off loopback too
    dtypes: tuple[str, ...] = DTYPES
    targets: int = Bounds.targets
    beam: int = Bounds.beam
    most_tokens: int = Bounds.most_tokens
    most_rows: int = 32  # of one run of the LLM: recordings x targets x beam
    most_requests: int = 1024  # that are under way at a time
    seconds: float = 120.0  # for one request, whatever its own deadline
    grace: float = 20.0  # seconds for requests under way when the server is told to stop

    @property
    def bounds(self) -> Bounds:
        """What a peer may send."""
        most = self.shape.most_bytes(self.dtypes)
        return Bounds(most, self.targets, self.beam, self.most_tokens)

    @property
    def security(self) -> str:
        """One phrase for the line that says where the cloud listens."""
        if self.credentials is None:
            return "plaintext"
        return "TLS" if self.any_client else "TLS, clients with a certificate of its CA"


class WireServer:
    """One cloud half behind gRPC. Made and used inside a running event loop."""

    def __init__(
        self, cloud: CloudHalf, options: ServeOptions, cache: FeatureCache | None = None
    ) -> None:
        """Raises WireError for plaintext off loopback without `insecure`, and without gRPC."""
        self._grpc = load_grpc()
        require_safe(options.address, options.credentials, options.insecure)
        self._options = options
        self._bounds = options.bounds
        self._cache = cache
        self._disk = ThreadPoolExecutor(1, "feature-cache")
        self._health = Health()
        self._batcher = Batcher(cloud, options.most_rows, options.most_requests)
        self._server = self._grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", self._bounds.request_bytes),
                ("grpc.max_send_message_length", MOST_REPLY_BYTES),
                ("grpc.max_metadata_size", MOST_METADATA_BYTES),
                ("grpc.absolute_max_metadata_size", MOST_METADATA_BYTES),
                ("grpc.max_concurrent_streams", options.most_requests),
                ("grpc.compression_enabled_algorithms_bitset", NO_COMPRESSION),
                ("grpc.keepalive_time_ms", KEEPALIVE_MS),
                ("grpc.keepalive_timeout_ms", KEEPALIVE_ANSWER_MS),
                ("grpc.max_connection_idle_ms", IDLE_MS),
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=options.most_requests,
        )
        method = self._grpc.unary_stream_rpc_method_handler(self._translate)
        wire = self._grpc.method_handlers_generic_handler(SERVICE, {METHOD: method})
        self._server.add_generic_rpc_handlers((wire, self._health.handler()))

    @property
    def batches(self) -> tuple[int, ...]:
        """Recordings in each of the last batches."""
        return tuple(self._batcher.batches)

    async def start(self) -> Address:
        """Listen; the address with its port. Raises WireError where that cannot be."""
        where = str(self._options.address)
        credentials = self._options.credentials
        try:
            if credentials is None:
                port = self._server.add_insecure_port(where)
            else:
                port = self._server.add_secure_port(where, self._server_credentials(credentials))
            await self._server.start()
        except (RuntimeError, ValueError) as error:
            raise WireError(
                f"{where}: cannot listen there; is the port taken, or the certificate damaged?"
            ) from error
        await self._health.become(SERVING)
        return replace(self._options.address, port=port)

    async def stop(self) -> None:
        """Take no further requests, give those under way their time, then end them."""
        await self._health.become(NOT_SERVING)
        await self._server.stop(self._options.grace)
        await self._batcher.close()
        self._disk.shutdown()
        if self._cache is not None:
            self._cache.close()

    def _server_credentials(self, given: Credentials) -> Any:
        pair = (given.key, given.certificate)
        if self._options.any_client:
            return self._grpc.ssl_server_credentials([pair])
        return self._grpc.ssl_server_credentials([pair], given.authority, True)

    async def _translate(self, message: bytes, context: grpc.aio.ServicerContext) -> None:
        """One request. Every way out is a status with one line; none says what was in the request."""
        code = self._grpc.StatusCode
        seconds = min(context.time_remaining() or math.inf, self._options.seconds)
        try:
            async with asyncio.timeout(seconds):
                await self._answer(message, context)
            return
        except TimeoutError:
            status, line = code.DEADLINE_EXCEEDED, f"no answer within {seconds:.0f} s"
        except BusyError as error:
            status, line = code.UNAVAILABLE, str(error)
        except (MessageError, LanguageError) as error:
            status, line = code.INVALID_ARGUMENT, str(error)
        except EsrtPrivacyError as error:
            status, line = code.FAILED_PRECONDITION, str(error)
        except Exception as error:
            _log.exception("a request failed")
            status, line = code.INTERNAL, f"the cloud failed ({type(error).__name__}): see its log"
        await context.abort(status, shown(line, 500))

    async def _answer(self, message: bytes, context: grpc.aio.ServicerContext) -> None:
        request = decode_request(message, self._bounds)
        source, targets = _languages(request)
        tensor = await self._tensor(request, context)
        if tensor is None:
            await context.write(encode_reply(Miss()))
            return
        job = Job(tensor, source, targets, request.beam, request.most_tokens, request.stream)
        async with contextlib.aclosing(self._batcher.answers(job)) as answers:
            async for answer in answers:
                await context.write(encode_reply(answer))

    async def _tensor(self, request: Request, context: grpc.aio.ServicerContext) -> Tensor | None:
        """The request's own tensor, which is kept; or the kept one, None for a miss."""
        key = None
        if request.identifier is not None:
            key = cache_key(_client(context), request.identifier)
        if request.tensor is not None:
            tensor = self._decoded(request.tensor)
            if self._cache is not None and key is not None:
                await self._on_disk(self._cache.put, key, request.tensor)
            return tensor
        if self._cache is None or key is None:
            return None
        kept = await self._on_disk(self._cache.get, key)
        if kept is None:
            return None
        try:
            return self._decoded(kept)
        except MessageError:  # kept by a server of another shape
            return None

    def _decoded(self, data: bytes) -> Tensor:
        return decode_tensor(data, self._options.shape, self._options.dtypes)

    async def _on_disk(self, action: Callable[..., Any], *arguments: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._disk, action, *arguments)


def require_safe(address: Address, credentials: Credentials | None, insecure: bool) -> None:
    """Raise WireError for plaintext beyond this machine, unless the user consents to it."""
    if credentials is None and not address.is_loopback and not insecure:
        raise WireError(
            f"{address}: beyond this machine tensors go through TLS; make certificates with"
            " `esrt-privacy certs FOLDER` and give --certs FOLDER, or consent to plaintext with --insecure"
        )


def serve(
    cloud: CloudHalf,
    options: ServeOptions,
    cache: FeatureCache | None = None,
    ready: Callable[[Address], None] = lambda address: None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; `ready` is told the address. A second signal does not wait for requests.

    Raises WireError where it cannot listen.
    """
    asyncio.run(_serve(cloud, options, cache, ready))


async def _serve(
    cloud: CloudHalf,
    options: ServeOptions,
    cache: FeatureCache | None,
    ready: Callable[[Address], None],
) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    server = WireServer(cloud, options, cache)
    ready(await server.start())
    await told.wait()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
    await server.stop()


@contextlib.contextmanager
def in_background(
    cloud: CloudHalf, options: ServeOptions, cache: FeatureCache | None = None
) -> Iterator[Address]:
    """The same in a thread of this process, for the length of a block; yields the address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="wire-server", daemon=True)
    thread.start()

    async def started() -> tuple[WireServer, Address]:
        server = WireServer(cloud, options, cache)
        return server, await server.start()

    try:
        server, address = asyncio.run_coroutine_threadsafe(started(), loop).result()
        try:
            yield address
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _languages(request: Request) -> tuple[str, tuple[str, ...]]:
    """Spoken and target languages, known to the model. Raises LanguageError or MessageError."""
    from esrt_privacy.esrt.language_tags import require_language

    targets = tuple(map(require_language, request.targets))
    if len(set(targets)) < len(targets):
        raise MessageError("a target language is asked for twice")
    return require_language(request.source), targets


def _client(context: grpc.aio.ServicerContext) -> bytes:
    """Who asks, by certificate; nobody in particular without one."""
    (certificate, *_) = context.auth_context().get("x509_pem_cert") or (b"",)
    return bytes(certificate)
