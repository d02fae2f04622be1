"""What a validity run writes and its report reads: `validity.json`, with a published schema.

A number that could not be computed is null, never NaN and never left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from esrt_privacy import schemas
from esrt_privacy.findings import Interval
from esrt_privacy.findings.fields import Count, Measured, Named, Record

FILE_NAME = "validity.json"
SCHEMA_VERSION: Literal["1"] = "1"
SCHEMA_FILE = "validity-1.json"

# holds: the share is where it must be; unclear: it is not, but could be by chance; fails: it is not.
Standing = Literal["holds", "unclear", "fails"]


class FalseAlarms(Record):
    """How often one figure said `leaks` where there was nothing to find."""

    source: Literal["simulated", "reruns"]
    statistic: Named = Field(description="The attack and its figure, or 'whole audit'")
    speakers: Count
    sets: Count
    alarms: Count
    share: Interval = Field(description="Of `leaks`, with its exact binomial interval")
    against_chance: Measured = Field(
        default=None, description="Share that beat the first floor, whatever the others said"
    )
    undefined: Count = Field(default=0, description="Sets that gave no interval")
    standing: Standing


class Coverage(Record):
    """How often the intervals of one cell contained the truth."""

    figure: Named
    speakers: Count
    level: float = Field(description="What sets the cell's truth")
    truth: float
    corpora: Count
    covered: Count
    undefined: Count = Field(description="Intervals that the data could not give")
    below: Count = Field(description="Intervals wholly below the truth")
    above: Count
    share: Interval = Field(
        description="Covered of those defined, with its exact binomial interval"
    )
    median_width: Measured
    mean_value: Measured
    standing: Standing


class Detection(Record):
    """How often a planted leak of one strength was found."""

    label: Named
    statistic: Named
    strength: float = Field(
        description="Deviation of the signal, that of the tensors there being 1"
    )
    bits: Measured = Field(
        description="Of one tensor about the planted value, by a Gaussian channel"
    )
    reruns: Count
    detected: Count
    share: Interval = Field(description="Detected, with its exact binomial interval")
    mean_value: Measured
    own_bits: Measured = Field(
        default=None, description="The attack's own lower bound, where it has one"
    )


class Smallest(Record):
    """The weakest planted leak that was found in at least 95% of reruns, as was every stronger one."""

    label: Named
    strength: Measured = Field(description="Null: none of those that were tried")
    bits: Measured


class BudgetCurve(Record):
    """One attack's error by the amount of training, at one tap."""

    system: str
    tap: Named
    metric: Named
    unit: str
    amount_unit: Named
    amounts: tuple[float, ...]
    values: tuple[Measured, ...]
    still_falling: bool = Field(description="More training would find more: a bound, not the value")


class Cost(Record):
    """What a part took."""

    part: Named
    units: Count
    cpu_seconds: float


class Validity(Record):
    """A whole run."""

    schema_version: Literal["1"] = SCHEMA_VERSION
    tool_version: Named
    created: AwareDatetime
    command: Named
    quick: bool = Field(description="Sizes too small to judge by")
    sizes: dict[str, float | tuple[float, ...]]
    seed: int
    system: str = Field(description="Empty where no tensors were asked for")
    corpus: str
    tap: str
    utterances: Count = 0
    speakers: Count = 0
    synthetic: bool = Field(default=False, description="The recordings are of synthetic voices")
    false_alarms: tuple[FalseAlarms, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    power: tuple[Detection, ...] = ()
    smallest: tuple[Smallest, ...] = ()
    budget: tuple[BudgetCurve, ...] = ()
    parts: tuple[Named, ...]
    costs: tuple[Cost, ...] = ()
    fingerprints: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()


def write_record(record: Validity, folder: Path) -> Path:
    """Write `folder/validity.json`, checked against the published schema, whole or not at all.

    Raises ReportError where it does not fit or cannot be written.
    """
    path = folder / FILE_NAME
    schemas.write_checked(record, path, shipped_schema(), "the run")
    return path


def read_record(path: Path) -> Validity:
    """Read what `write_record` wrote. Raises ReportError, in one line, for anything else."""
    refusals = schemas.Refusals.of("a record of validity; give one of esrt-privacy validate")
    return schemas.read_checked(path, Validity, shipped_schema(), refusals)


def schema_text() -> str:
    """The JSON schema of `validity.json` as the models give it; the shipped file is this text."""
    return schemas.schema_text(Validity, "esrt-privacy validity, version 1")


def shipped_schema() -> dict[str, Any]:
    """The published schema, as shipped in the package."""
    return schemas.shipped("validity", SCHEMA_FILE)
