"""Recordings of any common kind, read as 16 kHz mono float32.

libsndfile (through soundfile) reads WAV, FLAC, MP3, Ogg Vorbis and Opus; PyAV reads the rest (M4A,
WebM). A file is read block by block, mixed down and resampled on the way, so that memory follows
the length that was asked for and never what a header claims.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from esrt_privacy.corpora.integrity import (
    mp3_states_its_length,
    require_whole_ogg,
    require_whole_riff,
)
from esrt_privacy.errors import AudioError

SAMPLE_RATE = 16_000  # Hz, what every system's front end takes
WINDOW_SECONDS = 30.0  # s, the window of Whisper's encoder
MAX_SECONDS = 4 * 3600.0  # s, the longest file that is opened
MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz
MAX_CHANNELS = 64
SUFFIXES = frozenset(
    {".wav", ".wave", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4"}
    | {".aif", ".aiff", ".au", ".caf", ".webm", ".mka"}
)

_BLOCK_SECONDS = 10
# FFmpeg would follow playlists to other files and hosts: only plain containers may be opened.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,mp3,ogg,wav,flac,matroska,webm,aiff,caf"
# A lossy stream's header may round its length to whole frames; a larger gap means lost audio.
_LOSSY_SLACK_SECONDS = 0.25
_SEEK_BACK_SECONDS = 0.5  # a codec with memory settles within this before the window begins
_UNKNOWN_FRAMES = 2**62  # libsndfile gives its largest number for a FLAC made in a pipe
_EXACT_FORMATS = frozenset({"WAV", "WAVEX", "RF64", "W64", "FLAC", "AIFF", "AU", "CAF"})

Wave = NDArray[np.float32]


class Header(NamedTuple):
    """What a file says of itself: length in seconds, sampling rate in Hz, channels, and the reader
    that opens it (``soundfile`` or ``av``)."""

    seconds: float
    rate: int
    channels: int
    reader: str


def read_header(path: str | Path) -> Header:
    """Read a recording's header without decoding it.

    Raises AudioError when the path is no regular file, holds no audio, is empty, claims more than
    four hours, or was cut short so early that its header already shows it.
    """
    path = Path(path)
    _require_regular_file(path)
    header = _soundfile_header(path) or _av_header(path)
    if not MIN_RATE <= header.rate <= MAX_RATE or not 1 <= header.channels <= MAX_CHANNELS:
        raise AudioError(
            f"{path}: implausible header ({header.rate} Hz, {header.channels} channels); "
            "export the recording again"
        )
    if not header.seconds > 0:
        raise AudioError(f"{path}: holds 0 s of audio; remove it or record it again")
    if header.seconds > MAX_SECONDS:
        raise AudioError(
            f"{path}: claims {header.seconds / 3600:.1f} h; at most {MAX_SECONDS / 3600:.0f} h are "
            "read from one file; cut it into shorter files"
        )
    return header


def audio_seconds(path: str | Path) -> float:
    """Length of a recording in seconds, from its header. Raises AudioError like `read_header`."""
    return read_header(path).seconds


def read_audio(path: str | Path, start: float = 0.0, end: float | None = None) -> Wave:
    """Read ``start`` to ``end`` (seconds; the whole file by default) as 16 kHz mono.

    Returns float32 of shape (samples,), nominally within [-1, 1]: channels averaged, resampled by
    soxr at its HQ setting. Only the window is decoded. Raises AudioError as `read_header` does,
    and when the audio is damaged or truncated, holds NaN or infinite samples, or has none in the
    window.
    """
    path = Path(path)
    header = read_header(path)
    first = round(start * header.rate)
    stop = math.ceil(header.seconds * header.rate) if end is None else round(end * header.rate)
    blocks = (_soundfile_blocks if header.reader == "soundfile" else _av_blocks)(
        path, header, first, stop
    )
    wave = _resampled(path, blocks, header.rate)
    if not wave.size:
        raise AudioError(f"{path}: no audio from {start:g} s on; remove the file or mend it")
    if not np.isfinite(wave).all():
        raise AudioError(f"{path}: samples too large to be audio; export the recording again")
    return wave


def _require_regular_file(path: Path) -> None:
    try:
        if path.is_file():
            with path.open("rb"):
                return
        kind = "is a folder" if path.is_dir() else "is no file" if path.exists() else "is missing"
    except OSError as error:
        raise AudioError(f"{path}: cannot be opened ({error.strerror})") from error
    raise AudioError(f"{path}: {kind}; name a recording")


def _resampled(path: Path, blocks: Iterator[Wave], rate: int) -> Wave:
    resampler = (
        None if rate == SAMPLE_RATE else soxr.ResampleStream(rate, SAMPLE_RATE, 1, "float32")
    )
    taken = 0
    parts: list[Wave] = []
    for block in blocks:
        if not np.isfinite(block).all():
            raise AudioError(f"{path}: holds NaN or infinite samples; export the recording again")
        taken += block.size
        parts.append(block if resampler is None else resampler.resample_chunk(block))
    if resampler is not None and taken:
        parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    if not parts:
        return np.zeros(0, np.float32)
    wave = np.concatenate(parts).astype(np.float32, copy=False)
    # soxr rounds its output length in its own way; one rule for every rate is predictable
    length = round(taken * SAMPLE_RATE / rate)
    return wave[:length] if wave.size >= length else np.pad(wave, (0, length - wave.size))


# --- libsndfile ---------------------------------------------------------------------------------


def _soundfile_header(path: Path) -> Header | None:
    """The header as libsndfile reads it; None where it cannot and PyAV must try."""
    try:
        with soundfile.SoundFile(path) as file:
            header = Header(
                file.frames / max(file.samplerate, 1), file.samplerate, file.channels, "soundfile"
            )
            kind, unknown_length = file.format, file.frames > _UNKNOWN_FRAMES
    except (soundfile.SoundFileError, TypeError, ValueError):  # TypeError: ".raw" has no header
        return None
    if unknown_length:
        raise AudioError(f"{path}: does not say how long it is; convert it to WAV or FLAC again")
    if kind in {"WAV", "WAVEX"}:
        require_whole_riff(path)
    elif kind == "OGG":
        require_whole_ogg(path)
    elif kind == "MP3" and not mp3_states_its_length(path):
        return _av_counted(path)  # libsndfile would guess the length and drop what lies beyond it
    return header


def _soundfile_blocks(path: Path, header: Header, first: int, stop: int) -> Iterator[Wave]:
    try:
        with soundfile.SoundFile(path) as file:
            stop = min(stop, file.frames)
            if stop <= first:
                return
            slack = 0 if file.format in _EXACT_FORMATS else _LOSSY_SLACK_SECONDS * header.rate
            if first:
                file.seek(first)
            left = stop - first
            while left > 0:
                wanted = min(left, _BLOCK_SECONDS * header.rate)
                block = file.read(wanted, dtype="float32", always_2d=True)
                left -= len(block)
                yield block.mean(axis=1, dtype=np.float32)
                if len(block) < wanted:
                    break
            if left > slack:
                raise _truncated(path, stop - left, header)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise AudioError(
            f"{path}: damaged or truncated ({_one_line(error)}); copy it again"
        ) from error


# --- PyAV ---------------------------------------------------------------------------------------


def _av_header(path: Path) -> Header:
    with _av_open(path) as container:
        stream = container.streams.audio[0]
        rate, channels = int(stream.rate or 0), int(stream.codec_context.channels or 0)
        if stream.duration is not None and stream.time_base is not None:
            seconds = float(stream.duration * stream.time_base)
        elif container.duration is not None:
            seconds = container.duration / 1_000_000  # av.time_base: microseconds
        else:
            seconds = 0.0
        return Header(seconds, rate, channels, "av")


def _av_counted(path: Path) -> Header:
    """The header with the length that the packets add up to; reads the file but decodes nothing."""
    import av

    try:
        with _av_open(path) as container:
            stream = container.streams.audio[0]
            ticks = sum(packet.duration or 0 for packet in container.demux(stream))
            rate, channels = int(stream.rate or 0), int(stream.codec_context.channels or 0)
            return Header(float(ticks * (stream.time_base or 0)), rate, channels, "av")
    except av.FFmpegError as error:
        raise AudioError(f"{path}: damaged ({_one_line(error)}); copy it again") from error


def _av_blocks(path: Path, header: Header, first: int, stop: int) -> Iterator[Wave]:
    import av

    rate, position = header.rate, 0
    try:
        with _av_open(path) as container:
            stream = container.streams.audio[0]
            origin, base = stream.start_time or 0, stream.time_base
            # only a clock that counts samples says where a seek has landed; WebM's counts ms
            sought = first > _SEEK_BACK_SECONDS * rate and base is not None and base * rate == 1
            if sought:
                target = first - round(_SEEK_BACK_SECONDS * rate)
                container.seek(origin + target, stream=stream, backward=True)
            to_mono = av.AudioResampler(format="fltp", layout=None, rate=None)
            for frame in container.decode(stream):
                if frame.sample_rate != rate:
                    raise AudioError(f"{path}: changes its rate midway; export it again")
                if sought and frame.pts is not None:
                    position, sought = frame.pts - origin, False
                for part in to_mono.resample(frame):
                    mono = part.to_ndarray().mean(axis=0, dtype=np.float32)
                    kept = mono[max(0, first - position) : max(0, stop - position)]
                    position += mono.size
                    if kept.size:
                        yield kept
                if position >= stop:
                    break
    except av.FFmpegError as error:
        raise AudioError(
            f"{path}: damaged or truncated ({_one_line(error)}); copy it again"
        ) from error
    end = min(stop, round(header.seconds * rate))
    if end - max(position, first) > _LOSSY_SLACK_SECONDS * rate:
        raise _truncated(path, position, header)


def _av_open(path: Path) -> Any:
    import av

    try:
        # an absolute path: FFmpeg reads "a:b" as an address of the protocol "a"
        container = av.open(
            str(path.absolute()),
            options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"},
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise AudioError(
            f"{path}: no audio that can be read; give WAV, FLAC, MP3, Ogg, Opus or M4A"
        ) from error
    if not container.streams.audio:
        container.close()
        raise AudioError(f"{path}: holds no audio track; give WAV, FLAC, MP3, Ogg, Opus or M4A")
    return container


def _truncated(path: Path, samples: int, header: Header) -> AudioError:
    return AudioError(
        f"{path}: truncated: audio ends at {samples / header.rate:.2f} s of "
        f"{header.seconds:.2f} s; copy it again"
    )


def _one_line(error: Exception) -> str:
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split()).rstrip(".")
