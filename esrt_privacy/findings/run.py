"""A run: everything one command found, with what is needed to rerun it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from esrt_privacy.findings.fields import Count, Measured, Named, Record, RelativePath
from esrt_privacy.findings.finding import Finding
from esrt_privacy.findings.pictured import BudgetPoint, Confusion, DetCurve, Lengths

SCHEMA_VERSION: Literal["2"] = "2"
MOST_CURVES = 2_000  # of a run, so that a hostile file is no endless page
MOST_TABLES = 500


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


class Rendition(Record):
    """One sound of an example: a WAV file in the run's folder, and what was measured on it."""

    audio: RelativePath
    name: str = Field(default="", description="What it is, when that is not obvious")
    transcript: str | None = Field(default=None, description="What the recogniser heard")
    stoi: Measured = None


class Example(Record):
    """One utterance to look at and listen to, as it was and as an attacker got it back."""

    utterance: Named
    system: Named
    tap: Named
    speaker: str | None = None
    language: str | None = Field(default=None, description="ISO 639-3")
    text: str | None = Field(default=None, description="What was said")
    original: Rendition
    reconstruction: Rendition
    floor: Rendition | None = None
    ceiling: Rendition | None = None
    control: Rendition | None = None


class AuditedCorpus(Record):
    """The recordings a run was made on; `notes` tell what was cut or left out, and why."""

    name: Named
    fingerprint: Named
    utterances: Count = 0
    speakers: Count = 0
    notes: tuple[str, ...] = ()


class Run(Record):
    """Everything one command found, with what is needed to rerun it.

    Findings come in the order in which they matter; the tap of the first one is the tap under
    audit, of which the report's headline speaks.
    """

    schema_version: Literal["2"] = SCHEMA_VERSION
    tool_version: Named
    created: Annotated[AwareDatetime, AfterValidator(_in_utc)]
    command: Named = Field(description="The command line, as it would be typed")
    system: Named
    corpus: AuditedCorpus
    fingerprints: Mapping[str, str] = Field(default_factory=dict)
    seeds: Mapping[str, int] = Field(default_factory=dict)
    versions: Mapping[str, str] = Field(default_factory=dict, description="Of the libraries used")
    findings: tuple[Finding, ...]
    examples: tuple[Example, ...] = ()
    budget: tuple[BudgetPoint, ...] = ()
    det_curves: Annotated[tuple[DetCurve, ...], Field(max_length=MOST_CURVES)] = ()
    confusions: Annotated[tuple[Confusion, ...], Field(max_length=MOST_TABLES)] = ()
    lengths: Annotated[tuple[Lengths, ...], Field(max_length=MOST_TABLES)] = ()
    comments: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _ids_are_unique_and_known(self) -> "Run":
        seen: set[str] = set()
        for finding in self.findings:
            if finding.id in seen:
                raise ValueError(f"two findings have the id {finding.id}")
            seen.add(finding.id)
        pictures: tuple[DetCurve | Confusion | Lengths, ...]
        pictures = (*self.det_curves, *self.confusions, *self.lengths)
        for picture in pictures:
            if picture.finding not in seen:
                raise ValueError(f"a picture is of {picture.finding}, which is no finding")
        return self
