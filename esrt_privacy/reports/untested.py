"""What was not tested and why: attackers, positions and questions that nothing here speaks of.

A reader who is not told what was left out takes a report for more than it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from esrt_privacy.findings import ATTACKERS, POSITIONS, Run
from esrt_privacy.findings.fields import Named, Record
from esrt_privacy.reports.answer import REBUILT, SUBJECTS, listed
from esrt_privacy.reports.claim_rules import ClaimVerdict
from esrt_privacy.reports.wording import plain

MOST_REASONS = 12  # attacks that could not be measured, each with its reason


class Untested(Record):
    """One thing that the run does not speak of."""

    what: Named
    why: Named = Field(description="As far as the run tells it")


def untested(run: Run, claims: Sequence[ClaimVerdict]) -> tuple[Untested, ...]:
    """Questions, attackers, positions and taps without an answer, then claims that nothing could decide."""
    return (*_questions(run), *_unmeasured(run), *_failed(run), *_who(run), *_claims(claims))


def _questions(run: Run) -> list[Untested]:
    asked = {finding.attack for finding in run.findings}
    return [
        Untested(what=f"{subject} ({name})", why="This attack was no part of the run.")
        for name, subject in (SUBJECTS | REBUILT).items()
        if name not in asked
    ]


def _unmeasured(run: Run) -> list[Untested]:
    reasons = dict.fromkeys(
        (f"{plain(f.attack)} at {plain(f.tap)} of {plain(f.system)}", plain(f.reason))
        for f in run.findings
        if f.estimate.value is None
    )
    told = [Untested(what=what, why=why) for what, why in list(reasons)[:MOST_REASONS]]
    if len(reasons) > MOST_REASONS:
        told.append(
            Untested(
                what=f"{len(reasons) - MOST_REASONS} further measures",
                why="They could not be measured; the table of findings tells why.",
            )
        )
    return told


def _failed(run: Run) -> list[Untested]:
    failed = dict.fromkeys(
        f"{plain(f.attack)} at {plain(f.tap)}" for f in run.findings if f.verdict == "invalid"
    )
    if not failed:
        return []
    return [
        Untested(
            what=listed(list(failed)[:MOST_REASONS]),
            why="The attack failed its control, so it says nothing of the system, good or bad.",
        )
    ]


def _who(run: Run) -> list[Untested]:
    attackers = {finding.attacker for finding in run.findings}
    positions = {finding.position for finding in run.findings}
    left = [name for name in ATTACKERS if name not in attackers]
    elsewhere = [name for name in POSITIONS if name not in positions]
    told = []
    if left:
        told.append(Untested(what=f"attackers: {listed(left)}", why="None of them was run."))
    if elsewhere:
        told.append(
            Untested(
                what=f"attackers who stand elsewhere: {listed(elsewhere)}",
                why="No finding is about what can be seen from there.",
            )
        )
    return told


def _claims(claims: Sequence[ClaimVerdict]) -> list[Untested]:
    """One row a claim, with the reason on the first system; the page has those on the others."""
    undecided: dict[str, list[ClaimVerdict]] = {}
    for claim in claims:
        undecided.setdefault(claim.claim, []).append(claim)
    return [
        Untested(what=f"claim: {plain(own[0].sentence)}", why=plain(own[0].reason))
        for own in undecided.values()
        if all(c.verdict == "untested" and c.run_verdict in (None, "untested") for c in own)
    ]
