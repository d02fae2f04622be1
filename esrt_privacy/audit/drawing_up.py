"""One attack on one system, drawn up: drafts, pictures and lists from its answers on disk, or why there are none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from esrt_privacy.attacks.families import (
    RECONSTRUCTION,
    budget_points,
    family_module,
    length_points,
    trial_lists,
)
from esrt_privacy.audit.parts import Part
from esrt_privacy.audit.plan import PlannedAttack
from esrt_privacy.audit.prepared import AuditRequest, Prepared
from esrt_privacy.errors import EsrtPrivacyError
from esrt_privacy.progress import Reporter

if TYPE_CHECKING:
    from esrt_privacy.attacks.drafts import Draft
    from esrt_privacy.attacks.families import FamilyModule
    from esrt_privacy.audit.reconstruction import ReconstructionRequest
    from esrt_privacy.findings import Attacker, BudgetPoint, Example, Finding, Lengths

TRIALS = "trials"  # the folder of lists, one each by the first 16 digits of its fingerprint
BY_EAR_QUESTION = "Can intercepted tensors be turned back into speech?"


@dataclass
class Found:
    """What is gathered on the way to the report. A figure's place is (system, tap, attack)."""

    drafts: list[tuple[tuple[int, int, int], Draft]] = field(default_factory=list)
    unanswered: list[tuple[tuple[int, int, int], Finding]] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    budget: list[BudgetPoint] = field(default_factory=list)
    lengths: list[Lengths] = field(default_factory=list)
    fingerprints: dict[str, str] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)


def draw_up(
    request: AuditRequest,
    each: Prepared,
    place: tuple[int, int],
    attack: PlannedAttack,
    parts: Sequence[Part],
    failures: Mapping[Part, str],
    found: Found,
    report: Reporter,
) -> None:
    """One family's figures on one system, or why there are none."""
    from esrt_privacy.attacks.answers import Answers

    module = family_module(attack.name)
    reasons = [missing_label(module, each), *(failures.get(part, "") for part in parts)]
    reasons = [reason for reason in dict.fromkeys(reasons) if reason]
    report(f"drawing up {attack.name}", 0, 1)
    if not reasons:
        inputs = each.target.inputs([*each.taps[attack.name], *module.FAMILY.taps])
        answers = {(part.tap, part.seed): Answers.load(part.answers) for part in parts}
        try:
            drafts = module.drafts(inputs, answers)
            for listed in trial_lists(module, inputs, answers):
                listed.save(request.out / TRIALS / listed.fingerprint[:16])
                found.fingerprints[f"{TRIALS}/{listed.fingerprint[:16]}"] = listed.fingerprint
            found.budget += _of_system(request, each, budget_points(module, inputs, answers))
            prefix = prefix_of(request, each)
            found.lengths += [
                pairs.model_copy(update={"finding": f"{prefix}{pairs.finding}"})
                for pairs in length_points(module, inputs, answers)
            ]
            found.drafts += [
                (_place(place, each, draft.finding.tap), _prefixed(request, each, draft))
                for draft in drafts
                if attack.attackers is None or draft.finding.attacker in attack.attackers
            ]
        except EsrtPrivacyError as error:
            reasons.append(str(error))
    if reasons:
        family = module.FAMILY
        found.unanswered += [
            (
                _place(place, each, tap),
                _unanswered(
                    request, each, tap, attack.name, family.question, family.attackers[0], reasons
                ),
            )
            for tap in each.taps[attack.name]
        ]
    report(f"drawing up {attack.name}", 1, 1)


def hear(
    request: AuditRequest,
    each: Prepared,
    place: tuple[int, int],
    attack: PlannedAttack,
    found: Found,
    report: Reporter,
) -> None:
    """The reconstruction attack on one system: its figures, sounds and training curves."""
    from esrt_privacy.attacks.base import SEMI_INFORMED
    from esrt_privacy.audit import reconstruction as by_ear

    for tap in each.taps[RECONSTRUCTION]:
        prefix = prefix_of(request, each)
        try:
            attacked = by_ear.attack_by_ear(_by_ear_request(request, each, attack, tap), report)
        except EsrtPrivacyError as error:
            finding = _unanswered(
                *(request, each, tap, RECONSTRUCTION, BY_EAR_QUESTION, SEMI_INFORMED.name),
                [str(error)],
            )
            found.unanswered.append((_place(place, each, tap), finding))
            continue
        taken = {draft.finding.id for _, draft in found.drafts}
        for draft in attacked.findings.drafts():
            mine = _prefixed(request, each, draft)
            # The taps beside the audited one are heard again with the next.
            if mine.finding.id not in taken:
                found.drafts.append((_place(place, each, draft.finding.tap), mine))
        found.budget += _of_system(request, each, attacked.findings.budget())
        found.examples += by_ear.examples(
            attacked.outcome, request.out, f"audio/{prefix}{_slug(tap)}"
        )
        heard = by_ear.fingerprints(attacked)
        found.fingerprints |= {f"{prefix}heard, {name}": value for name, value in heard.items()}
        found.comments += by_ear.comments(attacked)


def _by_ear_request(
    request: AuditRequest, each: Prepared, attack: PlannedAttack, tap: str
) -> ReconstructionRequest:
    from esrt_privacy.audit.reconstruction import ReconstructionRequest

    plan = request.plan
    return ReconstructionRequest(
        system=each.asked,
        tap=tap,
        corpus=plan.corpus,
        train_corpus=None if each.shipped else plan.train_corpus or plan.corpus,
        budget=attack.training,
        out=request.out / "reconstruction" / f"{_slug(each.target.system)}-{_slug(tap)}",
        seed=plan.seed,
        utterances=attack.utterances,
        weights=request.weights,
        captures=request.captures,
        allow_remote_code=request.allow_remote_code,
    )


def _unanswered(
    request: AuditRequest,
    each: Prepared,
    tap: str,
    attack: str,
    question: str,
    attacker: Attacker,
    reasons: Sequence[str],
) -> Finding:
    """A question that the data could not answer: no figure, and why."""
    from esrt_privacy.findings import Finding, Interval

    target = each.target
    return Finding(
        id=f"{prefix_of(request, each)}{attack}.{_slug(tap)}",
        question=question,
        system=target.system,
        system_fingerprint=each.fingerprints.get(f"system at {tap}", "not captured"),
        corpus=target.tests.name,
        tap=tap,
        attacker=attacker,
        position="network plaintext",
        attack=attack,
        metric=attack,
        leaks_when="higher",
        estimate=Interval(value=None, method="undefined"),
        verdict="inconclusive",
        reason=f"{target.system} at {tap}, {attack}: not measured: {'; '.join(reasons)}",
        utterances=len(target.tests),
        speakers=len(target.tests.speakers),
    )


def missing_label(module: FamilyModule, each: Prepared) -> str:
    """Why a family cannot be asked of this corpus at all; empty where it can."""
    tests = each.target.tests
    for label in module.FAMILY.needs:
        if not any(getattr(u, label) for u in tests):
            return (
                f"{tests.name}: no utterance has a {label}, so {module.FAMILY.name} cannot be asked"
            )
    return ""


def _place(place: tuple[int, int], each: Prepared, tap: str) -> tuple[int, int, int]:
    """Where a finding stands: by system, then tap (those under audit first), then attack."""
    rank = each.order.index(tap) if tap in each.order else len(each.order)
    return place[0], rank, place[1]


def _prefixed(request: AuditRequest, each: Prepared, draft: Draft) -> Draft:
    finding = draft.finding
    name = f"{prefix_of(request, each)}{finding.id}"
    return replace(draft, finding=finding.model_copy(update={"id": name}))


def _of_system(
    request: AuditRequest, each: Prepared, points: Sequence[BudgetPoint]
) -> list[BudgetPoint]:
    """Points that name their system, where the plan has several."""
    name = each.target.system if len(request.plan.systems) > 1 else ""
    return [point.model_copy(update={"system": name}) for point in points]


def prefix_of(request: AuditRequest, each: Prepared) -> str:
    """Before the ids of a system's findings, where the plan has several systems."""
    return f"{_slug(each.target.system)}." if len(request.plan.systems) > 1 else ""


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "system"
