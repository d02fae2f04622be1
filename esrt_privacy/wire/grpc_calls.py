"""A gRPC call as an interceptor sees it, and the messages in its data; memory is bounded by what is held together."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Protocol

from esrt_privacy.wire.messages import MOST_REPLY_BYTES, Bounds

MOST_HELD_BYTES = (
    64 << 20
)  # of unfinished frames and messages, of all connections that are read together
MOST_NOTES = 8  # of one call

_PREFIX = struct.Struct(">BI")


@dataclass
class Traffic:
    """What one side sent: bytes with the heads of their frames, and the times (ns since 1970) of first and last."""

    bytes: int = 0
    first_ns: int | None = None
    last_ns: int | None = None

    def add(self, size: int, time_ns: int) -> None:
        """Count bytes that passed at a time."""
        self.bytes += size
        self.first_ns = time_ns if self.first_ns is None else self.first_ns
        self.last_ns = time_ns


@dataclass
class Call:
    """One request and its answers, as far as they were seen."""

    stream: int
    headers: dict[str, str] = field(default_factory=dict)  # of the request
    trailers: dict[str, str] = field(default_factory=dict)  # all that the other side sent
    up: Traffic = field(default_factory=Traffic)
    down: Traffic = field(default_factory=Traffic)
    ended: set[bool] = field(default_factory=set)  # which sides came to their end
    unread: set[bool] = field(default_factory=set)  # of which sides no more can be read
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Something that could not be read."""
        if len(self.notes) < MOST_NOTES and text not in self.notes:
            self.notes.append(text)


class Listener(Protocol):
    """Who is told what was found."""

    def message(self, call: Call, up: bool, data: bytes) -> None:
        """One gRPC message, whole."""
        ...

    def ended(self, call: Call) -> None:
        """Nothing more comes of this call."""
        ...


@dataclass
class Held:
    """Bytes in memory that are not whole yet; shared by the connections of one reading."""

    most: int = MOST_HELD_BYTES
    bytes: int = 0


class Messages:
    """gRPC messages out of the data of each call: one byte (1: compressed), four with the length, and the message."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._parts: dict[tuple[int, bool], bytearray] = {}  # what is not whole yet

    def add(self, call: Call, up: bool, data: bytes) -> list[bytes]:
        """The messages that this data completes. After one that cannot be read, none is."""
        if up in call.unread:
            return []
        if self._held.bytes + len(data) > self._held.most:
            call.note("not kept: too much was under way at a time")
            call.unread.add(up)
            return []
        part = self._parts.setdefault((call.stream, up), bytearray())
        part += data
        self._held.bytes += len(data)
        most = Bounds().request_bytes if up else MOST_REPLY_BYTES
        whole = []
        while len(part) >= _PREFIX.size:
            compressed, length = _PREFIX.unpack_from(part)
            if compressed or length > most:
                what = "a compressed message" if compressed else f"a message of {length:,} bytes"
                call.note(f"{what}, or none of gRPC: not read, nor what follows it")
                call.unread.add(up)
                self.drop(call, up)
                break
            end = _PREFIX.size + length
            if len(part) < end:
                break
            whole.append(bytes(part[_PREFIX.size : end]))
            del part[:end]
            self._held.bytes -= end
        return whole

    def drop(self, call: Call, up: bool) -> int:
        """Forget what is not whole; its bytes."""
        size = len(self._parts.pop((call.stream, up), b""))
        self._held.bytes -= size
        return size
