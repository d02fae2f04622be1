"""What TLS leaves to an interceptor: that it is TLS, the name in the clear, sizes and times of records."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

MOST_HELLO_BYTES = 32 << 10
MOST_RECORD_BYTES = (1 << 14) + 2048  # RFC 8446, section 5.2, and the older versions' allowance

_HANDSHAKE, _APPLICATION = 22, 23
_TYPES = {20, 21, _HANDSHAKE, _APPLICATION, 24}
_SERVER_NAME, _ALPN = 0, 16


def is_tls(start: bytes) -> bool:
    """Whether a stream that begins so is TLS: a handshake record of version 3."""
    return len(start) >= 3 and start[0] == _HANDSHAKE and start[1] == 3 and start[2] <= 4


@dataclass
class Records:
    """Record heads of one side of a TLS connection (RFC 8446, section 5.1); what is in them is not held."""

    count: int = 0
    application_bytes: int = 0  # ciphertext, without the records' heads
    broken: bool = False
    _head: bytearray = field(default_factory=bytearray)
    _left: int = 0  # bytes of the record under way

    def feed(self, data: bytes) -> None:
        """Bytes of this side, in any portions."""
        place = 0
        while place < len(data) and not self.broken:
            if self._left:
                step = min(self._left, len(data) - place)
                self._left -= step
                place += step
                continue
            step = 5 - len(self._head)
            self._head += data[place : place + step]
            place += step
            if len(self._head) >= 5:
                kind, version, length = struct.unpack(">BHH", self._head)
                self._head.clear()
                self.broken = kind not in _TYPES or version >> 8 != 3 or length > MOST_RECORD_BYTES
                self._left = length
                self.count += 1
                self.application_bytes += length * (kind == _APPLICATION)


@dataclass(frozen=True)
class Hello:
    """What the edge's first message shows to anybody."""

    server_name: str | None = None
    protocols: tuple[str, ...] = ()  # ALPN: h2 is HTTP/2


def client_hello(start: bytes) -> Hello:
    """The ClientHello at the beginning of a stream (RFC 8446, section 4.1.2); of a damaged one nothing is known."""
    try:
        body = _handshake(start)
        place = 4 + 2 + 32  # type and length, version, random
        place += 1 + body[place]  # session
        place += 2 + struct.unpack_from(">H", body, place)[0]  # cipher suites
        place += 1 + body[place]  # compression
        end = place + 2 + struct.unpack_from(">H", body, place)[0]
        place += 2
        name: str | None = None
        protocols: tuple[str, ...] = ()
        while place + 4 <= min(end, len(body)):
            kind, length = struct.unpack_from(">HH", body, place)
            value = body[place + 4 : place + 4 + length]
            if kind == _SERVER_NAME and len(value) > 5 and value[2] == 0:
                name = value[5 : 5 + struct.unpack_from(">H", value, 3)[0]].decode(
                    "ascii", "replace"
                )
            elif kind == _ALPN:
                protocols = _protocols(value)
            place += 4 + length
        return Hello(name, protocols)
    except (struct.error, IndexError):
        return Hello()


def hello_is_whole(start: bytes) -> bool:
    """Whether `client_hello` need not wait for more, be it whole, too long or none."""
    try:
        body = _handshake(start)
        return len(start) >= MOST_HELLO_BYTES or len(body) >= 4 + int.from_bytes(body[1:4], "big")
    except IndexError:
        return len(start) >= 6


def _handshake(start: bytes) -> bytes:
    """The first handshake message, which may be spread over records."""
    body = b""
    place = 0
    while place + 5 <= len(start) and start[place] == _HANDSHAKE:
        length = struct.unpack_from(">H", start, place + 3)[0]
        body += start[place + 5 : place + 5 + length]
        place += 5 + length
    if body[0] != 1:
        raise IndexError("not a ClientHello")
    return body


def _protocols(value: bytes) -> tuple[str, ...]:
    names = []
    place = 2
    while place < len(value):
        names.append(value[place + 1 : place + 1 + value[place]].decode("ascii", "replace"))
        place += 1 + value[place]
    return tuple(names)
