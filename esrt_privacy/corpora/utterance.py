"""One recording (or a window of one) with what is known of it."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esrt_privacy.corpora.audio import SAMPLE_RATE, read_audio
from esrt_privacy.corpora.channel import Channel
from esrt_privacy.errors import AudioError, shown

__all__ = ["Found", "Utterance", "shown"]


@dataclass(frozen=True)
class Utterance:
    """A recording, or the stretch from ``start`` to ``end`` (s) of one, and its labels.

    ``language`` and the keys of ``translations`` are ISO 639-3; ``sex`` is "F" or "M" where a
    corpus says so; ``duration`` (s) is that of the window. ``age`` (years, or the corpus's own
    group), ``accent`` and ``emotion`` are in the corpus's own words. None means unknown.
    """

    id: str
    audio: Path
    speaker: str | None = None
    session: str | None = None
    language: str | None = None
    sex: str | None = None
    text: str | None = None
    translations: Mapping[str, str] = field(default_factory=dict, hash=False)
    duration: float | None = None
    corpus: str | None = None
    licence: str | None = None
    start: float = 0.0
    end: float | None = None
    channel: Channel | None = None
    age: str | None = None
    accent: str | None = None
    emotion: str | None = None

    def waveform(self) -> NDArray[np.float32]:
        """The window's samples, float32 (samples,) at 16 kHz, through the channel if there is one.

        Raises AudioError when the file cannot be decoded.
        """
        wave = read_audio(self.audio, self.start, self.end)
        return wave if self.channel is None else self.channel.apply(wave, SAMPLE_RATE)

    @property
    def recording(self) -> str:
        """Id of the recording that this window was cut from; the utterance's own id if uncut."""
        return self.id.rpartition("#")[0] if self.end is not None and "#" in self.id else self.id

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over the file's bytes, the window and the channel; labels do not enter it.

        Raises AudioError when the file cannot be read.
        """
        try:
            stat = self.audio.stat()
            digest = _file_digest(self.audio, stat.st_size, stat.st_mtime_ns)
        except (OSError, ValueError) as error:
            raise AudioError(f"{self.audio}: cannot be read for its fingerprint") from error
        channel = None if self.channel is None else self.channel.fingerprint
        return hashlib.sha256(
            json.dumps([digest, float(self.start), self.end, channel]).encode()
        ).hexdigest()


class Found(NamedTuple):
    """What a loader found: utterances in a stable order, and a line for each thing left out."""

    utterances: list[Utterance]
    notes: list[str]


@functools.lru_cache(maxsize=65_536)
def _file_digest(path: Path, size: int, mtime_ns: int) -> str:
    # size and time are part of the key, so that a file that was replaced is read again
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
