"""Where nothing can be read, what is left of a call: bytes up, and the bytes down that answer them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from esrt_privacy.wire.grpc_calls import Traffic

# Of one side at a time, with the 22 bytes of a TLS record: HTTP/2's window updates (13 bytes each, two at a time) and
# pings stay below, a request and its answer, which have headers and data, above.
HOUSEKEEPING_BYTES = 64


@dataclass
class Exchange:
    """What passed from one request, as far as sizes tell, to the next."""

    up: Traffic = field(default_factory=Traffic)
    down: Traffic = field(default_factory=Traffic)
    answered: bool = False


class Exchanges:
    """Divides a connection into exchanges by who sends, and how much before the other side does."""

    def __init__(self, tell: Callable[[Exchange], None]) -> None:
        self._tell = tell
        self._side = True
        self._turn = Traffic()  # of one side, until the other sends
        self._exchange = Exchange()

    def add(self, up: bool, size: int, time_ns: int) -> None:
        """Bytes of one side."""
        if up != self._side:
            self._take()
            self._side = up
        self._turn.add(size, time_ns)

    def finish(self) -> None:
        """The connection is over."""
        self._take()
        self._close()

    def _take(self) -> None:
        """The turn becomes part of an exchange; of a new one where it asks and the last was answered."""
        turn, self._turn = self._turn, Traffic()
        if turn.first_ns is None or turn.last_ns is None:
            return
        counts = turn.bytes >= HOUSEKEEPING_BYTES
        if self._side and counts and self._exchange.answered:
            self._close()
        side = self._exchange.up if self._side else self._exchange.down
        side.add(0, turn.first_ns)
        side.add(turn.bytes, turn.last_ns)
        self._exchange.answered |= counts and not self._side

    def _close(self) -> None:
        if self._exchange.up.bytes or self._exchange.down.bytes:
            self._tell(self._exchange)
        self._exchange = Exchange()
