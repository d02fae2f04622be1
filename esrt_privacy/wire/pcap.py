"""Packets out of a pcap or pcapng file, read by hand: every length is bounded, and interfaces may differ.

The formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. Link types: Ethernet (with VLAN tags), Linux cooked
(both versions), BSD loopback, and raw IP. Of each packet the TCP segment is taken; checksums are not verified, since a
machine that records its own traffic leaves them to the network card.
"""

from __future__ import annotations

import ipaddress
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from esrt_privacy.wire.errors import WireError

MOST_PACKET_BYTES = 1 << 18  # libpcap's own bound of a snapshot
MOST_INTERFACES = 1024
BILLION = 1_000_000_000

_PCAP = {  # magic -> byte order, units of a second's fraction
    b"\xd4\xc3\xb2\xa1": ("<", 1_000_000),
    b"\xa1\xb2\xc3\xd4": (">", 1_000_000),
    b"\x4d\x3c\xb2\xa1": ("<", BILLION),
    b"\xa1\xb2\x3c\x4d": (">", BILLION),
}
_SECTION, _INTERFACE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 3, 6
_LOOPBACK, _ETHERNET, _RAW, _LOOPBACK_BE, _COOKED, _COOKED_2 = 0, 1, 101, 108, 113, 276
_RAW_4, _RAW_6, _RAW_OPENBSD = 228, 229, 12
_IP_TYPES = {0x0800, 0x86DD}
_VLAN_TYPES = {0x8100, 0x88A8, 0x9100}
_TCP = 6
_EXTENSIONS = {0, 43, 60}  # of IPv6, with a length: hop by hop, routing, destination
FIN, SYN, RST, ACK = 1, 2, 4, 16


@dataclass(frozen=True)
class Segment:
    """One TCP segment as it was seen."""

    time_ns: int  # since 1970
    source: str  # HOST:PORT
    target: str
    sequence: int
    flags: int
    data: bytes


@dataclass
class Packets:
    """The TCP segments of a file, in its order; `passed_over` counts what was not one, by reason."""

    path: Path
    passed_over: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Segment]:
        """Raises WireError for a file that is neither pcap nor pcapng; a damaged one ends early, which is counted."""
        try:
            with self.path.open("rb") as file:
                yield from self._segments(file)
        except OSError as error:
            raise WireError(f"{self.path}: cannot be read ({error.strerror})") from error

    def _segments(self, file: BinaryIO) -> Iterator[Segment]:
        magic = file.read(4)
        if magic in _PCAP:
            frames = self._classic(file, *_PCAP[magic])
        elif magic == _SECTION.to_bytes(4, "big"):
            frames = self._next_generation(file)
        else:
            raise WireError(
                f"{self.path}: neither pcap nor pcapng; record with tcpdump -w FILE, or unpack the file first"
            )
        for time_ns, link, frame in frames:
            try:
                segment = _segment(time_ns, link, frame)
            except (struct.error, IndexError, ValueError):
                self.passed_over["damaged packets"] += 1
                continue
            if isinstance(segment, str):
                self.passed_over[segment] += 1
            else:
                yield segment

    def _classic(
        self, file: BinaryIO, order: str, units: int
    ) -> Iterator[tuple[int, int, memoryview]]:
        head = file.read(20)
        if len(head) < 20:
            raise WireError(f"{self.path}: a pcap file that ends within its head; record it again")
        link = struct.unpack(f"{order}I", head[16:])[0] & 0x0FFFFFFF
        each = struct.Struct(f"{order}IIII")
        while len(head := file.read(each.size)) == each.size:
            seconds, fraction, length, _ = each.unpack(head)
            if length > MOST_PACKET_BYTES:
                break
            frame = file.read(length)
            if len(frame) < length:
                break
            yield seconds * BILLION + fraction * (BILLION // units), link, memoryview(frame)
        if head:
            self.passed_over["bytes after a damaged or cut-off packet"] += 1

    def _next_generation(self, file: BinaryIO) -> Iterator[tuple[int, int, memoryview]]:
        file.seek(0)
        order = "<"
        interfaces: list[tuple[int, int, int]] = []  # link, units of a second, offset in seconds
        while head := file.read(8):
            body = self._block(file, head, order)
            if body is None:
                self.passed_over["bytes after a damaged or cut-off packet"] += 1
                return
            order, kind, data = body
            if kind == _SECTION:
                interfaces = []
            elif kind == _INTERFACE and len(data) >= 8 and len(interfaces) < MOST_INTERFACES:
                interfaces.append(_interface(order, data))
            elif kind == _SIMPLE:
                self.passed_over["packets without a time"] += 1
            elif kind == _ENHANCED and len(data) >= 20:
                number, high, low, length, _ = struct.unpack_from(f"{order}IIIII", data)
                if number >= len(interfaces):
                    self.passed_over["packets of an unknown interface"] += 1
                    continue
                link, units, offset = interfaces[number]
                ticks = high << 32 | low
                yield offset * BILLION + ticks * BILLION // units, link, data[20 : 20 + length]

    def _block(self, file: BinaryIO, head: bytes, order: str) -> tuple[str, int, memoryview] | None:
        """Byte order, type and body of one block; None for a damaged one."""
        if len(head) < 8:
            return None
        taken = 8
        if head[:4] == _SECTION.to_bytes(4, "big"):
            mark = file.read(4)  # its byte order, which every section may choose anew
            order = "<" if mark == b"\x4d\x3c\x2b\x1a" else ">"
            taken += len(mark)
        kind, length = struct.unpack(f"{order}II", head)
        rest = length - taken
        if length % 4 or not 4 <= rest <= MOST_PACKET_BYTES + 4096:
            return None
        body = file.read(rest)
        return (order, kind, memoryview(body)[:-4]) if len(body) == rest else None


def _interface(order: str, data: memoryview) -> tuple[int, int, int]:
    """Link type, ticks of a second, and seconds to be added, by the options of an interface."""
    link = struct.unpack_from(f"{order}H", data)[0]
    units, offset, place = 1_000_000, 0, 8
    while place + 4 <= len(data):
        code, length = struct.unpack_from(f"{order}HH", data, place)
        value = data[place + 4 : place + 4 + length]
        if code == 0:
            break
        if code == 9 and len(value) == 1:  # if_tsresol
            power = value[0] & 0x7F
            units = 2 ** min(power, 63) if value[0] & 0x80 else 10 ** min(power, 18)
        elif code == 14 and len(value) == 8:  # if_tsoffset
            offset = struct.unpack(f"{order}q", value)[0]
        place += 4 + (length + 3) // 4 * 4
    return link, units, offset


def _segment(time_ns: int, link: int, frame: memoryview) -> Segment | str:
    """The TCP segment in a frame, or why there is none. Raises struct.error, IndexError or ValueError for damage."""
    packet = _network(link, frame)
    if packet is None:
        return "packets that are not IP, or of an unknown link type"
    if packet[0] >> 4 == 4:
        return _ip4(time_ns, packet)
    return _ip6(time_ns, packet) if packet[0] >> 4 == 6 else "packets that are not IP"


def _network(link: int, frame: memoryview) -> memoryview | None:
    """The IP packet of a frame."""
    if link in (_RAW, _RAW_4, _RAW_6, _RAW_OPENBSD):
        return frame
    if link in (_LOOPBACK, _LOOPBACK_BE):
        return frame[4:]
    place = {_ETHERNET: 12, _COOKED: 14, _COOKED_2: 0}.get(link)
    if place is None:
        return None
    (kind,) = struct.unpack_from(">H", frame, place)
    if link == _COOKED_2:
        return frame[20:] if kind in _IP_TYPES else None
    place += 2
    while kind in _VLAN_TYPES:
        (kind,) = struct.unpack_from(">H", frame, place + 2)
        place += 4
    return frame[place:] if kind in _IP_TYPES else None


def _ip4(time_ns: int, packet: memoryview) -> Segment | str:
    (length,) = struct.unpack_from(">H", packet, 2)
    (fragment,) = struct.unpack_from(">H", packet, 6)
    if packet[9] != _TCP:
        return "packets that are not TCP"
    if fragment & 0x3FFF:  # more fragments, or not the first
        return "fragments of IP packets"
    start = 4 * (packet[0] & 15)
    # A length of 0: the packet was recorded before the network card cut it up (segmentation offload).
    end = length or len(packet)
    return _tcp(time_ns, packet[12:16], packet[16:20], packet[start:end])


def _ip6(time_ns: int, packet: memoryview) -> Segment | str:
    (length,) = struct.unpack_from(">H", packet, 4)
    kind, place = packet[6], 40
    end = place + length if length else len(packet)
    while kind in _EXTENSIONS:
        kind, place = packet[place], place + 8 * (packet[place + 1] + 1)
    if kind == 44:
        return "fragments of IP packets"
    if kind != _TCP:
        return "packets that are not TCP"
    return _tcp(time_ns, packet[8:24], packet[24:40], packet[place:end])


def _tcp(time_ns: int, source: memoryview, target: memoryview, part: memoryview) -> Segment:
    near, far, sequence = struct.unpack_from(">HHI", part)
    start = 4 * (part[12] >> 4)
    if start < 20:
        raise ValueError("a TCP header of less than 20 bytes")
    return Segment(
        time_ns=time_ns,
        source=_address(source, near),
        target=_address(target, far),
        sequence=sequence,
        flags=part[13],
        data=bytes(part[start:]),
    )


def _address(host: memoryview, port: int) -> str:
    address = ipaddress.ip_address(bytes(host))
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
