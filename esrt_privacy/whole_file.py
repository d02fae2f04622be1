"""A file written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from esrt_privacy.errors import ReportError


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all; the old one stays until then. Raises ReportError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        if partial.exists():
            partial.unlink()
        raise ReportError(
            f"{path} cannot be written ({error.strerror}); give another folder or free some space"
        ) from error
