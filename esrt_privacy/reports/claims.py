"""Claims: sentences of the ESRT paper, or of a vendor, each with what would decide it.

`claims.toml` holds those of the paper; a vendor writes its own in the same form. A claim names its test:
findings of an audit, a record of bandwidth or of resources, arithmetic, or what is missing to test it.
The rules that decide are in `claim_rules.py`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from esrt_privacy.errors import ReportError, shown
from esrt_privacy.findings import Attacker, Finding, Position
from esrt_privacy.findings.fields import Record, Slug
from esrt_privacy.reports.claim_arithmetic import Arithmetic

SHIPPED = "claims.toml"
MAX_FILE_BYTES = 256 * 1024
MOST_CLAIMS = 200  # of one file
WIRE = "wire"  # stands for the tap under audit

Kind = Literal["privacy", "bandwidth", "arithmetic", "resources"]
Text = Annotated[str, Field(min_length=1, max_length=1000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Selector(Record):
    """Which findings: all that agree in what is given here.

    `slug` is the end of a finding's id, after attack and tap, where an attack measures one metric more than once
    ("semi-informed-eer", "sex-balanced-accuracy"). `reaches` is the value that a leak must reach to contradict the
    sentence, in the metric's unit: the end of its interval that is nearer to chance must lie beyond it. Without a
    `position`, an attacker may stand anywhere but in the cloud, which no sentence about an interceptor speaks of.
    """

    attack: Name
    metric: Name
    attacker: Attacker | None = None
    tap: Name = WIRE
    position: Position | None = None
    slug: Name | None = None
    reaches: Annotated[float, Field(allow_inf_nan=False)] | None = None

    def selects(self, finding: Finding, audited_tap: str) -> bool:
        """Whether a finding is one of those; `audited_tap` is what `wire` stands for."""
        return (
            finding.attack == self.attack
            and finding.metric == self.metric
            and self.attacker in (None, finding.attacker)
            and finding.tap == (audited_tap if self.tap == WIRE else self.tap)
            and self._from(finding.position)
            and self.slug in (None, finding.id.rpartition(".")[2])
        )

    def _from(self, position: Position) -> bool:
        return position != "cloud" if self.position is None else position == self.position

    def says(self) -> str:
        """In words, for a reason: "speaker EER of the semi-informed speaker attack"."""
        if self.attacker is not None:
            return f"{self.metric} of the {self.attacker} {self.attack} attack"
        which = f" ({self.slug})" if self.slug else ""
        return f"{self.metric} of the {self.attack} attack{which}"


Selectors = Annotated[tuple[Selector, ...], Field(min_length=1, max_length=50)]


class Part(Record):
    """A part of a sentence that says that something cannot be had.

    A leak among `refuted_by` contradicts it. It is bounded only where each of `bounded_by` found something decided:
    these are the strongest attackers, for a weak one that fails bounds nothing.
    """

    name: Name
    refuted_by: Selectors
    bounded_by: Selectors


class FindingsTest(Record):
    """By findings: a leak in any part refutes the sentence; it stands only where every part is bounded."""

    by: Literal["findings"]
    parts: Annotated[tuple[Part, ...], Field(min_length=1, max_length=20)]


class SmallerTest(Record):
    """By a bandwidth record: a tensor is at least so many times smaller than a recording of so many seconds.

    `audio` and `tensor` are formats of the record.
    """

    by: Literal["times smaller"]
    audio: Name
    tensor: Name
    seconds: Positive
    at_least: Positive


class IdentifierTest(Record):
    """By a bandwidth record: a further language takes at most a share of the bytes of the first request."""

    by: Literal["identifier"]
    tensor: Name
    at_most_share: Annotated[float, Field(gt=0, lt=1)]


class Limit(Record):
    """A figure of a profile, and the most that it may be."""

    part: Literal["edge", "cloud"]
    what: Name
    batch: Annotated[int, Field(ge=1)] | None = None
    at_most: Positive
    unit: Name


class ProfileTest(Record):
    """By a profile of the model in the precision of the sentence: every limit is kept."""

    by: Literal["profile"]
    dtype: Name
    limits: Annotated[tuple[Limit, ...], Field(min_length=1, max_length=20)]


class ArithmeticTest(Record):
    """By arithmetic: what is printed follows from its inputs."""

    by: Literal["arithmetic"]
    arithmetic: Arithmetic


class NoTest(Record):
    """Nothing of this toolkit tests it yet; `missing` says what would."""

    by: Literal["nothing"]
    missing: Text


Test = Annotated[
    FindingsTest | SmallerTest | IdentifierTest | ProfileTest | ArithmeticTest | NoTest,
    Field(discriminator="by"),
]


class Claim(Record):
    """A sentence and what decides it.

    `about` names the systems that the sentence speaks of; with `fingerprints`, a run counts as theirs only where its
    tensors have one of these. `why` says why this test decides the sentence, `remark` what a reader must know beside
    it, for example what the same paper says elsewhere.
    """

    id: Slug
    section: Name
    sentence: Text
    about: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)]
    fingerprints: Annotated[tuple[Name, ...], Field(max_length=50)] = ()
    kind: Kind
    why: Text
    remark: Annotated[str, Field(max_length=1000)] = ""
    test: Test

    @model_validator(mode="after")
    def _arithmetic_is_called_so(self) -> Self:
        if (self.kind == "arithmetic") != isinstance(self.test, ArithmeticTest):
            raise ValueError("kind and test must both be arithmetic, or neither")
        return self


class ClaimFile(Record):
    """One file of claims; `instead` leaves the shipped ones out."""

    source: Text = Field(description="Whose claims they are")
    instead: bool = False
    claims: Annotated[tuple[Claim, ...], Field(min_length=1, max_length=MOST_CLAIMS)]


def load(extra: Sequence[Path] = ()) -> tuple[Claim, ...]:
    """The shipped claims and those of other files, in order; a file with `instead = true` leaves the shipped ones out.

    Raises ReportError, in one line, for a file that is none of claims, and for an id that stands twice.
    """
    files = [(str(path), _read(path)) for path in extra]
    if not any(file.instead for _, file in files):
        files.insert(0, ("the shipped claims", _shipped()))
    where: dict[str, str] = {}
    for name, file in files:
        for claim in file.claims:
            if claim.id in where:
                raise ReportError(
                    f"{name}: the claim {claim.id} stands in {where[claim.id]} already; give it another id"
                )
            where[claim.id] = name
    return tuple(claim for _, file in files for claim in file.claims)


def _shipped() -> ClaimFile:
    file = resources.files("esrt_privacy.reports") / SHIPPED
    return _parsed(file.read_text(encoding="utf-8"), SHIPPED)


def _read(path: Path) -> ClaimFile:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ReportError(f"{path}: too long for claims; give a TOML file like {SHIPPED}")
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"{path}: cannot be read as claims ({shown(error)})") from error
    return _parsed(text, str(path))


def _parsed(text: str, where: str) -> ClaimFile:
    try:
        return ClaimFile.model_validate(tomllib.loads(text))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ReportError(f"{where}: {shown(place, 120)}: {shown(first['msg'])}") from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError too
        raise ReportError(f"{where}: not TOML ({shown(error)})") from error
