"""TCP segments as the two byte streams of each connection: put in order, duplicates and overlaps dropped, gaps said."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from esrt_privacy.wire.address import DEFAULT_PORT, Address
from esrt_privacy.wire.pcap import ACK, FIN, RST, SYN, Packets, Segment
from esrt_privacy.wire.streams import Chunk, Ended, Event, Gap, Peers, Remark

MOST_WAITING_BYTES = 8 << 20  # that wait for an earlier segment, of all connections together
MOST_WAITING_SEGMENTS = 16_384
MOST_FLOWS = 4096  # connections that are open at a time

_AROUND = 1 << 32  # sequence numbers wrap here


@dataclass
class _Way:
    """One direction. Offsets are sequence numbers that do not wrap, counted from the first that was seen."""

    base: int | None = None  # sequence number of offset 0
    next: int | None = None  # offset of the next byte in order; None until the beginning is known
    latest: int = 0  # the highest offset seen, by which sequence numbers are unwrapped
    waiting: list[tuple[int, int, bytes]] = field(
        default_factory=list
    )  # offset, time, data: a heap
    end: tuple[int, int] | None = None  # offset and time of the last byte
    ended: bool = False

    def offset(self, sequence: int) -> int:
        if self.base is None:
            self.base = sequence
        near = self.latest if self.next is None else self.next
        ahead = (sequence - self.base - near + _AROUND // 2) % _AROUND - _AROUND // 2
        self.latest = max(self.latest, near + ahead)
        return near + ahead


@dataclass
class _Flow:
    """One connection; `opener` is the address that the edge has."""

    peers: Peers
    opener: str
    sure: bool  # the SYN was seen
    ways: dict[bool, _Way] = field(default_factory=lambda: {True: _Way(), False: _Way()})
    opening: int | None = None  # sequence number of the SYN
    done: bool = False

    def began(self, sender: str) -> bool:
        """Whether a stream of this side has its beginning."""
        return self.ways[sender == self.opener].next is not None

    def turn(self, edge: str, cloud: str) -> None:
        """The handshake came after data and tells who is who; what was given away already cannot be turned."""
        if self.began(edge) or self.began(cloud):
            return
        if self.opener != edge:
            self.ways = {up: self.ways[not up] for up in (True, False)}
        self.sure, self.opener = True, edge
        self.peers = Peers(self.peers.name, edge, cloud)


class Reassembly:
    """Fed segments in the order of the file, it gives events of each connection in the order of its streams."""

    def __init__(self, cloud: Address | None = None) -> None:
        """With `cloud`, only connections to that port, and to that address where it is no name."""
        self._cloud = cloud
        self._flows: dict[tuple[str, str], _Flow] = {}
        self._held = 0  # bytes that wait
        self._held_segments = 0
        self._count = 0
        self.others = 0  # segments of other connections

    def add(self, segment: Segment) -> Iterator[tuple[Peers, Event | None]]:
        """The events that this segment completes."""
        flow = self._flow(segment)
        if flow is None:
            return
        if segment.flags & SYN and not flow.sure:
            flow.turn(*_who_opened(segment))
        opens = segment.flags & SYN and not segment.flags & ACK
        if opens and flow.opening != segment.sequence and flow.began(segment.source):
            # The same addresses once more: a new connection.
            yield from self._finish(flow)
            flow = self._flow(segment)
            assert flow is not None
        up = segment.source == flow.opener
        way = flow.ways[up]
        sequence = segment.sequence
        if segment.flags & SYN:
            sequence += 1
            offset = way.offset(sequence % _AROUND)
            if way.next is None:
                way.next = offset
            if opens:
                flow.opening = segment.sequence
        else:
            offset = way.offset(sequence)
        if segment.data:
            heapq.heappush(way.waiting, (offset, segment.time_ns, segment.data))
            self._held += len(segment.data)
            self._held_segments += 1
        if segment.flags & FIN and way.end is None:
            way.end = offset + len(segment.data), segment.time_ns
        yield from self._in_order(flow, up)
        if self._held > MOST_WAITING_BYTES or self._held_segments > MOST_WAITING_SEGMENTS:
            yield from self._give_up(flow, up)
        if segment.flags & RST and not flow.done:
            flow.done = True
            yield flow.peers, Ended(up, segment.time_ns, whole=False)

    def finish(self) -> Iterator[tuple[Peers, Event | None]]:
        """The events of what still waits."""
        for flow in list(self._flows.values()):
            yield from self._finish(flow)

    def _flow(self, segment: Segment) -> _Flow | None:
        """Its connection, begun where it is new; None for one that is not asked for."""
        ends = segment.source, segment.target
        key = (min(ends), max(ends))
        if key in self._flows:
            return self._flows[key]
        edge, cloud = _who_opened(segment)
        if self._cloud is not None and not _is(cloud, self._cloud):
            if segment.flags & SYN or not _is(edge, self._cloud):
                self.others += 1
                return None
            edge, cloud = cloud, edge
        if not segment.flags & SYN and not segment.data:
            return None  # the last acknowledgements of a connection that is over
        self._count += 1
        peers = Peers(f"{self._count:05d}", edge, cloud)
        self._flows[key] = _Flow(peers, edge, bool(segment.flags & SYN))
        return self._flows[key]

    def _in_order(self, flow: _Flow, up: bool) -> Iterator[tuple[Peers, Event | None]]:
        way = flow.ways[up]
        if way.next is None:
            return
        while way.waiting and way.waiting[0][0] <= way.next:
            offset, time_ns, data = heapq.heappop(way.waiting)
            self._held -= len(data)
            self._held_segments -= 1
            fresh = data[way.next - offset :]
            if fresh:
                way.next += len(fresh)
                yield flow.peers, Chunk(up, time_ns, fresh)
        if way.end is not None and way.next >= way.end[0] and not way.ended:
            way.ended = True
            yield flow.peers, Ended(up, way.end[1], whole=True)

    def _give_up(self, flow: _Flow, up: bool) -> Iterator[tuple[Peers, Event | None]]:
        """Wait no longer for what is missing."""
        way = flow.ways[up]
        if way.next is None and way.waiting:
            way.next = way.waiting[0][0]
            yield (
                flow.peers,
                Remark("the recording begins in the middle of this connection"),
            )
        yield from self._in_order(flow, up)
        while way.waiting:
            assert way.next is not None
            offset, time_ns, _ = way.waiting[0]
            yield flow.peers, Gap(up, time_ns, offset - way.next)
            way.next = offset
            yield from self._in_order(flow, up)

    def _finish(self, flow: _Flow) -> Iterator[tuple[Peers, Event | None]]:
        for up in (True, False):
            yield from self._give_up(flow, up)
        if not flow.sure:
            yield (
                flow.peers,
                Remark(
                    "who opened it was not seen: edge and cloud are taken from the ports (--to HOST:PORT tells)"
                ),
            )
        yield flow.peers, None
        ends = flow.peers.edge, flow.peers.cloud
        del self._flows[min(ends), max(ends)]


def read_pcap(
    path: Path, cloud: Address | None = None
) -> Iterator[tuple[Peers | None, Event | None]]:
    """Events of every connection of a pcap or pcapng file, None when one is over; without peers, a remark on the file.

    At most MOST_WAITING_BYTES are held for segments that come late. Raises WireError for another kind of file.
    """
    packets = Packets(path)
    whole = Reassembly(cloud)
    for segment in packets:
        yield from whole.add(segment)
        if len(whole._flows) > MOST_FLOWS:
            yield from whole._finish(next(iter(whole._flows.values())))
    yield from whole.finish()
    if whole.others:
        yield None, Remark(f"{path.name}: left out {whole.others} segments of other connections")
    for reason, count in sorted(packets.passed_over.items()):
        yield None, Remark(f"{path.name}: left out {count} {reason}")


def _who_opened(segment: Segment) -> tuple[str, str]:
    """Edge and cloud, by the handshake if this is part of it, else by the ports."""
    ends = segment.source, segment.target
    if segment.flags & SYN:
        return ends[::-1] if segment.flags & ACK else ends
    # gRPC's customary port lies among those that clients are given, so the lower one alone would mislead.
    ranks = [(_port(end) != DEFAULT_PORT, _port(end)) for end in ends]
    return ends if ranks[0] >= ranks[1] else ends[::-1]


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _is(address: str, cloud: Address) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    named = not cloud.host.replace(".", "").isdigit() and ":" not in cloud.host
    return _port(address) == cloud.port and (named or host == cloud.host)
