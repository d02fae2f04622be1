"""Which arithmetic is fast on this machine."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def fast_bfloat16() -> bool:
    """Whether this processor computes bfloat16 faster than float32 (AVX-512 BF16 or AMX).

    Elsewhere bfloat16 is emulated, several times slower. Read from Linux's /proc/cpuinfo; False on other platforms.
    """
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
