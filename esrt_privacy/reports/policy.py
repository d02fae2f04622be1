"""A policy: what a run must reach to pass a gate, as a TOML file; and its answer to a run.

A gate that checks nothing must not pass. A rule fails where no finding answers it, where a figure could not be
measured, and where the attack failed its control, unless the rule itself says otherwise.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from esrt_privacy.errors import PolicyError, shown
from esrt_privacy.findings import Attacker, Finding, Interval, Run, Verdict
from esrt_privacy.findings.fields import Record
from esrt_privacy.reports.claims import WIRE, Selector

MAX_FILE_BYTES = 256 * 1024
MOST_RULES = 500
GATE_FAILED = 3  # exit code: the run was read, and it does not meet the policy

Name = Annotated[str, Field(min_length=1, max_length=200)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Bound = Literal["low", "value", "high"]


class Rule(Record):
    """What the figures that a rule is about must reach.

    Findings are chosen by attack, metric and tap, and where given by attacker, system and slug (the end of the id);
    each of them must meet the rule. Limits are in the finding's unit: 30 for 30%.
    """

    name: Name | None = None
    attack: Name
    metric: Name
    tap: Name = WIRE  # the tap under audit: that of a system's first finding
    attacker: Attacker | None = None
    system: Name | None = None
    slug: Name | None = None
    bound: Bound = "value"  # which end of the interval
    at_least: Number | None = None
    at_most: Number | None = None
    unit: Name | None = None  # said where a limit below 1 is meant in %
    required: bool = True  # fails where no finding answers it
    allow_invalid: bool = False  # the figure counts though the attack failed its control

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give at_least or at_most, one of them")
        return self

    def wanted(self, unit: str = "") -> str:
        """ "low end ≥ 30%", the limit as it is written."""
        end = "value" if self.bound == "value" else f"{self.bound} end"
        sign, limit = ("≥", self.at_least) if self.at_least is not None else ("≤", self.at_most)
        gap = "" if unit in ("", "%") else " "
        return f"{end} {sign} {limit:g}{gap}{unit}"

    @property
    def asked(self) -> Selector:
        """Which findings it is about, but for the system."""
        return Selector(
            attack=self.attack,
            metric=self.metric,
            tap=self.tap,
            attacker=self.attacker,
            slug=self.slug,
        )

    def selects(self, finding: Finding, audited_tap: str) -> bool:
        """Whether the rule is about a finding."""
        return self.system in (None, finding.system) and self.asked.selects(finding, audited_tap)

    def holds(self, value: float) -> bool:
        """Whether a value is within the limit."""
        if self.at_least is not None:
            return value >= self.at_least
        return self.at_most is not None and value <= self.at_most


class VerdictRule(Record):
    """Verdicts that must not occur, at one tap or, without it, anywhere."""

    forbidden: Annotated[tuple[Verdict, ...], Field(min_length=1, max_length=5)]
    tap: Name | None = None


class Policy(Record):
    """The rules of a gate; at least one."""

    title: Annotated[str, Field(max_length=200)] = ""
    rule: Annotated[tuple[Rule, ...], Field(max_length=MOST_RULES)] = ()
    verdicts: VerdictRule | None = None

    @model_validator(mode="after")
    def _checks_something(self) -> Self:
        if not self.rule and self.verdicts is None:
            raise ValueError("a policy needs a [[rule]] or [verdicts]: it would pass everything")
        return self


class Checked(Record):
    """What one rule says of one finding, or of none."""

    rule: str
    finding: str | None  # its id
    subject: str  # system and tap
    estimate: Interval | None
    unit: str
    wanted: str
    passed: bool
    reason: str


class GateResult(Record):
    """A policy's answer to a run; it passes where every line does."""

    title: str
    system: str
    corpus: str
    lines: tuple[Checked, ...]

    @property
    def passed(self) -> bool:
        """Whether every rule is met."""
        return all(line.passed for line in self.lines)


def read_policy(path: Path) -> Policy:
    """Read and check a policy. Raises PolicyError, one line, when it cannot."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise PolicyError(
                f"{path}: too long for a policy (at most {MAX_FILE_BYTES // 1024} kB)"
            )
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: cannot be read as a policy ({shown(error)})") from error
    try:
        return Policy.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PolicyError(f"{path}: not TOML ({shown(error)})") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the policy"
        raise PolicyError(f"{path}: {shown(place, 80)}: {shown(first['msg'])}") from error


def check_run(run: Run, policy: Policy) -> GateResult:
    """Hold every rule against a run.

    Raises PolicyError where a rule's limit cannot be meant in the finding's unit.
    """
    lines: list[Checked] = []
    for number, rule in enumerate(policy.rule, 1):
        lines += _checked(run, rule, rule.name or f"rule {number}")
    if policy.verdicts is not None:
        lines += _verdicts(run, policy.verdicts)
    return GateResult(
        title=policy.title, system=run.system, corpus=run.corpus.name, lines=tuple(lines)
    )


def audited_taps(run: Run) -> dict[str, str]:
    """The tap under audit of each system: that of its first finding (see `findings.Run`)."""
    taps: dict[str, str] = {}
    for finding in run.findings:
        taps.setdefault(finding.system, finding.tap)
    return taps


def _checked(run: Run, rule: Rule, name: str) -> Iterator[Checked]:
    taps = audited_taps(run)
    found = [f for f in run.findings if rule.selects(f, taps[f.system])]
    if not found:
        yield Checked(
            rule=name,
            finding=None,
            subject=f"{rule.asked.says()} at {rule.tap}",
            estimate=None,
            unit="",
            wanted=rule.wanted(rule.unit or ""),
            passed=not rule.required,
            reason="no finding answers this rule"
            + ("" if rule.required else ", and it is not required"),
        )
    for finding in found:
        _require_meant(rule, name, finding)
        passed, reason = _held(rule, finding)
        yield Checked(
            rule=name,
            finding=finding.id,
            subject=_subject(finding),
            estimate=finding.estimate,
            unit=finding.unit,
            wanted=rule.wanted(finding.unit),
            passed=passed,
            reason=reason,
        )


def _subject(finding: Finding) -> str:
    return (
        f"{finding.metric} of the {finding.attacker} {finding.attack} attack at {finding.tap} of"
        f" {finding.system}"
    )


def _held(rule: Rule, finding: Finding) -> tuple[bool, str]:
    if finding.verdict in ("invalid", "untested") and not rule.allow_invalid:
        return False, f"its verdict is {finding.verdict}: the figure bounds nothing"
    value = getattr(finding.estimate, rule.bound)
    if value is None:
        what = "value" if rule.bound == "value" else f"{rule.bound} end of an interval"
        return False, f"there is no {what}: {finding.estimate.method or 'not measured'}"
    return rule.holds(value), "; ".join(_remarks(rule, finding))


def _remarks(rule: Rule, finding: Finding) -> Iterator[str]:
    """What a reader of the table should know of a rule that asks for little."""
    if rule.bound == ("high" if rule.at_least is not None else "low"):
        yield "judged by the end of the interval that is easier to meet"
    if (rule.at_least is not None) == (finding.leaks_when == "higher"):
        yield f"{finding.leaks_when} means more leakage here, and the rule asks for it"


def _require_meant(rule: Rule, name: str, finding: Finding) -> None:
    """Refuses limits that would be met, or missed, for their unit alone."""
    limit = rule.at_least if rule.at_least is not None else rule.at_most
    if rule.unit is not None and rule.unit != finding.unit:
        raise PolicyError(
            f"{shown(name, 80)}: unit is {shown(rule.unit, 20)}, but {finding.id} is in"
            f" {shown(finding.unit or 'plain numbers', 20)}"
        )
    if rule.unit is None and finding.unit == "%" and limit is not None and 0 < abs(limit) < 1:
        raise PolicyError(
            f"{shown(name, 80)}: {finding.id} is in %, and the limit is {limit:g}; write {100 * limit:g} for"
            f' {100 * limit:g}%, or add unit = "%" if {limit:g}% is meant'
        )


def _verdicts(run: Run, rule: VerdictRule) -> Iterator[Checked]:
    """A line for each finding with a forbidden verdict; one for all where there is none."""
    taps = audited_taps(run)
    asked = [
        f
        for f in run.findings
        if rule.tap is None or f.tap == (taps[f.system] if rule.tap == WIRE else rule.tap)
    ]
    wanted = f"no verdict {' or '.join(rule.forbidden)}"
    where = "all taps" if rule.tap is None else rule.tap
    bad = [f for f in asked if f.verdict in rule.forbidden]
    if not bad:
        yield Checked(
            rule="verdicts",
            finding=None,
            subject=f"{len(asked)} findings at {where}",
            estimate=None,
            unit="",
            wanted=wanted,
            passed=bool(asked),
            reason="" if asked else "there are no findings there",
        )
    for finding in bad:
        yield Checked(
            rule="verdicts",
            finding=finding.id,
            subject=_subject(finding),
            estimate=finding.estimate,
            unit=finding.unit,
            wanted=wanted,
            passed=False,
            reason=f"{finding.verdict}: {finding.reason}",
        )
