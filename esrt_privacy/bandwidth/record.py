"""What a bandwidth run writes and its report reads: `bandwidth.json`, with a published schema.

A number that could not be computed is null, never NaN and never left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from esrt_privacy import schemas
from esrt_privacy.findings import Interval
from esrt_privacy.findings.fields import Count, Measured, Named, Record

FILE_NAME = "bandwidth.json"
SCHEMA_VERSION: Literal["1"] = "1"
SCHEMA_FILE = "bandwidth-1.json"


class Statement(Record):
    """One figure of the arithmetic, beside what was published."""

    group: Named
    quantity: Named
    formula: Named = Field(description="With its numbers")
    value: Measured
    unit: str
    published: Measured = Field(
        default=None, description="As the paper prints it; null where inputs are not the paper's"
    )
    remark: str = ""


class DrawnCorpus(Record):
    """The recordings that were counted."""

    name: Named
    fingerprint: Named
    available: Count
    samples: Count = Field(description="Draws; each counts as a recording")
    distinct: Count
    with_replacement: bool
    speakers: Count
    seconds_mean: float
    seconds_shortest: float
    seconds_longest: float
    notes: tuple[str, ...] = ()


class FormatRow(Record):
    """One way to send a recording, and what it costs."""

    name: Named
    says: Named
    kind: Literal["audio", "tensor"]
    basis: Named = Field(description="What the bytes were taken from")
    total_bytes: Measured = Field(description="Over all draws")
    bytes_per_recording: Interval
    kbit_per_second: Measured = Field(description="Of speech")
    times_smaller: Measured = Field(description="Than WAV with 16 bits, base64 in JSON")


class QualityRow(Record):
    """What is left of a recording in one format."""

    name: Named
    bytes_per_recording: Measured = Field(description="Mean of all draws, as in the format's row")
    stoi: Interval | None = Field(
        default=None, description="Of the decoded audio; null for tensors"
    )
    wer: Interval | None = Field(
        default=None, description="As a fraction; null where nothing could be transcribed"
    )
    transcriber: str = ""


class Curve(Record):
    """Bytes of a format at each duration of the break-even."""

    name: Named
    kind: Literal["audio", "tensor"]
    sizes: tuple[float, ...]


class BreakEven(Record):
    """From which duration a tensor format is smaller than an audio format."""

    audio: Named
    tensor: Named
    seconds: Measured = Field(description="Null: not within 30 s")
    says: Named


class Crossing(Record):
    """One format on a real connection: TCP payload, that is bodies, headers of HTTP or gRPC, and TLS."""

    name: Named
    protocol: Named
    up: Interval = Field(description="Of a request with a recording, on an open connection")
    down: float = Field(description="Of its answer, a stub's two sentences")
    beside_least: Count = Field(description="Bytes upstream beside the body, of any such request")
    beside_most: Count
    opening_up: int = Field(description="Of the first request beyond a later one: handshakes, …")
    opening_down: int
    identifier_up: Measured = Field(
        default=None, description="Of a request by identifier; null where none was made"
    )
    identifier_up_most: Measured = None
    identifier_down: Measured = None
    recordings_crossed: Count = Field(description="Requests with a recording that were made")
    identifiers_crossed: Count


class Traffic(Record):
    """Bytes of all draws of one format, on one connection with its opening."""

    name: Named
    languages: Count
    cached: bool = Field(description="Further languages send an identifier only")
    requests: Count = Field(description="That the draws stand for")
    crossed: Count = Field(description="Requests that were made; the rest is multiplied from them")
    up: float = Field(description="TCP payload")
    down: float
    headers_up: float = Field(description="Of TCP and IP, estimated")
    headers_down: float


class OnConnection(Record):
    """What was sent over a real connection, and what it took."""

    notes: tuple[Named, ...] = Field(description="What crossed, and what was multiplied")
    crossings: tuple[Crossing, ...]
    traffic: tuple[Traffic, ...]


class ShapedTransfer(Record):
    """One format over one link that was really slow: computed beside measured."""

    name: Named
    rate_mbit: float
    round_trip_ms: float
    languages: Count
    cached: bool
    computed: float = Field(description="Seconds, of these very bytes")
    measured: tuple[float, ...] = Field(description="Seconds of each transfer, fastest first")
    failed: str = Field(default="", description="Why one was given up; empty: none was")


class Shaped(Record):
    """Transfers over links of a set rate and round trip."""

    shaper: str = Field(description="What delayed and paced; empty where nothing was permitted")
    notes: tuple[Named, ...]
    transfers: tuple[ShapedTransfer, ...] = ()


class Transfer(Record):
    """Computed seconds of one format over one link."""

    name: Named
    rate_mbit: float
    round_trip_ms: float
    languages: Count
    cached: bool = Field(description="Further languages send an identifier only")
    bytes_per_recording: float = Field(
        description="Of all its requests: with every header where a connection was measured, else bodies"
    )
    seconds_per_recording: float = Field(description="Of the mean size, on a new connection")
    seconds_of_all: float = Field(description="All draws one after another on one connection")


class Bandwidth(Record):
    """A whole run."""

    schema_version: Literal["1"] = SCHEMA_VERSION
    tool_version: Named
    created: AwareDatetime
    command: Named
    counted: Named = Field(description="Which bytes were counted")
    corpus: DrawnCorpus
    seed: int
    statements: tuple[Statement, ...]
    formats: tuple[FormatRow, ...]
    durations: tuple[float, ...] = Field(description="Seconds, of every curve")
    curves: tuple[Curve, ...]
    break_even: tuple[BreakEven, ...]
    quality: tuple[QualityRow, ...] = ()
    quality_recordings: Count = 0
    transfers: tuple[Transfer, ...]
    connection: OnConnection | None = Field(
        default=None, description="Null: no connection was made"
    )
    shaped: Shaped | None = Field(default=None, description="Null: not asked for")
    identifier_bytes: Count
    fingerprints: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def format(self, name: str) -> FormatRow:
        """The row of that name. Raises KeyError."""
        for row in self.formats:
            if row.name == name:
                return row
        raise KeyError(name)


def write_record(record: Bandwidth, folder: Path) -> Path:
    """Write `folder/bandwidth.json`, checked against the published schema, whole or not at all.

    Raises ReportError where it does not fit or cannot be written.
    """
    path = folder / FILE_NAME
    schemas.write_checked(record, path, shipped_schema(), "the run")
    return path


def read_record(path: Path) -> Bandwidth:
    """Read what `write_record` wrote: the file, or the folder that holds it.

    Raises ReportError, in one line, for anything that does not fit the published schema.
    """
    path = path / FILE_NAME if path.is_dir() else path
    refusals = schemas.Refusals.of("a record of bandwidth; give one of esrt-privacy bandwidth")
    return schemas.read_checked(path, Bandwidth, shipped_schema(), refusals)


def schema_text() -> str:
    """The JSON schema of `bandwidth.json` as the models give it; the shipped file is this text."""
    return schemas.schema_text(Bandwidth, "esrt-privacy bandwidth, version 1")


def shipped_schema() -> dict[str, Any]:
    """The published schema, as shipped in the package."""
    return schemas.shipped("bandwidth", SCHEMA_FILE)
