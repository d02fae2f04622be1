"""What `esrt-privacy bandwidth` can be asked, checked in one place: each bad value is one line."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from pathlib import Path

from esrt_privacy.errors import EsrtPrivacyError, shown

MOST_SAMPLES = 1_000_000
MOST_LISTENED = 40  # recordings that are encoded by a network or judged
MOST_VALUES = 2**24  # of a tensor
MOST_LINKS = 8  # rates, and round trips, of one report


class BandwidthError(EsrtPrivacyError):
    """A size, rate or count that no bandwidth can be computed from."""


@dataclass(frozen=True)
class PaperInputs:
    """What the published figures start from (arXiv 2605.28642): Table XIII, equations 7 and 8.

    Defaults are the paper's. Sizes are in the table's own unit, which it calls MB.
    """

    files: int = 647
    audio_mb: float = 392.0  # WAV files
    tensor_mb: float = 77.0  # tensor files, ESRT
    lite_mb: float = 38.0  # tensor files, ESRT-Lite
    base64_factor: float = 1.33  # as the paper rounds it; base64 itself is 4/3
    link_mbit: float = 100.0  # Mbit/s
    window_seconds: float = 30.0
    sample_rate: int = 16_000  # Hz
    sample_bytes: int = 2
    queries: int = 80
    lite_queries: int = 40
    width: int = 768
    value_bytes: int = 2  # bfloat16
    encoder_frames: int = 1_500
    encoder_width: int = 1_280  # Whisper-large-v3

    def check(self) -> None:
        """Raise BandwidthError for the first input that is not a positive, finite number."""
        for entry in fields(self):
            _require_positive(getattr(self, entry.name), option(entry.name))
        if max(self.queries, self.lite_queries) * self.width > MOST_VALUES:
            raise BandwidthError(
                f"--queries, --lite-queries, --width: a tensor of over {MOST_VALUES:,} values is none that is sent"
            )


@dataclass(frozen=True)
class BandwidthRequest:
    """A run of `esrt-privacy bandwidth`."""

    samples: int = 647
    corpus: str = "demo"
    seed: int = 0
    system: str = "reference"  # whose tensors are compressed
    model: str | None = None  # whose transcripts are scored; None: the system's
    listened: int = MOST_LISTENED  # recordings for real tensors, STOI and WER; 0: none
    languages: int = 44  # targets of one recording, beside one
    rates: tuple[float, ...] = (1.0, 10.0, 100.0)  # Mbit/s
    round_trips: tuple[float, ...] = (20.0, 100.0, 300.0)  # ms
    identifier_bytes: int = 64  # a SHA-256 in hex, which stands for a cached recording
    connection: bool = True  # send it all over a real connection
    shaped: bool = False  # and some of it over slow ones
    inputs: PaperInputs = field(default_factory=PaperInputs)
    weights: Path | None = None
    allow_remote_code: bool = False
    command: str = ""

    def check(self) -> None:
        """Raise BandwidthError naming the first option that makes no sense, and what would."""
        self.inputs.check()
        _require_count(self.samples, "--samples", 1, MOST_SAMPLES)
        _require_count(self.listened, "--listened", 0, MOST_LISTENED)
        _require_count(self.languages, "--languages", 1, 1_000)
        _require_count(self.identifier_bytes, "--identifier-bytes", 1, 1_000_000)
        _require_count(self.seed, "--seed", 0, 2**63 - 1)
        for name, values in (("--rates", self.rates), ("--round-trips", self.round_trips)):
            if not 1 <= len(values) <= MOST_LINKS:
                raise BandwidthError(f"{name}: give one to {MOST_LINKS} numbers, such as 1,10,100")
            for value in values:
                _require_positive(value, name)
        if self.shaped and not self.connection:
            raise BandwidthError("--shaped: needs a connection; leave out --no-connection")


def option(name: str) -> str:
    """The command line's spelling of a field."""
    return "--" + name.replace("_", "-")


def numbers(text: str, name: str) -> tuple[float, ...]:
    """ "1,10,100" as numbers, in order, each once. Raises BandwidthError naming the option."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        raise BandwidthError(
            f"{name}: '{shown(text, 60)}' is no list of numbers; write it as 1,10,100"
        ) from None
    return tuple(dict.fromkeys(found))


def _require_positive(value: float, name: str) -> None:
    if not (math.isfinite(value) and 0 < value <= 1e12):
        raise BandwidthError(f"{name}: {value:g} is no usable size; give a number above 0")


def _require_count(value: int, name: str, low: int, high: int) -> None:
    if not low <= value <= high:
        raise BandwidthError(f"{name}: {value} is out of range; give {low:,} to {high:,}")
