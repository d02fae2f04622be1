"""Edge here, cloud elsewhere: what `translate --cloud` runs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from esrt_privacy.wire.address import Address
from esrt_privacy.wire.certificates import CLIENT, read_credentials
from esrt_privacy.wire.channel import ClientOptions
from esrt_privacy.wire.client import RemoteCloud
from esrt_privacy.wire.identifiers import kept_secret

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

SECRET_FILE = "wire-client.secret"  # in the cache folder


class EdgeHalf(Protocol):
    """Waveforms -> wire tensors, as `esrt.edge.Edge` does it."""

    def encode(self, waves: Sequence[np.ndarray]) -> Tensor:
        """Waveforms (samples,) at 16 kHz -> wire tensors (batch, vectors, width)."""
        ...


@dataclass(frozen=True)
class RemoteRequest:
    """What `translate --cloud` is asked for."""

    cloud: str  # HOST:PORT
    model: str = "reference"
    certificates: Path | None = None  # folder with ca.pem, client.pem, client.key
    client: str = CLIENT  # whose certificate in that folder
    insecure: bool = False
    dtype: str = "bf16"
    seconds: float = 120.0  # for one recording
    weights: Path | None = None
    allow_remote_code: bool = False


@dataclass(frozen=True)
class RemoteTranslator:
    """A `Translator` whose cloud half is at the other end of a connection."""

    edge: EdgeHalf
    remote: RemoteCloud

    def encode(self, waves: Sequence[np.ndarray]) -> Tensor:
        """Waveforms (samples,) at 16 kHz -> the wire tensor (batch, vectors, width)."""
        return self.edge.encode(waves)

    def cloud(self) -> RemoteCloud:
        """The cloud half."""
        return self.remote


def connect(request: RemoteRequest) -> RemoteTranslator:
    """Load the edge half, and no other, and name the cloud that answers; it is reached with the first recording.

    Identifiers are keyed with a secret in the cache folder, so that a later run can name what an earlier one has sent.
    Raises WireError, AssetError or SystemUnavailable.
    """
    from esrt_privacy.assets.cache import cache_folder

    address = Address.parse(request.cloud)
    folder = request.certificates
    options = ClientOptions(
        credentials=None if folder is None else read_credentials(folder, request.client),
        insecure=request.insecure,
        dtype=request.dtype,
        seconds=request.seconds,
        ask_first=True,
    )
    remote = RemoteCloud(address, options, kept_secret(cache_folder() / SECRET_FILE))
    return RemoteTranslator(
        load_edge(request.model, request.weights, request.allow_remote_code), remote
    )


def load_edge(
    name_or_folder: str, weights: Path | None = None, allow_remote_code: bool = False
) -> EdgeHalf:
    """The edge half alone of what `load_translator` loads. Raises AssetError or SystemUnavailable."""
    from esrt_privacy.esrt.checkpoint import checkpoint_folder
    from esrt_privacy.systems import registry

    if registry.is_released(name_or_folder, allow_remote_code):
        from esrt_privacy.systems.released import ReleasedSystem
        from esrt_privacy.systems.remote_checkpoint import open_checkpoint

        return ReleasedSystem.load(open_checkpoint(name_or_folder, allow_remote_code))
    if name_or_folder in registry.REFERENCE_NAMES:
        return registry.load_edge(registry.reference_folder(), weights, name_or_folder)
    return registry.load_edge(checkpoint_folder(name_or_folder), weights)
