"""Arithmetic of sizes: one formula a function, in bytes and seconds unless the name says otherwise."""

from __future__ import annotations

from esrt_privacy.bandwidth.units import BITS, MBIT


def audio_bytes(seconds: float, rate: int = 16_000, sample_bytes: int = 2) -> float:
    """Bytes of bare mono PCM: seconds · rate (Hz) · bytes a sample.

    30 s · 16,000 · 2 = 960,000. Source: arXiv 2605.28642, equations 7 and 8.
    """
    return seconds * rate * sample_bytes


def audio_seconds(size: float, rate: int = 16_000, sample_bytes: int = 2) -> float:
    """The duration that `size` bytes of bare mono PCM last: the inverse of `audio_bytes`.

    A WAV header (44 bytes, 1.4 ms at 16 bits) is neglected.
    """
    return size / (rate * sample_bytes)


def tensor_bytes(vectors: int, width: int, value_bytes: int = 2) -> int:
    """Bytes of a bare tensor: vectors · width · bytes a value. 80 · 768 · 2 = 122,880.

    Does not depend on the recording's duration: the encoder pads to 30 s. Source: arXiv 2605.28642,
    section III and equations 7 and 8.
    """
    return vectors * width * value_bytes


def base64_bytes(size: int) -> int:
    """Characters of `size` bytes in base64 with padding: 4 · ceil(size / 3).

    Source: RFC 4648, section 4, doi:10.17487/RFC4648.
    """
    return 4 * -(-size // 3)


def container_bytes(total: float, files: int, payload: float) -> float:
    """What each of `files` holds beside its payload, when together they have `total` bytes.

    Negative where the total cannot even hold the payloads: the unit was misread.
    """
    return total / files - payload


def link_seconds(size: float, rate_mbit: float) -> float:
    """Seconds that `size` bytes occupy a link of `rate_mbit` (10^6 bit/s), and nothing else.

    521 MB at 100 Mbit/s: 41.68 s. Round trips are added in `transfer.py`.
    """
    return size * BITS / (rate_mbit * MBIT)


def values_ratio(frames: int, frame_width: int, vectors: int, width: int) -> float:
    """How many times fewer values a tensor holds than an encoder's output.

    1500 · 1280 / (40 · 768) = 62.5. Values, not bytes and not tokens.
    """
    return frames * frame_width / (vectors * width)


def fewer(before: float, after: float) -> float:
    """By which share of `before` is `after` less: 80 to 40 is 0.5."""
    return 1 - after / before
