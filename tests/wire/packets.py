"""Packets and pcap files made from recorded bytes, as they would have crossed a network."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from esrt_privacy.wire.streams import Chunk

FIN, SYN, RST, PUSH, ACK = 1, 2, 4, 8, 16
EDGE, CLOUD = ("10.0.0.1", 43210), ("10.0.0.2", 50051)
ETHERNET, RAW, COOKED, COOKED_2, LOOPBACK = 1, 101, 113, 276, 0


@dataclass(frozen=True)
class Packet:
    """One TCP segment."""

    time_ns: int
    up: bool
    sequence: int
    flags: int
    data: bytes = b""
    edge: tuple[str, int] = EDGE
    cloud: tuple[str, int] = CLOUD


def conversation(
    chunks: Sequence[Chunk], size: int = 1400, start: int = 1000, **ends: tuple[str, int]
) -> list[Packet]:
    """Handshake, data in segments of at most `size` bytes, and the end of both sides."""
    time = chunks[0].time_ns if chunks else 0
    following = {True: start + 1, False: start + 5001}
    packets = [
        Packet(time, True, start, SYN, **ends),
        Packet(time, False, start + 5000, SYN | ACK, **ends),
    ]
    for chunk in chunks:
        time = chunk.time_ns
        for n in range(0, len(chunk.data), size):
            part = chunk.data[n : n + size]
            packets.append(Packet(time, chunk.up, following[chunk.up], ACK | PUSH, part, **ends))
            following[chunk.up] += len(part)
    packets += [Packet(time, up, following[up], FIN | ACK, **ends) for up in (True, False)]
    return [replace(p, sequence=p.sequence % (1 << 32)) for p in packets]


def frame(packet: Packet, link: int = ETHERNET, vlan: bool = False) -> bytes:
    """As the network card sees it."""
    (source, near), (target, far) = (packet.edge, packet.cloud)[:: 1 if packet.up else -1]
    tcp = struct.pack(">HHIIBBHHH", near, far, packet.sequence, 0, 0x80, packet.flags, 8192, 0, 0)
    tcp += b"\1\1\1\1" * 3 + packet.data  # twelve bytes of options
    addresses = [ipaddress.ip_address(host).packed for host in (source, target)]
    if ":" in source:
        # A hop-by-hop extension stands before the segment.
        whole = b"\6\0" + bytes(6) + tcp
        kind = 0x86DD
        ip = struct.pack(">IHBB", 6 << 28, len(whole), 0, 64) + b"".join(addresses) + whole
    else:
        kind = 0x0800
        ip = struct.pack(">BBHHHBBH", 0x46, 0, 24 + len(tcp), 0, 0x4000, 64, 6, 0)
        ip += b"".join(addresses) + b"\1\1\1\1" + tcp
    if link == RAW:
        return ip
    if link == LOOPBACK:
        return struct.pack("<I", 2) + ip
    if link == COOKED:
        return struct.pack(">HHH8sH", 0, 1, 6, bytes(8), kind) + ip
    if link == COOKED_2:
        return struct.pack(">HHIHBB8s", kind, 0, 1, 1, 0, 6, bytes(8)) + ip
    tag = struct.pack(">HH", 0x8100, 7) if vlan else b""
    padding = bytes(max(0, 46 - len(ip)))  # the shortest frame
    return bytes(12) + tag + struct.pack(">H", kind) + ip + padding


def pcap(
    packets: Iterable[Packet],
    link: int = ETHERNET,
    order: str = "<",
    nano: bool = True,
    **how: bool,
) -> bytes:
    """A classic pcap file."""
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    out = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 1 << 18, link)]
    for packet in packets:
        whole = frame(packet, link, **how)
        seconds, rest = divmod(packet.time_ns, 1_000_000_000)
        fraction = rest if nano else rest // 1000
        out += [struct.pack(f"{order}IIII", seconds, fraction, len(whole), len(whole)), whole]
    return b"".join(out)


def file_of(frames: Iterable[tuple[int, bytes]]) -> bytes:
    """A classic pcap file of Ethernet frames with their times (ns)."""
    out = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, ETHERNET)]
    for time_ns, whole in frames:
        head = struct.pack("<IIII", *divmod(time_ns, 1_000_000_000), len(whole), len(whole))
        out += [head, whole]
    return b"".join(out)


def pcapng(
    packets: Sequence[Packet], links: Sequence[int] = (ETHERNET,), order: str = "<"
) -> bytes:
    """A pcapng file; packets take the interfaces in turn, whose clocks count nanoseconds."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        length = struct.pack(f"{order}I", len(body) + 12)
        return struct.pack(f"{order}I", kind) + length + body + length

    out = [block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))]
    for link in links:
        options = struct.pack(f"{order}HHBxxxHH", 9, 1, 9, 0, 0)
        out.append(block(1, struct.pack(f"{order}HHI", link, 0, 0) + options))
    out.append(block(0x0BAD, b"a block that nobody knows"))
    for n, packet in enumerate(packets):
        whole = frame(packet, links[n % len(links)])
        head = struct.pack(
            f"{order}IIIII",
            n % len(links),
            packet.time_ns >> 32,
            packet.time_ns & 0xFFFFFFFF,
            len(whole),
            len(whole),
        )
        out.append(block(6, head + whole))
    return b"".join(out)
