"""What attacks write and reports read: findings, examples, and the run that holds them.

A run lies in one folder: `findings.json` beside the sound files that its examples name. The file
is checked against the published JSON schema (`esrt_privacy/reports/schema/findings-1.json`) when
it is written and when it is read. A number that could not be computed is `null`, never NaN.

The verdicts' words stand here; the rules that choose between them belong to the attacks.
"""

import json
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from numbers import Real
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from esrt_privacy import schemas
from esrt_privacy.errors import ReportError

if TYPE_CHECKING:
    from esrt_privacy.measures.intervals import Estimate

FILE_NAME = "findings.json"
SCHEMA_VERSION: Literal["1"] = "1"
MAX_FILE_BYTES = 256 * 2**20  # a foreign file larger than this is not read into memory

Verdict = Literal["leaks", "not detected", "inconclusive", "invalid", "untested"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
Attacker = Literal["ignorant", "lazy-informed", "semi-informed", "cross-modal", "white-box"]
ATTACKERS: tuple[Attacker, ...] = get_args(Attacker)
Position = Literal["network plaintext", "outside TLS", "cloud"]
POSITIONS: tuple[Position, ...] = get_args(Position)
Direction = Literal["lower", "higher"]


def _null_when_not_finite(value: object) -> object:
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        return number if math.isfinite(number) else None
    return value


def _inside_the_folder(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in path:
        raise ValueError("must be a relative path inside the run's folder, with forward slashes")
    return path


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Measured = Annotated[float | None, BeforeValidator(_null_when_not_finite)]
RelativePath = Annotated[str, Field(min_length=1), AfterValidator(_inside_the_folder)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+([.\-][a-z0-9]+)*$", max_length=120)]
Named = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Interval(_Record):
    """A figure and how sure we are of it; `value`, `low` and `high` are in the finding's unit.

    `level` is the coverage aimed at, `method` says how the interval was made (for example
    "speaker bootstrap, 1000 draws"), `n` is the number of things averaged over. `low` and `high`
    are null where no interval exists; `value` is null where the figure could not be computed.
    """

    value: Measured
    low: Measured = None
    high: Measured = None
    level: float = Field(default=0.95, gt=0, lt=1)
    method: str = ""
    n: Count = 0

    @classmethod
    def of(cls, estimate: "Estimate", scale: float = 1.0) -> "Interval":
        """An estimate in the finding's unit, which is `scale` times the measure's."""
        return cls(
            value=estimate.value * scale,
            low=estimate.low * scale,
            high=estimate.high * scale,
            method=estimate.method,
            n=estimate.n,
        )

    @model_validator(mode="after")
    def _ordered(self) -> "Interval":
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"the interval's low {self.low} is above its high {self.high}")
        return self


class Finding(_Record):
    """An attack's answer to one question about one tap of one system over one corpus."""

    id: Slug
    question: Named = Field(description="The question in words, as a reader would ask it")
    system: Named
    system_fingerprint: Named
    corpus: Named
    tap: Named
    attacker: Attacker = Field(description="What the attacker knows")
    position: Position = Field(description="Where the attacker stands")
    attack: Named
    metric: Named
    unit: str = Field(default="", description="Unit of every value here; empty for a plain number")
    leaks_when: Direction = Field(description="Which direction of the metric means more leakage")
    estimate: Interval
    floors: Mapping[str, Interval] = Field(
        default_factory=dict, description="What is reached without looking at the tensor, by name"
    )
    ceiling: Interval | None = None
    ceiling_name: str = Field(default="", description="For example: Griffin-Lim from the true mel")
    control: Interval | None = Field(
        default=None, description="The same network, data and budget where leakage is certain"
    )
    control_name: str = Field(default="", description="For example: transparent tensor")
    control_rule: str = Field(default="", description="What the control must reach, in words")
    control_passed: bool | None = None
    verdict: Verdict
    reason: Named = Field(description="Why this verdict, in one sentence")
    utterances: Count
    speakers: Count
    seeds: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _references_are_named(self) -> "Finding":
        if self.ceiling is not None and not self.ceiling_name:
            raise ValueError("a ceiling needs a ceiling_name")
        if self.control is not None and not (self.control_name and self.control_rule):
            raise ValueError("a control needs a control_name and a control_rule")
        if self.control is not None and self.control_passed is None:
            raise ValueError("a control needs control_passed, true or false")
        return self


class Rendition(_Record):
    """One sound of an example: a WAV file in the run's folder, and what was measured on it."""

    audio: RelativePath
    name: str = Field(default="", description="What it is, when that is not obvious")
    transcript: str | None = Field(default=None, description="What the recogniser heard")
    stoi: Measured = None


class Example(_Record):
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


class BudgetPoint(_Record):
    """What an attacker reached at one tap with one amount of training."""

    tap: Named
    amount: float = Field(ge=0, allow_inf_nan=False)
    amount_unit: Literal["examples", "steps", "seconds"]
    metric: Named
    unit: str = ""
    value: Measured


class AuditedCorpus(_Record):
    """The recordings a run was made on; `notes` tell what was cut or left out, and why."""

    name: Named
    fingerprint: Named
    utterances: Count = 0
    speakers: Count = 0
    notes: tuple[str, ...] = ()


class Run(_Record):
    """Everything one command found, with what is needed to rerun it.

    Findings come in the order in which they matter; the tap of the first one is the tap under
    audit, of which the report's headline speaks.
    """

    schema_version: Literal["1"] = SCHEMA_VERSION
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
    comments: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _finding_ids_are_unique(self) -> "Run":
        seen: set[str] = set()
        for finding in self.findings:
            if finding.id in seen:
                raise ValueError(f"two findings have the id {finding.id}")
            seen.add(finding.id)
        return self


def write_run(run: Run, folder: Path) -> Path:
    """Writes `folder/findings.json`, checked against the published schema, whole or not at all.

    Returns the file's path. Raises ReportError when the run does not fit the schema or the folder
    cannot be written.
    """
    path = folder / FILE_NAME
    document = run.model_dump(mode="json")
    try:
        text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    except ValueError as error:
        raise ReportError(
            f"{path} was not written: a figure is not finite; give it as None ({error})"
        ) from error
    _check_against_schema(document, f"{path} was not written: the run")
    write_whole(path, text.encode())
    return path


def read_run(folder: Path) -> Run:
    """Reads and checks `folder/findings.json`. Raises ReportError, one line, when it cannot."""
    path = folder / FILE_NAME
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ReportError(
                f"{path} is larger than {MAX_FILE_BYTES // 2**20} MB and was not read; "
                "give the folder of a run made by esrt-privacy"
            )
        text = path.read_bytes().decode()
    except FileNotFoundError as error:
        raise ReportError(
            f"{path} does not exist; give the folder of a run made by esrt-privacy"
        ) from error
    except OSError as error:
        raise ReportError(
            f"{path} cannot be read ({error.strerror}); check its permissions"
        ) from error
    except UnicodeDecodeError as error:
        raise ReportError(f"{path} is damaged: not UTF-8 text; run the audit again") from error
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ReportError(
            f"{path} is damaged: not JSON ({_one_line(str(error))}); run the audit again"
        ) from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version is None:
        raise ReportError(f"{path} is no findings file; give the folder of an esrt-privacy run")
    if version != SCHEMA_VERSION:
        raise ReportError(
            f"{path} has schema version {_one_line(repr(version))}, this program reads "
            f"{SCHEMA_VERSION}; use the version of esrt-privacy that wrote it"
        )
    _check_against_schema(document, str(path))
    try:
        return Run.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the run"
        raise ReportError(
            f"{path} does not fit: {_one_line(where)}: {_one_line(first['msg'])}; "
            "run the audit again"
        ) from error


def schema_text() -> str:
    """The JSON schema of `findings.json` as the models give it; the shipped file is this text."""
    return schemas.schema_text(Run, "esrt-privacy findings, version 1")


def shipped_schema() -> dict[str, Any]:
    """The published schema, as shipped in the package."""
    return schemas.shipped("reports", "findings-1.json")


def make_folder(out: Path) -> None:
    """Make the folder for a report before hours of work, not after. Raises ReportError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(
            f"{out}: cannot hold the report ({error.strerror}); give another folder as --out"
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all; the old one stays until then. Raises ReportError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        if partial.exists():
            partial.unlink()
        raise ReportError(
            f"{path} cannot be written ({error.strerror}); give another folder or free some space"
        ) from error


def _check_against_schema(document: object, subject: str) -> None:
    found = schemas.misfit(document, shipped_schema())
    if found is not None:
        where, why = found
        raise ReportError(
            f"{subject} does not fit the findings schema: {_one_line(where or 'the file')}: "
            f"{_one_line(why)}; run the audit again"
        )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _one_line(text: str, limit: int = 160) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
