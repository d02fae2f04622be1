"""Sizes of ESRT systems: presets of the paper (arXiv 2605.28642, Table V) and of the reference.

The paper gives the encoder, the number of queries and the wire tensor. Layers, heads, feed-forward
width, cross-attention frequency and query initialisation are not given; the presets start from the
authors' earlier public code (MCAT: 8 layers, otherwise BLIP-2's defaults, queries drawn with
deviation 1) and yield to a checkpoint's own.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from esrt_privacy.errors import SystemUnavailable, shown

SAMPLE_RATE = 16_000  # Hz
WINDOW_SECONDS = 30  # Whisper's window: shorter recordings are padded with zeros
WINDOW_SAMPLES = WINDOW_SECONDS * SAMPLE_RATE
MEL_FRAMES = 3000  # 100 a second
ENCODER_FRAMES = 1500  # 50 a second
WIRE_BYTES_PER_VALUE = 2  # bfloat16
LARGEST_SIZE = 65_536  # of anything in a configuration file
MOST_LAYERS = 256


@dataclass(frozen=True)
class EncoderConfig:
    """Which Whisper encoder runs on the device."""

    name: str  # asset, hub name or folder
    mel_bins: int  # 80, or 128 for large-v3
    width: int  # D_s
    layers: int
    heads: int
    feed_forward: int


@dataclass(frozen=True)
class QFormerConfig:
    """BLIP-2's Q-Former (`transformers`' Blip2QFormerModel) with learnable queries."""

    layers: int = 8
    hidden: int = 768
    heads: int = 12
    feed_forward: int = 3072
    cross_attention_frequency: int = 2
    query_sets: tuple[int, ...] = (80,)  # sets of queries that share all other weights
    query_deviation: float = 1.0


@dataclass(frozen=True)
class SystemConfig:
    """The edge half of one ESRT system; `queries` chooses the query set whose output is sent."""

    name: str
    encoder: EncoderConfig
    qformer: QFormerConfig
    queries: int = 80

    def __post_init__(self) -> None:
        if self.queries not in self.qformer.query_sets:
            sets = ", ".join(map(str, self.qformer.query_sets))
            raise SystemUnavailable(f"{self.name}: no set of {self.queries} queries (has {sets})")

    @property
    def wire_shape(self) -> tuple[int, int]:
        """(queries, hidden) of the tensor that leaves the device."""
        return self.queries, self.qformer.hidden

    @property
    def wire_bytes(self) -> int:
        """Bytes of the bare tensor in bfloat16 (paper, §III: 122,880 for 80 queries)."""
        return self.queries * self.qformer.hidden * WIRE_BYTES_PER_VALUE

    def to_json(self) -> str:
        """The configuration as JSON text, readable by `from_json`."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, source: Path | str = "configuration") -> SystemConfig:
        """Read what `to_json` wrote. Raises SystemUnavailable for anything else."""
        try:
            row = json.loads(text)
            encoder = EncoderConfig(**row.pop("encoder"))
            qformer_row = row.pop("qformer")
            qformer_row["query_sets"] = tuple(qformer_row["query_sets"])
            qformer = QFormerConfig(**qformer_row)
            _require_sizes(encoder, qformer)
            if type(row["name"]) is not str:
                raise TypeError("name must be text")
            return cls(encoder=encoder, qformer=qformer, **row)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            known = ", ".join(f.name for f in fields(cls))
            raise SystemUnavailable(
                f"{source}: not a system configuration ({shown(error)}); it needs {known}"
            ) from error


def _require_sizes(encoder: EncoderConfig, qformer: QFormerConfig) -> None:
    """Raise ValueError for sizes that no network has: a file can say anything."""
    sizes = [(name, value) for name, value in asdict(encoder).items() if name != "name"]
    for name, value in asdict(qformer).items():
        if name == "query_sets":
            sizes += [(name, count) for count in value] or [(name, None)]
        elif name != "query_deviation":
            sizes.append((name, value))
    for name, value in sizes:
        if type(value) is not int or not 0 < value <= LARGEST_SIZE:
            raise ValueError(f"{name} must be a whole number from 1 to {LARGEST_SIZE:,}")
    for name, layers in (("encoder", encoder.layers), ("qformer", qformer.layers)):
        if layers > MOST_LAYERS:
            raise ValueError(f"{name}: more than {MOST_LAYERS} layers")
    for name, width, heads in (
        ("encoder", encoder.width, encoder.heads),
        ("qformer", qformer.hidden, qformer.heads),
    ):
        if width % heads:
            raise ValueError(f"{name}: {heads} heads do not divide {width}")
    if not isinstance(encoder.name, str):
        raise TypeError("the encoder's name must be text")
    deviation = qformer.query_deviation
    if isinstance(deviation, bool) or not isinstance(deviation, int | float):
        raise TypeError("query_deviation must be a number")


WHISPER_LARGE_V3 = EncoderConfig("openai/whisper-large-v3", 128, 1280, 32, 20, 5120)
WHISPER_BASE = EncoderConfig("whisper-base", 80, 512, 6, 8, 2048)

ESRT_4B = SystemConfig("esrt-4b", WHISPER_LARGE_V3, QFormerConfig())
ESRT_12B = replace(ESRT_4B, name="esrt-12b")
ESRT_12B_LITE = SystemConfig(
    "esrt-12b-lite", WHISPER_LARGE_V3, QFormerConfig(query_sets=(40,)), queries=40
)
REFERENCE_QFORMER = QFormerConfig(
    layers=2,
    feed_forward=1536,
    cross_attention_frequency=1,
    query_sets=(80, 40),
    query_deviation=0.02,
)
REFERENCE = SystemConfig("reference", WHISPER_BASE, REFERENCE_QFORMER)
REFERENCE_LITE = replace(REFERENCE, name="reference-lite", queries=40)

PRESETS = {
    preset.name: preset for preset in (ESRT_4B, ESRT_12B, ESRT_12B_LITE, REFERENCE, REFERENCE_LITE)
}


def preset(name: str) -> SystemConfig:
    """The preset called `name`. Raises SystemUnavailable naming the presets that exist."""
    try:
        return PRESETS[name]
    except KeyError:
        raise SystemUnavailable(f"unknown system '{name}'; known: {', '.join(PRESETS)}") from None
