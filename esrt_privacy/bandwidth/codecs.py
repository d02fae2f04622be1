"""Audio as it would be sent: real encoders (FFmpeg's, through PyAV) in real containers, and back.

Waveforms are float32 (samples,) at 16 kHz, mono, within [-1, 1]. Containers are written without
version strings and padding, so the same waveform gives the same bytes and none that are not needed.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from esrt_privacy.corpora.audio import SAMPLE_RATE
from esrt_privacy.corpora.coding import decode_audio, encode_audio

Wave = NDArray[np.float32]

OPUS_KBIT = (6, 8, 12, 16, 24, 32)
MP3_KBIT = (32, 64)
JSON_TYPE = "application/json"
_CONTENT_TYPES = {"wav": "audio/wav", "flac": "audio/flac", "mp3": "audio/mpeg", "ogg": "audio/ogg"}
_ENCODINGS = {"pcm_s16le": "LINEAR16", "pcm_f32le": "FLOAT32"}


@dataclass(frozen=True)
class AudioFormat:
    """One way to send a recording."""

    name: str
    says: str  # in words, for a reader
    codec: str  # FFmpeg's name of the encoder
    container: str  # FFmpeg's name
    kbit: int | None = None  # aimed at; None where the codec is lossless
    in_json: bool = False  # base64 within JSON, as cloud APIs take it
    options: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def lossless(self) -> bool:
        """Whether 16-bit samples come back as they were."""
        return self.kbit is None

    @property
    def content_type(self) -> str:
        """Of the body, as HTTP names it."""
        return JSON_TYPE if self.in_json else _CONTENT_TYPES[self.container]

    def encode(self, wave: Wave) -> bytes:
        """The body of a request that carries `wave`."""
        return self.wrapped(self.file(wave))

    def file(self, wave: Wave) -> bytes:
        """The encoded file alone, which formats with the same codec and container share."""
        return _encoded(wave, self)

    def wrapped(self, file: bytes) -> bytes:
        """The body that carries an encoded file: JSON around it, or the file as it is.

        The JSON is the smallest that Google's Speech-to-Text v1 `recognize` takes for 16 bits; float32,
        which it does not take, stands in the same form.
        """
        if not self.in_json:
            return file
        config = {
            "encoding": _ENCODINGS[self.codec],
            "sampleRateHertz": SAMPLE_RATE,
            "languageCode": "en-US",
        }
        content = base64.b64encode(file).decode("ascii")
        return json.dumps(
            {"config": config, "audio": {"content": content}}, separators=(",", ":")
        ).encode("ascii")

    def decode(self, body: bytes) -> Wave:
        """The waveform at 16 kHz that arrives, of the sent one's length but for a frame's padding."""
        if self.in_json:
            body = base64.b64decode(json.loads(body)["audio"]["content"])
        return _decoded(body)


def audio_formats() -> tuple[AudioFormat, ...]:
    """All formats, from the largest to the smallest kind."""
    wav16 = ("pcm_s16le", "wav")
    wav32 = ("pcm_f32le", "wav")
    flac = {"compression_level": "8"}
    # "voip" is libopus' own setting for speech; frames of 20 ms are its default
    opus = {"application": "voip", "vbr": "on", "frame_duration": "20"}
    return (
        AudioFormat("wav-float32-json", "WAV, float32, base64 in JSON", *wav32, in_json=True),
        AudioFormat("wav-16-json", "WAV, 16 bits, base64 in JSON", *wav16, in_json=True),
        AudioFormat("wav-float32", "WAV, float32", *wav32),
        AudioFormat("wav-16", "WAV, 16 bits", *wav16),
        AudioFormat("flac", "FLAC, 16 bits", "flac", "flac", options=flac),
        *(
            AudioFormat(f"mp3-{kbit}", f"MP3, {kbit} kbit/s", "libmp3lame", "mp3", kbit)
            for kbit in sorted(MP3_KBIT, reverse=True)
        ),
        *(
            AudioFormat(
                f"opus-{kbit}", f"Opus in Ogg, {kbit} kbit/s", "libopus", "ogg", kbit, options=opus
            )
            for kbit in sorted(OPUS_KBIT, reverse=True)
        ),
    )


def encode_all(wave: Wave, formats: tuple[AudioFormat, ...]) -> dict[str, bytes]:
    """Bodies by format name; a file that two formats share is encoded once."""
    files: dict[tuple[str, str, int | None], bytes] = {}
    bodies = {}
    for each in formats:
        key = (each.codec, each.container, each.kbit)
        if key not in files:
            files[key] = each.file(wave)
        bodies[each.name] = each.wrapped(files[key])
    return bodies


def _encoded(wave: Wave, wanted: AudioFormat) -> bytes:
    if wave.ndim != 1 or wave.size == 0:
        raise ValueError(f"a waveform of shape {wave.shape}, not (samples,)")
    bit_rate = None if wanted.kbit is None else wanted.kbit * 1_000
    return encode_audio(
        np.clip(wave, -1.0, 1.0),
        SAMPLE_RATE,
        wanted.codec,
        wanted.container,
        bit_rate,
        wanted.options,
        plain=True,
    )


def _decoded(file: bytes) -> Wave:
    import soxr

    wave, rate = decode_audio(file)
    if rate != SAMPLE_RATE:  # Opus always decodes to 48 kHz
        wave = soxr.resample(wave, rate, SAMPLE_RATE)
    return np.asarray(wave, dtype=np.float32)
