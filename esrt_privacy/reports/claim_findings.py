"""The rule of claims that findings test: what refutes a sentence, and what bounds it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from esrt_privacy.findings import Finding, Run
from esrt_privacy.reports import wording
from esrt_privacy.reports.claim_arithmetic import ClaimFigure
from esrt_privacy.reports.claims import FindingsTest, Part, Selector

MOST_NAMED = 3  # findings in a reason; the ids tell the rest
LEAST_DIGITS = 16  # of a fingerprint that is given shortened


class Judgement(NamedTuple):
    """A verdict on what was run, before it is held against the systems that a claim speaks of."""

    word: Literal["refuted", "not refuted", "untested"]
    reason: str
    bound: str = ""
    finding_ids: tuple[str, ...] = ()
    figures: tuple[ClaimFigure, ...] = ()


def audited_systems(run: Run) -> tuple[str, ...]:
    """Systems with findings, in the run's order; the run's own name where there is none."""
    return tuple(dict.fromkeys(finding.system for finding in run.findings)) or (run.system,)


def about_findings(
    test: FindingsTest, run: Run, system: str, fingerprints: Sequence[str] = ()
) -> Judgement:
    """What the findings on one system say of a sentence.

    One leak that contradicts it, in any of its parts, refutes it. It stands, with its bound, only where every part is
    bounded. Anything else leaves it untested. With `fingerprints`, only findings on such tensors count.
    """
    own = [finding for finding in run.findings if finding.system == system]
    tap = own[0].tap if own else ""
    known = [finding for finding in own if _has_one_of(finding, fingerprints)]
    if own and not known:
        return Judgement("untested", f"{wording.plain(system)}: its tensors are not those meant.")
    states = [_State(part, known, tap) for part in test.parts]
    where = f"{wording.plain(system)} at {wording.plain(tap)}" if own else wording.plain(system)
    contradicting = [(state.part.name, state.contradicting) for state in states]
    if any(findings for _, findings in contradicting):
        return _judgement("refuted", f"Refuted on {where}", contradicting)
    if all(state.bounded for state in states):
        bounding = [(state.part.name, state.bounding) for state in states]
        judged = _judgement("not refuted", f"Not detected on {where}", bounding)
        return judged._replace(
            reason=f"{judged.reason} This bounds the attackers that were run and no other.",
            bound="; ".join(bound_words(f) for f in _once(f for _, fs in bounding for f in fs)),
        )
    looked_at = [(state.part.name, state.selected) for state in states]
    why = "; ".join(state.why_open() for state in states if not state.bounded)
    judged = _judgement("untested", "", looked_at)
    return judged._replace(reason=f"Open on {where}: {why}.")


class _State:
    """What findings say of one part of a sentence."""

    def __init__(self, part: Part, findings: Sequence[Finding], tap: str) -> None:
        self.part = part
        self._findings = findings
        self._tap = tap
        refuting = [
            (selector, finding)
            for selector in part.refuted_by
            for finding in findings
            if selector.selects(finding, tap)
        ]
        leaks = [(s, f) for s, f in refuting if f.verdict == "leaks"]
        self.contradicting = _once(f for s, f in leaks if contradicts(s, f))
        self._short = _once(f for s, f in leaks if not contradicts(s, f))
        found = [[f for f in findings if s.selects(f, tap)] for s in part.bounded_by]
        self.selected = _once([*(f for _, f in refuting), *(f for each in found for f in each)])
        self.bounding = _once(f for each in found for f in each if f.verdict == "not detected")
        # A leak that falls short of contradicting is no bound either.
        self.bounded = not any(f.verdict == "leaks" for f in self.selected) and all(
            any(f.verdict == "not detected" for f in each) for each in found
        )

    def why_open(self) -> str:
        """Why this part is neither refuted nor bounded."""
        if self._short:
            return f"{self.part.name}: leaks, but not as far as would contradict it ({_named(self._short)})"
        return f"{self.part.name}: " + ", ".join(
            dict.fromkeys(self._missing(selector) for selector in self.part.bounded_by)
        )

    def _missing(self, selector: Selector) -> str:
        found = [f for f in self._findings if selector.selects(f, self._tap)]
        if found:
            words = dict.fromkeys(f.verdict for f in found)
            return f"{selector.says()} is {' and '.join(words)}"
        unmeasured = [
            finding
            for finding in self._findings
            if finding.attack == selector.attack == finding.metric
        ]
        if unmeasured:
            return f"{selector.attack} could not be measured"
        return f"{selector.says()} was not run"


def contradicts(selector: Selector, finding: Finding) -> bool:
    """Whether a leak goes as far as its selector asks: with the end of its interval that is nearer to chance."""
    if selector.reaches is None:
        return True
    if finding.leaks_when == "higher":
        low = finding.estimate.low
        return low is not None and low >= selector.reaches
    high = finding.estimate.high
    return high is not None and high <= selector.reaches


def bound_words(finding: Finding) -> str:
    """What a finding that detected nothing bounds, in words: "speaker EER not below 44.1%"."""
    higher = finding.leaks_when == "higher"
    end = finding.estimate.high if higher else finding.estimate.low
    side = "above" if higher else "below"
    return (
        f"{wording.plain(finding.metric)} not {side} {wording.figure(end, finding.unit)}"
        f" ({finding.attacker})"
    )


def _judgement(
    word: Literal["refuted", "not refuted", "untested"],
    where: str,
    parts: Sequence[tuple[str, Sequence[Finding]]],
) -> Judgement:
    """What was found, by the parts of the sentence; the first few findings of each in full."""
    findings = _once(finding for _, each in parts for finding in each)
    told = "; ".join(f"{name}: {_named(each)}" for name, each in parts if each)
    return Judgement(
        word,
        f"{where}: {told}.",
        "",
        tuple(finding.id for finding in findings),
        tuple(
            ClaimFigure(
                name=f"{finding.metric}, {finding.attack} by {finding.attacker}",
                value=finding.estimate.value,
                low=finding.estimate.low,
                high=finding.estimate.high,
                unit=finding.unit,
                source=finding.id,
            )
            for finding in findings
        ),
    )


def _named(findings: Sequence[Finding]) -> str:
    told = ", ".join(_figure_words(finding) for finding in findings[:MOST_NAMED])
    more = len(findings) - MOST_NAMED
    return f"{told}, and {more} more" if more > 0 else told


def _figure_words(finding: Finding) -> str:
    value = wording.with_bounds(finding.estimate, finding.unit)
    return f"{wording.plain(finding.metric)} {value} by the {finding.attacker} attacker"


def _has_one_of(finding: Finding, fingerprints: Sequence[str]) -> bool:
    own = finding.system_fingerprint
    return not fingerprints or any(
        own == each or (len(each) >= LEAST_DIGITS and own.startswith(each)) for each in fingerprints
    )


def _once(findings: Iterable[Finding]) -> list[Finding]:
    return list({finding.id: finding for finding in findings}.values())
