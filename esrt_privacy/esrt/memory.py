"""Running out of memory, said in one line with the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from esrt_privacy.errors import ModelError

# CUDA, MPS and NPU say the first, the CPU's allocator the others (Linux, Windows).
_SIGNS = ("out of memory", "can't allocate memory", "not enough memory")


@contextmanager
def within_memory(doing: str, remedy: str) -> Iterator[None]:
    """Turn a failed allocation inside the block into a ModelError: `out of memory <doing>: <remedy>`.

    Every other error passes through.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not (isinstance(error, MemoryError) or any(sign in str(error) for sign in _SIGNS)):
            raise
        raise ModelError(f"out of memory {doing}: {remedy}") from error
