"""Signs in a container's bytes that a recording was cut short, where its reader keeps quiet."""

from __future__ import annotations

import struct
from pathlib import Path

from esrt_privacy.errors import AudioError

_OGG_PAGE_BYTES = 65_307  # the longest page of the format


def require_whole_riff(path: Path) -> None:
    """libsndfile quietly shortens a WAV whose data chunk was cut off; here that is an error."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) != b"RIFF":
            return
        position = 12
        while position + 8 <= size:
            file.seek(position)
            name, length = struct.unpack("<4sI", file.read(8))
            if name == b"data":
                # a recorder writing to a pipe leaves 0 or its largest number here
                streamed = length == 0 or length >= 0x7FFFF000
                if not streamed and position + 8 + length > size:
                    raise AudioError(
                        f"{path}: truncated: {size - position - 8} of {length} bytes of audio are "
                        "there; copy it again"
                    )
                return
            position += 8 + length + length % 2


def require_whole_ogg(path: Path) -> None:
    """Ogg has no length in its header: a file cut short shows only in an unfinished last page."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 2 * _OGG_PAGE_BYTES))
        tail = file.read()
    page = tail.rfind(b"OggS\0")
    if page < 0:
        return
    body = page + 27 + tail[page + 26] if page + 26 < len(tail) else len(tail) + 1
    if body > len(tail) or body + sum(tail[page + 27 : body]) > len(tail):
        raise AudioError(f"{path}: truncated: its last page is cut off; copy it again")


def mp3_states_its_length(path: Path) -> bool:
    """Whether the first frame is a Xing, Info or VBRI header; without one a length is a guess."""
    with path.open("rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3" and len(head) == 10:
            # ID3v2 gives its size in four bytes of seven bits
            file.seek(
                10
                + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
            )
        else:
            file.seek(0)
        frame = file.read(256)
    return any(mark in frame for mark in (b"Xing", b"Info", b"VBRI"))
