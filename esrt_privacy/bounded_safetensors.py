"""A safetensors file of arrays, whose sizes are bounded before anything of it is allocated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class DamagedError(ValueError):
    """A file that is not what its reader took it for; its text says why."""


class TooLargeError(DamagedError):
    """A file, or the header that it claims, beyond its reader's bounds: it was not read."""


@contextmanager
def opened(path: Path, most_bytes: int, most_header_bytes: int) -> Iterator[Any]:
    """The file as safetensors' reader for numpy, within a block that reads all that is wanted of it.

    The file and its header have at most that many bytes. Raises TooLargeError, or DamagedError for a file that cannot
    be opened and for what the block itself stumbles over: a foreign header can hold anything where a number is looked
    for.
    """
    from safetensors import SafetensorError, safe_open

    try:
        _require_bounded(path, most_bytes, most_header_bytes)
        with safe_open(path, framework="numpy") as file:
            yield file
    except DamagedError:
        raise
    except (
        SafetensorError,
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise DamagedError(str(error)) from error


def _require_bounded(path: Path, most_bytes: int, most_header_bytes: int) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if size > most_bytes or header > most_header_bytes:
        raise TooLargeError("its size is out of bounds")
    if not 0 < header <= size:
        raise DamagedError("its size is out of bounds")
