"""Seconds that requests take, computed from bytes, rate and round trip: no network is touched.

The model is a lone TCP connection with TLS 1.3 on a link without loss, waiting or other traffic:

    seconds = (handshakes + requests) · RTT + 8 · bytes / rate + idle

- HANDSHAKES = 2 round trips open it: one for TCP, one for TLS 1.3 (RFC 8446, no resumption). gRPC takes a
  third: its client sends no request before the server's HTTP/2 settings have come (GRPC_HANDSHAKES).
- Each request takes one round trip for its way there and the answer's way back. The server's
  computing is left out, so that formats are compared by their transfer alone.
- bytes: of requests, and of answers and of the connection's opening where they are known (`Costs`);
  they follow one another, at the same rate both ways.
- idle: slow start. A connection may have 10 segments of 1,460 bytes on their way unacknowledged
  (RFC 6928) and doubles that with every round trip, so a sender on a long link stands still until
  acknowledgements come. With windows w, 2w, 4w … a round idles max(0, RTT - 8 · window / rate)
  as long as bytes are left. The window goes on growing over the requests of one connection.
  Source: Kurose & Ross, "Computer Networking", 3rd ed., section 3.7 (latency with slow start);
  the first segment's own time neglected.

Requests follow one another, one for each target language. With a feature cache the first carries
the recording and each further one its identifier; without, each carries the recording again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from esrt_privacy.bandwidth.sizes import link_seconds
from esrt_privacy.bandwidth.units import BITS, MBIT, MS

HANDSHAKES = 2  # round trips: TCP, TLS 1.3
GRPC_HANDSHAKES = 3  # and the settings of HTTP/2
INITIAL_WINDOW = 10 * 1_460  # B, RFC 6928


@dataclass(frozen=True)
class Link:
    """A line: `rate_mbit` in 10^6 bit/s upwards, `round_trip_ms` in milliseconds."""

    rate_mbit: float
    round_trip_ms: float

    @property
    def round_trip(self) -> float:
        """Seconds."""
        return self.round_trip_ms / MS

    @property
    def full_window(self) -> float:
        """Bytes on their way that keep the line busy: rate · round trip."""
        return self.rate_mbit * MBIT / BITS * self.round_trip


@dataclass(frozen=True)
class Costs:
    """Bytes that one format puts on a link."""

    whole: float  # of a request that carries the recording
    identifier: float  # of one that names it
    answer: float = 0.0  # to the one
    identifier_answer: float = 0.0  # to the other
    opening: float = 0.0  # of a connection, both ways
    handshakes: int = HANDSHAKES  # round trips that open it

    def requests(self, languages: int, cached: bool) -> list[float]:
        """Bytes of each request that translates one recording into `languages`, in order."""
        return [self.whole, *[self.identifier if cached else self.whole] * (languages - 1)]

    def beside(self, languages: int, cached: bool, recordings: int) -> float:
        """Bytes that pass while no request does: the opening's and the answers'."""
        further = self.identifier_answer if cached else self.answer
        return self.opening + recordings * (self.answer + (languages - 1) * further)

    def seconds(self, link: Link, languages: int, cached: bool, recordings: int = 1) -> float:
        """Of `recordings` one after another on one new connection."""
        beside = self.beside(languages, cached, recordings)
        sent = self.requests(languages, cached)
        seconds = exchange_seconds(sent, link, recordings, self.handshakes)
        return seconds + link_seconds(beside, link.rate_mbit)


def exchange_seconds(
    bodies: Sequence[float], link: Link, repeats: int = 1, handshakes: int = HANDSHAKES
) -> float:
    """Seconds for the requests of `bodies` (bytes), `repeats` times over, on one new connection."""
    requests = len(bodies) * repeats
    size = sum(bodies) * repeats
    waiting = (handshakes + requests) * link.round_trip
    return waiting + link_seconds(size, link.rate_mbit) + _idle_seconds(bodies, link, repeats)


def _idle_seconds(bodies: Sequence[float], link: Link, repeats: int) -> float:
    """Seconds in which the sender may not send, until the window fills the line."""
    window, idle = float(INITIAL_WINDOW), 0.0
    for _ in range(repeats):
        for body in bodies:
            left = body
            while left > window:
                left -= window
                idle += max(0.0, link.round_trip - link_seconds(window, link.rate_mbit))
                window *= 2
            window += left  # acknowledged bytes open it
            if window >= link.full_window:
                return idle
    return idle
