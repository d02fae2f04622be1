"""A record of bandwidth as `esrt-privacy bandwidth` writes one, with sizes made here."""

from datetime import UTC, datetime

from esrt_privacy.bandwidth.record import Bandwidth, BreakEven, Curve, DrawnCorpus, FormatRow
from esrt_privacy.findings import Interval

SIZES = {
    "wav-16-json": ("audio", "WAV, 16 bits, base64 in JSON", 120_942.0),
    "flac": ("audio", "FLAC, 16 bits", 43_786.0),
    "opus-16": ("audio", "Opus in Ogg, 16 kbit/s", 5_538.0),
    "tensor-80x768-bf16": ("tensor", "ESRT tensor 80×768, bfloat16", 122_960.0),
}
RECORDINGS = 647


def fake_bandwidth(corpus: str = "demo") -> Bandwidth:
    """Four formats of 647 recordings, no connection, no quality."""
    base = SIZES["wav-16-json"][2]
    return Bandwidth(
        tool_version="0.1.0",
        created=datetime(2025, 3, 14, 15, 9, 26, tzinfo=UTC),
        command="esrt-privacy bandwidth --samples 647",
        counted="bodies",
        corpus=DrawnCorpus(
            name=corpus,
            fingerprint="9f86d0",
            available=494,
            samples=RECORDINGS,
            distinct=494,
            with_replacement=True,
            speakers=26,
            seconds_mean=2.8,
            seconds_shortest=1.1,
            seconds_longest=7.9,
        ),
        seed=0,
        statements=(),
        formats=tuple(
            FormatRow(
                name=name,
                says=says,
                kind=kind,
                basis="real encoders",
                total_bytes=size * RECORDINGS,
                bytes_per_recording=Interval(value=size, low=0.98 * size, high=1.02 * size),
                kbit_per_second=8 * size / 2800,
                times_smaller=base / size,
            )
            for name, (kind, says, size) in SIZES.items()
        ),
        durations=(1.0, 30.0),
        curves=tuple(
            Curve(
                name=name,
                kind=kind,
                sizes=(size, size) if kind == "tensor" else (size / 2.8, 30 * size / 2.8),
            )
            for name, (kind, _, size) in SIZES.items()
        ),
        break_even=(
            BreakEven(audio="flac", tensor="tensor-80x768-bf16", seconds=7.9, says="from 7.9 s on"),
        ),
        transfers=(),
        identifier_bytes=64,
    )
