"""A comparison of two runs as data: `comparison.json` and its published schema.

The runs are A and B. Every difference is B against A in the direction of leakage: positive where B gives away more.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from esrt_privacy import schemas
from esrt_privacy.findings import Attacker, Direction, Interval, Verdict
from esrt_privacy.findings.fields import Count, Named, Record

FILE_NAME = "comparison.json"
SCHEMA_VERSION: Literal["1"] = "1"
SCHEMA_FILE = "comparison-1.json"
MAX_FILE_BYTES = 256 * 2**20
NO_COMPARISON = "{path} is no comparison: {place}: {why}; compare the runs again"
REFUSALS = schemas.Refusals(
    large="{path} is larger than any comparison and was not read",
    unread="{path} cannot be read ({why})",
    no_json=NO_COMPARISON,
    unfit=NO_COMPARISON,
)

Outcome = Literal["worse", "better", "no clear change", "same answers", "not compared"]
Probability = Annotated[float | None, Field(ge=0, le=1)]


class ComparedRun(Record):
    """One of the two runs."""

    folder: Named = Field(description="The folder's name, without its place")
    system: Named
    corpus: Named
    corpus_fingerprint: Named
    created: AwareDatetime
    tool_version: Named
    findings: Count
    replicates: bool = Field(description="Whether it has the file that pairing needs")


class Side(Record):
    """What one run found."""

    finding: Named = Field(description="Its id")
    system: Named
    corpus: Named
    verdict: Verdict
    estimate: Interval


class Change(Record):
    """One question put to both runs, and how much more B gives away than A."""

    attack: Named
    tap: Named
    attacker: Attacker
    metric: Named
    slug: str = Field(description="The end of the findings' ids")
    unit: str = ""
    leaks_when: Direction
    a: Side
    b: Side
    leakage: Interval = Field(
        description="B's figure against A's in the findings' unit, positive where B gives away more"
    )
    paired: bool = Field(
        description="Over the same speakers, drawn alike; else as of independent data"
    )
    p: Probability = Field(default=None, description="Of no difference, two-sided, by itself")
    p_holm: Probability = Field(
        default=None, description="The same, corrected for all changes here"
    )
    outcome: Outcome
    note: str = Field(default="", description="Why it was not compared, or not paired")


class Lone(Record):
    """A finding that the other run has not."""

    finding: Named
    system: Named
    tap: Named
    attack: Named
    attacker: Attacker
    metric: Named
    unit: str = ""
    estimate: Interval
    verdict: Verdict


class Comparison(Record):
    """Two runs beside one another, what got worse first."""

    schema_version: Literal["1"] = SCHEMA_VERSION
    tool_version: Named
    command: Named
    level: float = Field(gt=0, lt=1, description="Of every interval, by itself")
    a: ComparedRun
    b: ComparedRun
    changes: tuple[Change, ...]
    only_a: tuple[Lone, ...] = ()
    only_b: tuple[Lone, ...] = ()
    tested: Count = Field(description="Changes with an interval, over which p_holm is corrected")
    excluding_zero: Count = Field(
        description="Intervals that exclude zero, each by itself; by chance alone 1 - level of those tested would"
    )
    notes: tuple[str, ...] = ()


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Write `folder/comparison.json`, checked against the published schema, whole or not at all.

    Raises ReportError where it does not fit or cannot be written.
    """
    path = folder / FILE_NAME
    schemas.write_checked(comparison, path, shipped_schema(), "the comparison")
    return path


def read_comparison(path: Path) -> Comparison:
    """Read what `write_comparison` wrote. Raises ReportError, one line, when it cannot."""
    return schemas.read_checked(path, Comparison, shipped_schema(), REFUSALS, MAX_FILE_BYTES)


def schema_text() -> str:
    """The JSON schema of `comparison.json` as the models give it; the shipped file is this text."""
    return schemas.schema_text(Comparison, f"esrt-privacy comparison, version {SCHEMA_VERSION}")


def shipped_schema() -> dict[str, Any]:
    """The published schema, as shipped in the package."""
    return schemas.shipped("reports", SCHEMA_FILE)
