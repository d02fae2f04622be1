"""Where the cloud is: HOST:PORT, what stays on this machine, and gRPC itself."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from types import ModuleType

from esrt_privacy.errors import shown
from esrt_privacy.wire.errors import WireError

DEFAULT_PORT = 50051  # gRPC's customary one
SERVICE = "esrt.Wire"
METHOD = "Translate"
LARGEST_PORT = 65_535
MOST_METADATA_BYTES = 8192  # of a call, on either side
NO_COMPRESSION = (
    1  # a bit for each algorithm: bf16 hardly compresses, and a bomb would not be bounded
)


@dataclass(frozen=True)
class Address:
    """A host name or address, and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """`HOST:PORT`, `HOST`, or with an IPv6 address `[::1]:PORT`. Raises WireError."""
        host, colon, port = text.strip().rpartition(":")
        if not colon or text.endswith("]"):
            host, port = text.strip(), str(DEFAULT_PORT)
        host = host.removeprefix("[").removesuffix("]")
        known = host and not set(host) & set(" /@,")
        if not known or not port.isascii() or not port.isdigit() or int(port) > LARGEST_PORT:
            raise WireError(
                f"'{shown(text, 80)}': not HOST:PORT, such as localhost:{DEFAULT_PORT} or [::1]:{DEFAULT_PORT}"
            )
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether what is sent there never leaves this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def load_grpc() -> ModuleType:
    """The module `grpc`. Raises WireError where it is not installed."""
    # Its C core writes lines of its own to standard error; what matters comes as a status as well.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        import grpc
        import grpc.aio
    except ImportError as error:
        raise WireError("the wire needs gRPC: pip install 'esrt-privacy[wire]'") from error
    return grpc
