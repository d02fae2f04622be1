"""The report for a machine: `report.json`, with a published schema.

It holds what the page says in words: the answer, the claims with their verdicts, how many findings have which verdict.
The figures themselves stay in `findings.json`, to which it refers by id and checksum.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from esrt_privacy import schemas
from esrt_privacy.findings import AuditedCorpus, Verdict
from esrt_privacy.findings.fields import Count, Measured, Named, Record, Slug
from esrt_privacy.reports.claim_rules import ClaimVerdict
from esrt_privacy.reports.untested import Untested

FILE_NAME = "report.json"
SCHEMA_VERSION: Literal["1"] = "1"
SCHEMA_FILE = "report-1.json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class SubjectVerdict(Record):
    """What the audit says of one thing that an attacker would like to know, at the tap under audit."""

    subject: Named
    verdict: Verdict = Field(description="The gravest of its findings")
    finding: Slug = Field(description="The id of the first finding with that verdict")
    says: Named = Field(description="Its metric and figure in words")


class Tally(Record):
    """How many findings about one tap have which verdict."""

    system: Named
    tap: Named
    verdicts: dict[Verdict, Count]


class FindingReference(Record):
    """A finding of `findings.json` by its id, with what it takes to choose among them."""

    id: Slug
    system: Named
    tap: Named
    attack: Named
    attacker: Named
    metric: Named
    verdict: Verdict


class FormatSize(Record):
    """One way to send a recording, from a record of bandwidth."""

    name: Named
    says: Named
    kind: Literal["audio", "tensor"]
    bytes_per_recording: Measured
    times_smaller: Measured = Field(description="Than WAV with 16 bits, base64 in JSON")


class BandwidthSummary(Record):
    """The sizes of a record of bandwidth."""

    headline: Named
    corpus: Named
    recordings: Count
    command: Named
    formats: tuple[FormatSize, ...]


class Report(Record):
    """A whole report."""

    schema_version: Literal["1"] = SCHEMA_VERSION
    tool_version: Named
    created: AwareDatetime = Field(description="When the run was made")
    command: Named = Field(description="Of the run")
    system: Named
    corpus: AuditedCorpus
    audited_tap: str = Field(description="The first finding's; empty where nothing was found")
    answer: tuple[Named, Named, Named] = Field(
        description="What leaks; what does not, or stays open; what that means for the claims"
    )
    subjects: tuple[SubjectVerdict, ...]
    claims: tuple[ClaimVerdict, ...]
    tallies: tuple[Tally, ...]
    findings: tuple[FindingReference, ...]
    findings_sha256: Sha256 = Field(description="Of the findings.json that was read")
    bandwidth: BandwidthSummary | None = Field(default=None, description="Null: none was given")
    untested: tuple[Untested, ...]
    fingerprints: dict[str, str] = Field(default_factory=dict)
    seeds: dict[str, int] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)


def write_report_record(record: Report, folder: Path) -> Path:
    """Write `folder/report.json`, checked against the published schema, whole or not at all.

    Raises ReportError where it does not fit or cannot be written.
    """
    path = folder / FILE_NAME
    schemas.write_checked(record, path, shipped_schema(), "the report")
    return path


def read_report_record(path: Path) -> Report:
    """Read what `write_report_record` wrote: the file, or the folder that holds it.

    Raises ReportError, in one line, for anything that does not fit the published schema.
    """
    path = path / FILE_NAME if path.is_dir() else path
    refusals = schemas.Refusals.of("a report; give one of esrt-privacy report build")
    return schemas.read_checked(path, Report, shipped_schema(), refusals)


def schema_text() -> str:
    """The JSON schema of `report.json` as the models give it; the shipped file is this text."""
    return schemas.schema_text(Report, f"esrt-privacy report, version {SCHEMA_VERSION}")


def shipped_schema() -> dict[str, Any]:
    """The published schema, as shipped in the package."""
    return schemas.shipped("reports", SCHEMA_FILE)
