"""The connection that a client opens, and what its failures mean in one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esrt_privacy.errors import shown
from esrt_privacy.wire.address import MOST_METADATA_BYTES, NO_COMPRESSION, Address, load_grpc
from esrt_privacy.wire.certificates import Credentials
from esrt_privacy.wire.errors import WireError
from esrt_privacy.wire.messages import MOST_REPLY_BYTES

if TYPE_CHECKING:
    import grpc

RECONNECT_MS = (100, 1000)  # first and longest pause between attempts to connect
CONNECT_MS = 10_000  # for one attempt, which takes three round trips or four, however slow the line

_NEVER_REACHED = ("failed to connect", "dns resolution", "name resolution", "no address")
_NOBODY_THERE = ("refused", "resolution", "unreachable", "timed out", "no address", "no route")


@dataclass(frozen=True)
class ClientOptions:
    """How an edge talks to its cloud."""

    credentials: Credentials | None = None  # None off loopback: TLS, trusting gRPC's own roots
    insecure: bool = False  # plaintext off loopback too
    dtype: str = "bf16"
    seconds: float = 120.0  # for one recording, all attempts together
    patience: float = 15.0  # seconds to wait for a cloud that was there and went away
    keep: bool = True  # let the cloud keep tensors under identifiers
    ask_first: bool = False  # try the identifier of a tensor that another run may have sent
    calls: int = 8  # recordings under way at a time


def uses_tls(address: Address, options: ClientOptions) -> bool:
    """Whether the connection is encrypted: always, unless it stays on this machine or the user consents."""
    return options.credentials is not None or not (options.insecure or address.is_loopback)


def open_channel(address: Address, options: ClientOptions) -> grpc.Channel:
    """A connection of its own, made when first used. Raises WireError without gRPC."""
    grpc = load_grpc()
    first, longest = RECONNECT_MS
    settings: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", MOST_REPLY_BYTES),
        ("grpc.max_metadata_size", MOST_METADATA_BYTES),
        ("grpc.compression_enabled_algorithms_bitset", NO_COMPRESSION),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", first),
        ("grpc.min_reconnect_backoff_ms", CONNECT_MS),  # bounds an attempt, whatever its name
        ("grpc.max_reconnect_backoff_ms", longest),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.http2.bdp_probe", 0),  # answers are short; a probe costs more than it finds
    ]
    if address.is_loopback:
        settings.append(("grpc.enable_http_proxy", 0))
    if not uses_tls(address, options):
        return grpc.insecure_channel(str(address), settings)
    given = options.credentials or Credentials()
    credentials = grpc.ssl_channel_credentials(given.authority, given.key, given.certificate)
    return grpc.secure_channel(str(address), credentials, settings)


def may_pass(error: Any, reached: bool) -> bool:
    """Whether another attempt may do: the cloud is restarting, or too many ask at a time.

    A cloud that was never reached is a wrong address or certificate, which no waiting mends.
    """
    code = load_grpc().StatusCode
    details = (error.details() or "").lower()
    if error.code() == code.RESOURCE_EXHAUSTED:
        return "concurrent" in details
    never = any(words in details for words in _NEVER_REACHED)
    return error.code() == code.UNAVAILABLE and (reached or not never)


def failure(error: Any, address: Address, options: ClientOptions) -> WireError:
    """A failed call as one line: what is wrong, and what to do."""
    code = load_grpc().StatusCode
    status, details = error.code(), shown(error.details() or "", 300)
    if status == code.DEADLINE_EXCEEDED:
        return WireError(
            f"{address}: no answer within the deadline; ask for fewer languages or tokens, or give it longer"
        )
    if status == code.UNAVAILABLE:
        return WireError(f"{address}: {_unavailable(details, uses_tls(address, options), options)}")
    if status in (code.INVALID_ARGUMENT, code.FAILED_PRECONDITION):
        return WireError(f"{address} refused the request: {details}")
    if status == code.RESOURCE_EXHAUSTED:
        return WireError(
            f"{address}: too much for the cloud ({details}); is it serving the same --model?"
        )
    if status == code.UNIMPLEMENTED:
        return WireError(f"{address}: not an esrt-privacy cloud, or one of another version")
    if status == code.CANCELLED:
        return WireError(f"{address}: the request was called off")
    return WireError(f"{address}: {details or status.name}")


def _unavailable(details: str, tls: bool, options: ClientOptions) -> str:
    lower = details.lower()
    if (
        "certificate_verify_failed" in lower
        or "hostname verification" in lower
        or "peer name" in lower
    ):
        return (
            "its certificate is not one of an authority that is trusted here, has expired, or is not one for this"
            " name; give --certs FOLDER with the cloud's ca.pem"
        )
    if tls and ("ssl" in lower or "handshake" in lower):
        return f"no TLS connection; is the cloud serving plaintext, or another CA? ({details})"
    if any(words in lower for words in _NOBODY_THERE):
        return f"no cloud answers there; start one with `esrt-privacy serve` ({details})"
    hints = "the connection was lost"
    if not tls:
        hints += "; does the cloud serve TLS (--certs), or has it stopped?"
    elif options.credentials is None or options.credentials.certificate is None:
        hints += "; does the cloud ask for a client's certificate (--certs), or has it stopped?"
    else:
        hints += "; does the cloud trust another CA, or has it stopped?"
    return f"{hints} ({details})"
