"""Sounds and pictures of examples as data URIs, so that the page is one file.

Sound files lie in the run's folder. They are embedded as 16-bit FLAC, which every current
browser plays and which takes half the room of WAV.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from esrt_privacy.findings import Example, Rendition
from esrt_privacy.reports.figures import spectrogram_png
from esrt_privacy.reports.wording import plain

MAX_SECONDS = 30.0  # an utterance is at most one padded window long
MAX_RATE = 48_000

ROLES = (
    ("original", "Original"),
    ("reconstruction", "Reconstruction"),
    ("floor", "Floor"),
    ("control", "Control"),
    ("ceiling", "Ceiling"),
)


@dataclass(frozen=True)
class Panel:
    """One sound of an example, ready for the page. `audio` and `picture` are data URIs or empty."""

    role: str
    title: str
    name: str
    audio: str
    picture: str
    seconds: float
    transcript: str | None
    stoi: float | None
    problem: str = ""


@dataclass(frozen=True)
class Shown:
    """An example with its panels, in the order in which they are shown."""

    example: Example
    panels: tuple[Panel, ...]

    @property
    def size(self) -> int:
        """Bytes that the example takes in the page, nearly all of them data URIs."""
        return sum(len(panel.audio) + len(panel.picture) for panel in self.panels)


def show_examples(
    examples: Sequence[Example], folder: Path, most: int, max_bytes: int
) -> list[Shown]:
    """The first examples, at most `most` of them and at most `max_bytes` in the page."""
    shown: list[Shown] = []
    left = max_bytes
    for example in examples[:most]:
        ready = show(example, folder)
        left -= ready.size
        if left < 0:
            break
        shown.append(ready)
    return shown


def show(example: Example, folder: Path) -> Shown:
    """Reads an example's sounds and draws them over one time axis.

    A sound that is missing or unreadable leaves its place with the reason in words: the report
    of a long run is not lost for one file.
    """
    renditions: list[tuple[str, str, Rendition]] = []
    for role, title in ROLES:
        rendition = getattr(example, role)
        if rendition is not None:
            renditions.append((role, title, rendition))
    sounds = [_read(folder, rendition.audio) for _, _, rendition in renditions]
    seconds = max((len(s.wave) / s.rate for s in sounds if s.wave is not None), default=0.0)
    panels = []
    for (role, title, rendition), sound in zip(renditions, sounds, strict=True):
        audio = picture = ""
        if sound.wave is not None:
            audio = _data_uri("audio/flac", _flac(sound.wave, sound.rate))
            picture = _data_uri("image/png", spectrogram_png(sound.wave, sound.rate, seconds))
        panels.append(
            Panel(
                role=role,
                title=title,
                name=plain(rendition.name),
                audio=audio,
                picture=picture,
                seconds=0.0 if sound.wave is None else len(sound.wave) / sound.rate,
                transcript=rendition.transcript,
                stoi=rendition.stoi,
                problem=sound.problem,
            )
        )
    return Shown(example, tuple(panels))


@dataclass(frozen=True)
class _Sound:
    """Mono samples (samples,) float32, or what stood in the way of them."""

    wave: np.ndarray | None
    rate: int = 16_000
    problem: str = ""


def _read(folder: Path, relative: str) -> _Sound:
    import soundfile

    path = folder / relative
    # A run made elsewhere may hold a link that leads out of its folder.
    if not path.resolve().is_relative_to(folder.resolve()):
        return _Sound(None, problem="the sound file lies outside the run's folder")
    if not path.is_file():
        return _Sound(None, problem="the sound file is missing")
    try:
        with soundfile.SoundFile(path) as file:
            if file.samplerate > MAX_RATE:
                return _Sound(None, problem=f"the sound file has {file.samplerate} samples/s")
            samples = file.read(int(MAX_SECONDS * file.samplerate), dtype="float32", always_2d=True)
            rate = file.samplerate
    except (OSError, RuntimeError):
        return _Sound(None, problem="the sound file cannot be read")
    wave = samples.mean(axis=1)
    if not len(wave) or not np.isfinite(wave).all():
        return _Sound(None, problem="the sound file holds no usable samples")
    return _Sound(wave, rate)


def _flac(wave: np.ndarray, rate: int) -> bytes:
    import soundfile

    encoded = io.BytesIO()
    soundfile.write(encoded, np.clip(wave, -1, 1), rate, format="FLAC", subtype="PCM_16")
    return encoded.getvalue()


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
