"""A slow line out of a TUN device: real packets of a real TCP, delayed and paced by this process (Linux).

Whatever a program sends to `FAR` comes back with source and destination exchanged, so that a server on `NEAR` believes
`FAR` to be its client, and a client of `FAR` reaches that server; no checksum changes by it. Each direction is a queue
of its own: a packet leaves when the line is free, occupies it for its bits, and arrives half a round trip later.
Nothing is lost. Delays are as exact as this process is woken: a busy machine adds milliseconds.
"""

from __future__ import annotations

import os
import select
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from esrt_privacy.bandwidth.transfer import Link
from esrt_privacy.bandwidth.units import BITS, MBIT

NEAR, FAR = "10.77.0.1", "10.77.0.2"
DEVICE = "esrt0"
MTU = 1_500
WAITING_PACKETS = 10_000  # in the device, before this process reads them
IDLE_SECONDS = 0.2  # between looks at whether to stop

_TUN = "/dev/net/tun"
_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_TCP = 6
_IP = struct.Struct("!B8xBxx4s4s")  # version and length, protocol, source, destination


@dataclass
class Direction:
    """One way of the line, and what has passed it."""

    free: float = 0.0  # when the last packet has left, by the clock
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)  # arrival, packet
    packets: int = 0
    bytes: int = 0  # with headers of TCP and IP


class UserSpaceLink:
    """The line; packets to a port of `ports` go up. Made by `user_space_link`."""

    def __init__(self, device: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.link = Link(1_000.0, 0.1)
        self.ports: frozenset[int] = frozenset()
        self.up, self.down = Direction(), Direction()
        self._device = device
        self._clock = clock
        self._over = threading.Event()

    def carry(self) -> None:
        """Until `stop`."""
        while not self._over.is_set():
            now = self._clock()
            for way in (self.up, self.down):
                while way.waiting and way.waiting[0][0] <= now:
                    os.write(self._device, way.waiting.popleft()[1])
            due = [way.waiting[0][0] for way in (self.up, self.down) if way.waiting]
            pause = min([IDLE_SECONDS, *(max(0.0, each - now) for each in due)])
            if select.select([self._device], [], [], pause)[0]:
                self.take(os.read(self._device, 2 * MTU))

    def stop(self) -> None:
        """End `carry`; what is on its way is lost."""
        self._over.set()

    def take(self, packet: bytes) -> None:
        """A packet enters the line; what is no TCP over IPv4 is dropped."""
        turned = exchanged(packet)
        if turned is None:
            return
        way = self.up if int.from_bytes(_ports(packet)[2:], "big") in self.ports else self.down
        way.packets += 1
        way.bytes += len(packet)
        start = max(self._clock(), way.free)
        way.free = start + len(packet) * BITS / (self.link.rate_mbit * MBIT)
        way.waiting.append((way.free + self.link.round_trip / 2, turned))


def exchanged(packet: bytes) -> bytes | None:
    """An IPv4 packet of TCP with source and destination exchanged; None for any other."""
    if len(packet) < 40 or packet[0] >> 4 != 4:
        return None
    _, protocol, source, destination = _IP.unpack_from(packet)
    if protocol != _TCP:
        return None
    return packet[:12] + destination + source + packet[20:]


def _ports(packet: bytes) -> bytes:
    """Source and destination port, two bytes each."""
    start = 4 * (packet[0] & 0x0F)
    return packet[start : start + 4]


@contextmanager
def user_space_link() -> Iterator[UserSpaceLink]:
    """The line for the length of a block, in this network namespace.

    Raises OSError or subprocess.CalledProcessError where that is not permitted.
    """
    import fcntl

    device = os.open(_TUN, os.O_RDWR)
    try:
        asked = struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI)
        fcntl.ioctl(device, _TUNSETIFF, asked)
        run("ip", "addr", "add", f"{NEAR}/24", "dev", DEVICE)
        run("ip", "link", "set", "dev", DEVICE, "mtu", MTU, "txqueuelen", WAITING_PACKETS, "up")
        line = UserSpaceLink(device)
        thread = threading.Thread(target=line.carry, name="line", daemon=True)
        thread.start()
        try:
            yield line
        finally:
            line.stop()
            thread.join()
    finally:
        os.close(device)


def run(*command: object) -> None:
    """A command of iproute2. Raises subprocess.CalledProcessError with what it said, OSError where there is none."""
    subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
