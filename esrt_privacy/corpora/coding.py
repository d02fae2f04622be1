"""Audio through FFmpeg's encoders, in memory: a file's bytes, and back."""

from __future__ import annotations

import io
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

# No encoder names, no random stream number; FFmpeg's FLAC would end with 8 kB of room for tags.
PLAIN = {"fflags": "+bitexact", "metadata_header_padding": "0"}


def encode_audio(
    wave: NDArray[np.floating],
    rate: int,
    codec: str,
    container: str,
    bit_rate: int | None = None,
    options: Mapping[str, str] | None = None,
    plain: bool = False,
) -> bytes:
    """A file of `wave` (samples,) at `rate` Hz, mono, by FFmpeg's names of codec and container.

    `bit_rate` (bit/s) is aimed at; None for a lossless codec. `plain`: the same waveform always gives
    the same bytes, and none that are not needed.
    """
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container, options=PLAIN if plain else {}) as out:
        stream: Any = out.add_stream(codec, rate=rate, layout="mono", options=dict(options or {}))
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        if plain:
            stream.codec_context.flags |= av.codec.context.Flags.bitexact
        samples = np.ascontiguousarray(wave[None, :], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        converter = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate)
        for part in converter.resample(frame):
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return file.getvalue()


def decode_audio(file: bytes) -> tuple[NDArray[np.float32], int]:
    """What `encode_audio` made, as (samples,) and their rate in Hz, which may be the codec's own."""
    import av

    with av.open(io.BytesIO(file), "r") as source:
        to_float = av.AudioResampler(format="fltp", layout="mono", rate=None)
        frames = [part for frame in source.decode(audio=0) for part in to_float.resample(frame)]
        wave = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return wave.astype(np.float32), frames[0].sample_rate
