"""The cloud half on the network, from its model's name: what `esrt-privacy serve` does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from esrt_privacy.wire.address import DEFAULT_PORT, Address, load_grpc
from esrt_privacy.wire.certificates import SERVER, read_credentials
from esrt_privacy.wire.completions import Completions, LlmServer
from esrt_privacy.wire.errors import WireError
from esrt_privacy.wire.feature_cache import (
    DEFAULT_BYTES,
    DEFAULT_SECONDS,
    FeatureCache,
    SqliteCache,
)
from esrt_privacy.wire.messages import Bounds
from esrt_privacy.wire.redis_cache import SCHEMES, RedisCache
from esrt_privacy.wire.server import ServeOptions, require_safe, serve
from esrt_privacy.wire.tensors import WireShape

if TYPE_CHECKING:
    from esrt_privacy.systems.whole import CloudHalf

CACHE_FILE = "features.sqlite"  # in the cache folder
NO_CACHE = "none"


@dataclass(frozen=True)
class ServeRequest:
    """What `serve` is asked for."""

    model: str = "reference"
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT  # 0: any that is free
    certificates: Path | None = None  # folder with ca.pem, server.pem, server.key
    any_client: bool = False
    insecure: bool = False
    cache: str | None = None  # a file, redis://…, or none; by default a file in the cache folder
    cache_bytes: int = DEFAULT_BYTES
    cache_seconds: float = DEFAULT_SECONDS
    most_tokens: int = Bounds.most_tokens
    most_rows: int = 32
    seconds: float = 120.0
    grace: float = 20.0
    llm_url: str | None = None  # of a vLLM server that decodes; None: the LLM is loaded here
    weights: Path | None = None
    allow_remote_code: bool = False


def serve_model(request: ServeRequest, say: Callable[[str], None]) -> None:
    """Load a model's cloud half and serve it until told to stop; `say` gets the line with its address.

    What is cheap to refuse is refused before the model is loaded. Raises WireError, AssetError or SystemUnavailable.
    """
    load_grpc()
    folder = request.certificates
    credentials = None if folder is None else read_credentials(folder, SERVER)
    address = Address(request.host, request.port)
    require_safe(address, credentials, request.insecure)
    llm = None
    if request.llm_url is not None:
        llm = Completions(LlmServer.parse(request.llm_url, request.insecure), request.seconds)
    cloud, shape = load_cloud(request.model, request.weights, request.allow_remote_code, llm)
    options = ServeOptions(
        shape=shape,
        address=address,
        credentials=credentials,
        any_client=request.any_client,
        insecure=request.insecure,
        most_tokens=request.most_tokens,
        most_rows=request.most_rows,
        seconds=request.seconds,
        grace=request.grace,
    )
    cache = open_cache(request, shape)
    decoding = "" if llm is None else f"; {llm.server} decodes"
    with ExitStack() as ending:
        if llm is not None:
            ending.callback(llm.close)  # nobody waits for it once the server has stopped
        serve(
            cloud,
            options,
            cache,
            lambda here: say(
                f"serving {request.model} ({shape}) on {here}: {options.security}{decoding}"
            ),
        )
    say("stopped")


def open_cache(request: ServeRequest, shape: WireShape) -> FeatureCache | None:
    """Where tensors are kept. Raises WireError for a place that cannot be used."""
    from esrt_privacy.assets.cache import cache_folder

    if request.cache == NO_CACHE:
        return None
    if request.cache is not None and request.cache.partition("://")[0] in SCHEMES:
        return RedisCache(request.cache, shape.most_bytes(), request.cache_seconds)
    path = cache_folder() / CACHE_FILE if request.cache is None else Path(request.cache)
    return SqliteCache(path.expanduser(), request.cache_bytes, request.cache_seconds)


def load_cloud(
    name_or_folder: str,
    weights: Path | None = None,
    allow_remote_code: bool = False,
    llm: Completions | None = None,
) -> tuple[CloudHalf, WireShape]:
    """The cloud half alone, and the shape of the tensors that it reads. Raises AssetError or SystemUnavailable.

    With `llm` the LLM's layers are not loaded: it decodes. Raises WireError where a checkpoint cannot be split so.
    A checkpoint with code of its own does not tell the shape; it is taken to be the paper's.
    """
    from esrt_privacy.esrt.config import ESRT_4B
    from esrt_privacy.esrt.model import EsrtModel
    from esrt_privacy.esrt.model_config import model_preset
    from esrt_privacy.systems.registry import REFERENCE_NAMES, is_released, reference_folder

    if is_released(name_or_folder, allow_remote_code):
        if llm is not None:
            raise WireError(
                "--llm-url: a checkpoint with code of its own decodes by that code; leave it away"
            )
        from esrt_privacy.systems.released import ReleasedCloud
        from esrt_privacy.systems.remote_checkpoint import open_checkpoint

        released = ReleasedCloud.load(open_checkpoint(name_or_folder, allow_remote_code))
        return released, WireShape(*ESRT_4B.wire_shape)
    preset = model_preset(name_or_folder) if name_or_folder in REFERENCE_NAMES else None
    place = reference_folder() if preset else name_or_folder
    if llm is not None:
        from esrt_privacy.wire.handover import load_handed_over

        return load_handed_over(place, preset, llm)
    model = EsrtModel.from_pretrained(place, preset, weights, with_edge=False).merge()
    return model.cloud(), WireShape(*model.config.edge.wire_shape)
