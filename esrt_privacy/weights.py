"""Which weights a network has, as one number."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def fingerprint(module: nn.Module) -> str:
    """SHA-256 (hex) over the names, shapes and float32 values of a module's weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def folder_key(folder: Path) -> str:
    """What tells one folder of weights from another without reading them: names, sizes and times of its files (hex)."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    told = [f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()
