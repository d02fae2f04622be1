"""What small corpora in other people's layouts are made of."""

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile


def sound(seed: int = 0, seconds: float = 0.2, kind: str = "WAV") -> bytes:
    """A short recording at 16 kHz, noise from ``seed``, as the bytes of a file."""
    wave = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * 16_000))
    out = io.BytesIO()
    soundfile.write(out, wave.astype(np.float32), 16_000, format=kind)
    return out.getvalue()


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def pack(path: Path, members: Mapping[str, bytes | tarfile.TarInfo], mode: str = "w:gz") -> Path:
    """A tar archive with ``members`` by the names that are given, good or bad."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo() if isinstance(content, bytes) else content
            member.name = name
            if isinstance(content, bytes):
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            else:
                archive.addfile(member)
    return path


def table(rows: Sequence[Sequence[object]]) -> bytes:
    """A table of tab-separated fields."""
    lines = ("\t".join(str(field) for field in row) + "\n" for row in rows)
    return "".join(lines).encode()
