"""The standard health service, grpc.health.v1, for load balancers and orchestrators.

Its two messages have one field each, so that they are written here without a protobuf runtime:
https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from esrt_privacy.wire.address import SERVICE, load_grpc
from esrt_privacy.wire.errors import MessageError

if TYPE_CHECKING:
    import grpc
    import grpc.aio

HEALTH_SERVICE = "grpc.health.v1.Health"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
MOST_NAME_BYTES = 100  # of a service; one byte holds the length

_NAME_FIELD = 0x0A  # field 1, length-delimited
_STATUS_FIELD = 0x08  # field 1, varint


class Health:
    """Answers `Check` and `Watch` for the server as a whole (no name) and for the wire service."""

    def __init__(self) -> None:
        self._status = NOT_SERVING
        self._changed = asyncio.Condition()

    async def become(self, status: int) -> None:
        """Change the status, and tell those who watch."""
        async with self._changed:
            self._status = status
            self._changed.notify_all()

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server is given."""
        grpc = load_grpc()
        methods = {
            "Check": grpc.unary_unary_rpc_method_handler(self._check),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
        }
        return grpc.method_handlers_generic_handler(HEALTH_SERVICE, methods)

    async def _check(self, message: bytes, context: grpc.aio.ServicerContext) -> bytes:
        status = await self._status_of(message, context)
        if status == SERVICE_UNKNOWN:
            await context.abort(load_grpc().StatusCode.NOT_FOUND, "no such service")
        return encode_status(status)

    async def _watch(self, message: bytes, context: grpc.aio.ServicerContext) -> None:
        told = None
        while told != NOT_SERVING:  # which is the last: the server is going down
            status = await self._status_of(message, context)
            if status != told:
                await context.write(encode_status(status))
                told = status
                continue
            async with self._changed:
                await self._changed.wait()

    async def _status_of(self, message: bytes, context: grpc.aio.ServicerContext) -> int:
        try:
            name = decode_name(message)
        except MessageError as error:
            await context.abort(load_grpc().StatusCode.INVALID_ARGUMENT, str(error))
        return self._status if name in ("", SERVICE) else SERVICE_UNKNOWN


def encode_status(status: int) -> bytes:
    """A HealthCheckResponse."""
    return bytes((_STATUS_FIELD, status))


def decode_name(message: bytes) -> str:
    """The service that a HealthCheckRequest names. Raises MessageError."""
    if not message:
        return ""
    named = message[2:]
    if message[0] != _NAME_FIELD or len(message) < 2 or message[1] != len(named):
        raise MessageError("not a health request")
    if len(named) > MOST_NAME_BYTES or not named.isascii():
        raise MessageError("not a service's name")
    return named.decode("ascii")


def encode_name(service: str) -> bytes:
    """A HealthCheckRequest."""
    name = service.encode("ascii")
    return bytes((_NAME_FIELD, len(name))) + name if name else b""
