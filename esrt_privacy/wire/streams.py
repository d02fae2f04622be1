"""The log of one connection: every byte that passed, with its direction and its time.

All integers are little-endian. The head of a file:

    offset  bytes  what
    0       8      the letters ESRTLOG and the version, 1
    8       8      when the connection was opened, ns since 1970 (UTC)
    16      2      n, the length of the edge's address in UTF-8, and those n bytes
    then    2      n, the length of the cloud's address in UTF-8, and those n bytes

and then records, each whole before the next:

    0       1      kind: 0 bytes, 1 end of what this side sends, 2 cut off by a reset or by the interceptor's own end
    1       1      side: 0 from the edge (up), 1 from the cloud (down)
    2       8      ns since the connection was opened, by a clock that never goes back
    10      4      n, the number of bytes, at most 1 MiB; 0 for kinds 1 and 2
    14      n      the bytes

A log that ends within a record was cut off by a kill: what stands before is read, and the last event says so.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from esrt_privacy.errors import shown
from esrt_privacy.wire.errors import WireError

MAGIC = b"ESRTLOG\x01"
SUFFIX = ".wirelog"
MOST_RECORD_BYTES = 1 << 20
MOST_ADDRESS_BYTES = 512

_START = struct.Struct("<8sQ")
_LENGTH = struct.Struct("<H")
_RECORD = struct.Struct("<BBQI")
_BYTES, _END, _CUT = range(3)


@dataclass(frozen=True)
class Peers:
    """Whose conversation it is; `name` tells it from others of one evidence file."""

    name: str
    edge: str  # HOST:PORT
    cloud: str


@dataclass(frozen=True)
class Chunk:
    """Bytes that passed, in the order of their stream."""

    up: bool  # from the edge
    time_ns: int  # since 1970
    data: bytes


@dataclass(frozen=True)
class Gap:
    """Bytes that passed and were not recorded."""

    up: bool
    time_ns: int
    size: int


@dataclass(frozen=True)
class Ended:
    """One side sends no more; or the connection was cut off (`whole` is false)."""

    up: bool
    time_ns: int
    whole: bool


@dataclass(frozen=True)
class Remark:
    """Something that whoever reads the evidence must know of the recording itself."""

    text: str


Event = Chunk | Gap | Ended | Remark


class LogWriter:
    """Writes one log. The file is its owner's alone: it holds what people said."""

    def __init__(self, path: Path, edge: str, cloud: str) -> None:
        """Raises OSError; an existing file is never written over."""
        self._opened = time.monotonic_ns()
        self._file = open(  # noqa: SIM115  # closed by `close`
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
        )
        head = _START.pack(MAGIC, time.time_ns())
        for address in (edge, cloud):
            text = address.encode("utf-8", "replace")[:MOST_ADDRESS_BYTES]
            head += _LENGTH.pack(len(text)) + text
        self._file.write(head)
        self._file.flush()

    def data(self, up: bool, data: bytes) -> None:
        """Bytes that have just arrived. Raises OSError, on a full disk for instance."""
        for start in range(0, len(data), MOST_RECORD_BYTES):
            self._record(_BYTES, up, data[start : start + MOST_RECORD_BYTES])

    def end(self, up: bool, whole: bool) -> None:
        """One side has sent its last byte, or the connection is cut off."""
        self._record(_END if whole else _CUT, up, b"")

    def close(self) -> None:
        """Write what is still held back, and close. Raises OSError."""
        self._file.close()

    def _record(self, kind: int, up: bool, data: bytes) -> None:
        passed = time.monotonic_ns() - self._opened
        self._file.write(_RECORD.pack(kind, not up, passed, len(data)))
        self._file.write(data)
        self._file.flush()  # what has passed is on record, whatever kills this process


def read_log(path: Path) -> tuple[Peers, Iterator[Event]]:
    """Whose log it is, and its events in order. One record is in memory at a time.

    Raises WireError for a file that is no log; one that is cut off or damaged further on ends with a Remark.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise WireError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        start, edge, cloud = _head(path, file)
    except BaseException:
        file.close()
        raise
    return Peers(path.stem, edge, cloud), _events(file, start)


def log_files(path: Path) -> list[Path]:
    """The logs that a path means: a file, or a folder's in the order of their names.

    Raises WireError where there is none.
    """
    if path.is_file():
        return [path]
    found = sorted(path.rglob(f"*{SUFFIX}")) if path.is_dir() else []
    if not found:
        raise WireError(
            f"{path}: no recorded connections here; give a file or folder that `esrt-privacy intercept` wrote"
        )
    return found


def _head(path: Path, file: BinaryIO) -> tuple[int, str, str]:
    try:
        magic, start = _START.unpack(file.read(_START.size))
        if magic != MAGIC:
            raise ValueError("it begins otherwise")
        return start, _address(file), _address(file)
    except (OSError, ValueError, struct.error) as error:
        raise WireError(
            f"{path}: not a log of `esrt-privacy intercept` of this version ({shown(error)})"
        ) from error


def _address(file: BinaryIO) -> str:
    (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
    text = file.read(min(length, MOST_ADDRESS_BYTES))
    if len(text) != length:
        raise ValueError("an address is cut off or too long")
    return text.decode("utf-8", "replace")


def _events(file: BinaryIO, start: int) -> Iterator[Event]:
    with file:
        while head := file.read(_RECORD.size):
            if len(head) < _RECORD.size:
                yield Remark("the log was cut off; what stands before was read")
                return
            kind, side, passed, length = _RECORD.unpack(head)
            known = side in (0, 1) and length <= MOST_RECORD_BYTES
            if not known or kind > _CUT or bool(length) != (kind == _BYTES):
                yield Remark("the log is damaged; what stands before the damage was read")
                return
            data = file.read(length)
            if data:
                yield Chunk(side == 0, start + passed, data)
            if len(data) < length:
                yield Remark("the log was cut off; what stands before was read")
                return
            if kind != _BYTES:
                yield Ended(side == 0, start + passed, kind == _END)
