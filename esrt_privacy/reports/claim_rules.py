"""From findings and records to a verdict on each claim.

A verdict names its system: what a sentence says of ESRT-4B stays untested until ESRT-4B was run, and what was found on
another system stands beside it as such. Findings that are inconclusive or invalid neither refute nor support.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, assert_never

from pydantic import Field

from esrt_privacy.bandwidth.record import Bandwidth
from esrt_privacy.evaluation.profile_record import Profile
from esrt_privacy.findings import Run
from esrt_privacy.findings.fields import Record
from esrt_privacy.reports.claim_arithmetic import ClaimFigure
from esrt_privacy.reports.claim_findings import (
    MOST_NAMED,
    Judgement,
    about_findings,
    audited_systems,
)
from esrt_privacy.reports.claim_records import about_identifiers, about_profile, about_sizes
from esrt_privacy.reports.claims import (
    ArithmeticTest,
    Claim,
    FindingsTest,
    IdentifierTest,
    Kind,
    NoTest,
    ProfileTest,
    SmallerTest,
)
from esrt_privacy.systems.registry import RELEASED

ClaimWord = Literal[
    "refuted", "not refuted", "untested", "arithmetic holds", "arithmetic does not hold"
]


class Evidence(Record):
    """What is known beside a run: records of bandwidth and of resources, where there are any."""

    bandwidth: Bandwidth | None = None
    profile: Profile | None = None


class ClaimVerdict(Record):
    """What came out for one claim, on one audited system.

    `verdict` is about the systems that the claim speaks of, `run_verdict` about `run_system`, which was run; both
    agree where that is one of them. Arithmetic has no `run_system`. `bound`, `finding_ids` and `figures` belong to the
    run's verdict; for `untested`, ids are those of findings that were looked at and decide nothing.
    """

    claim: str
    section: str
    sentence: str
    kind: Kind
    about: str = Field(description="Systems that the claim speaks of")
    verdict: ClaimWord
    run_system: str | None = Field(default=None, description="What was run or measured")
    run_verdict: ClaimWord | None = None
    reason: str
    bound: str = Field(default="", description="Empty unless something is not refuted")
    finding_ids: tuple[str, ...] = ()
    figures: tuple[ClaimFigure, ...] = ()
    why: str = Field(description="Why this test decides the sentence")
    remark: str = Field(default="", description="What a reader must know beside the sentence")


def verdicts(claims: Sequence[Claim], run: Run, evidence: Evidence) -> tuple[ClaimVerdict, ...]:
    """A verdict for each claim, in order; one for each audited system where findings decide."""
    return tuple(verdict for claim in claims for verdict in _verdicts(claim, run, evidence))


def _verdicts(claim: Claim, run: Run, evidence: Evidence) -> list[ClaimVerdict]:
    match claim.test:
        case FindingsTest() as test:
            return [
                _of(claim, about_findings(test, run, system, claim.fingerprints), system)
                for system in audited_systems(run)
            ]
        case SmallerTest() as test:
            judged = about_sizes(test, evidence.bandwidth)
            # A size follows from shape and precision: no checkpoint has to be run.
            return [_verdict(claim, judged, judged.word, "the tensor's shape and precision")]
        case IdentifierTest() as test:
            judged = about_identifiers(test, evidence.bandwidth)
            return [_of(claim, judged, "the feature cache of this toolkit")]
        case ProfileTest() as test:
            judged = about_profile(test, evidence.profile)
            return [_of(claim, judged, evidence.profile.model if evidence.profile else None)]
        case ArithmeticTest() as test:
            return [_of_arithmetic(claim, test)]
        case NoTest() as test:
            judged = Judgement("untested", f"Nothing tests it yet. Missing: {test.missing}")
            return [_verdict(claim, judged, "untested", None)]
        case _:
            assert_never(claim.test)


def _of(claim: Claim, judged: Judgement, system: str | None) -> ClaimVerdict:
    """The verdict counts for the claim's own systems only where one of them was run, and for that one alone."""
    if system is None or not speaks_of(claim, system):
        reason = f"Not run: {', '.join(claim.about)}. {judged.reason}"
        return _verdict(claim, judged._replace(reason=reason), "untested", system)
    others = [name for name in claim.about if not _is(system, name)]
    if others and judged.word != "untested":
        judged = judged._replace(reason=f"{judged.reason} Not run: {', '.join(others)}.")
    verdict = _verdict(claim, judged, judged.word, system)
    return verdict.model_copy(update={"about": system})


def speaks_of(claim: Claim, system: str) -> bool:
    """Whether a claim is about the system of that name: its own, or that of its released checkpoint."""
    return any(_is(system, name) for name in claim.about)


def _is(system: str, name: str) -> bool:
    """Whether a run calls the system of that name so; after an @ stands a revision."""
    called = {name.casefold(), RELEASED.get(name.casefold(), name).casefold()}
    return system.partition("@")[0].casefold() in called


def _verdict(
    claim: Claim, judged: Judgement, word: ClaimWord, run_system: str | None
) -> ClaimVerdict:
    return ClaimVerdict(
        claim=claim.id,
        section=claim.section,
        sentence=claim.sentence,
        kind=claim.kind,
        about=", ".join(claim.about),
        verdict=word,
        run_system=run_system,
        run_verdict=None if run_system is None else judged.word,
        reason=judged.reason,
        bound=judged.bound,
        finding_ids=judged.finding_ids,
        figures=judged.figures,
        why=claim.why,
        remark=claim.remark,
    )


def _of_arithmetic(claim: Claim, test: ArithmeticTest) -> ClaimVerdict:
    computed = test.arithmetic.compute()
    word: ClaimWord = "arithmetic holds" if computed.holds else "arithmetic does not hold"
    compared = computed.wrong or tuple(f for f in computed.figures if f.printed is not None)
    told = [
        f"{figure.name}: {_number(figure.value)}{_unit(figure.unit)} ({figure.source}),"
        f" printed {_number(figure.printed)}{_unit(figure.unit)}"
        for figure in compared[:MOST_NAMED]
    ]
    if len(compared) > MOST_NAMED:
        told.append(f"and {len(compared) - MOST_NAMED} more")
    judged = Judgement("untested", "; ".join(told) + ".", figures=computed.figures)
    return _verdict(claim, judged, word, None)


def _number(value: float | None) -> str:
    return "not computed" if value is None else f"{value:,.6g}"


def _unit(unit: str) -> str:
    return unit if unit in ("", "%", "×") else f" {unit}"
