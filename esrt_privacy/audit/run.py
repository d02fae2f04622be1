"""A plan, run: captures first, then every part that is not yet answered, then one judgement over all findings."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from esrt_privacy import __version__
from esrt_privacy.attacks.families import (
    MODULES,
    RECONSTRUCTION,
    budget_points,
    family_module,
    length_points,
    trial_lists,
)
from esrt_privacy.audit.parts import Part, answers_path
from esrt_privacy.audit.pictures import pictured
from esrt_privacy.audit.plan import PlannedAttack
from esrt_privacy.audit.prepared import AuditRequest, Prepared, prepare
from esrt_privacy.audit.record import DEMO_IS_SYNTHETIC, Done, versions
from esrt_privacy.errors import AttackError, EsrtPrivacyError
from esrt_privacy.progress import Reporter, silent

if TYPE_CHECKING:
    from esrt_privacy.attacks.drafts import Draft
    from esrt_privacy.attacks.families import FamilyModule
    from esrt_privacy.audit.reconstruction import ReconstructionRequest
    from esrt_privacy.findings import Attacker, BudgetPoint, Example, Finding, Lengths, Run

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


def run_audit(request: AuditRequest, report: Reporter = silent) -> Done:
    """Run a plan, and write findings.json, replicates.safetensors and report.html to the request's folder.

    What an earlier run of the same request has answered is not asked again. Raises one of the package's errors, in one
    line, where the request cannot be carried out; an attack that the data cannot answer becomes an inconclusive finding
    that says why.
    """
    from esrt_privacy.attacks.draft_replicates import kept_replicates
    from esrt_privacy.audit.workers import run_parts
    from esrt_privacy.findings import make_folder, write_run
    from esrt_privacy.replicates import write_replicates
    from esrt_privacy.reports.build import build_report

    make_folder(request.out)
    _require_attackers(request)
    prepared = [prepare(request, name, report) for name in request.plan.systems]
    parts = _parts(request, prepared)
    missing = [part for part in parts if not part.answers.exists()]
    jobs = request.jobs or os.cpu_count() or 1
    targets = [each.target for each in prepared]
    failures = run_parts(missing, targets, jobs, report) if missing else {}
    found = Found()
    for place, each in enumerate(prepared):
        for number, attack in enumerate(request.plan.attacks):
            if attack.name == RECONSTRUCTION:
                _hear(request, each, (place, number), attack, found, report)
            else:
                own = [p for p in parts if (p.target, p.family) == (place, attack.name)]
                _draw_up(request, each, (place, number), attack, own, failures, found, report)
    report("writing the report", 0, 1)
    run = _run(request, prepared, found)
    write_replicates(kept_replicates(draft for _, draft in found.drafts), request.out)
    write_run(run, request.out)
    page = build_report(run, request.out).page
    report("writing the report", 1, 1)
    return Done(run, page, run.corpus.notes)


def _require_attackers(request: AuditRequest) -> None:
    for attack in request.plan.attacks:
        if attack.name == RECONSTRUCTION:
            continue
        known = family_module(attack.name).FAMILY.attackers
        unknown = [name for name in attack.attackers or () if name not in known]
        if unknown:
            raise AttackError(
                f"{attack.name} knows no attacker '{unknown[0]}'; it knows {', '.join(known)}"
            )


def _parts(request: AuditRequest, prepared: Sequence[Prepared]) -> list[Part]:
    """Every attack at every tap that it reads, with every seed; nothing where the corpus lacks its labels."""
    parts = []
    for place, each in enumerate(prepared):
        for attack in request.plan.attacks:
            if attack.name == RECONSTRUCTION:
                continue
            module = family_module(attack.name)
            if _missing_label(module, each):
                continue
            taps = dict.fromkeys([*each.taps[attack.name], *module.FAMILY.taps])
            for tap in (tap for tap in taps if tap in each.target.captures):
                inputs = each.target.inputs([tap, *module.FAMILY.taps])
                for seed in request.plan.seeds_of(attack):
                    path = answers_path(request.out, module, inputs, tap, seed)
                    parts.append(Part(place, attack.name, MODULES[attack.name], tap, seed, path))
    return parts


def _missing_label(module: FamilyModule, each: Prepared) -> str:
    """Why a family cannot be asked of this corpus at all; empty where it can."""
    tests = each.target.tests
    for label in module.FAMILY.needs:
        if not any(getattr(u, label) for u in tests):
            return (
                f"{tests.name}: no utterance has a {label}, so {module.FAMILY.name} cannot be asked"
            )
    return ""


def _draw_up(
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
    reasons = [_missing_label(module, each), *(failures.get(part, "") for part in parts)]
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
            prefix = _prefix(request, each)
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


def _hear(
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
        prefix = _prefix(request, each)
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
        id=f"{_prefix(request, each)}{attack}.{_slug(tap)}",
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


def _run(request: AuditRequest, prepared: Sequence[Prepared], found: Found) -> Run:
    from esrt_privacy.attacks.drafts import judged
    from esrt_privacy.findings import AuditedCorpus, Run

    plan, tests = request.plan, prepared[0].target.tests
    findings = judged([draft for _, draft in found.drafts])
    places = [place for place, _ in found.drafts]
    rows = [*zip(places, findings, strict=True), *found.unanswered]
    fingerprints = {"corpus": tests.fingerprint}
    for each in prepared:
        prefix = _prefix(request, each)
        fingerprints |= {f"{prefix}{name}": value for name, value in each.fingerprints.items()}
    notes = dict.fromkeys(n for each in prepared for n in (*each.target.tests.notes, *each.notes))
    ordered = [draft for _, draft in sorted(found.drafts, key=lambda row: row[0])]
    drawn = pictured(ordered, found.lengths)
    comments = [f"plan: {plan.title}", *found.comments, *drawn.comments]
    if "demo" in {u.corpus for u in tests}:
        comments.append(DEMO_IS_SYNTHETIC)
    return Run(
        tool_version=__version__,
        created=datetime.now(UTC),
        command=request.command or shlex.join(sys.argv),
        system=", ".join(each.target.system for each in prepared),
        corpus=AuditedCorpus(
            name=tests.name,
            fingerprint=tests.fingerprint,
            utterances=len(tests),
            speakers=len(tests.speakers),
            notes=tuple(notes),
        ),
        fingerprints=fingerprints | found.fingerprints,
        seeds={"audit": plan.seed} | {f"training {seed}": seed for seed in plan.seeds},
        versions=versions(),
        findings=tuple(finding for _, finding in sorted(rows, key=lambda row: row[0])),
        examples=tuple(found.examples),
        budget=tuple(dict.fromkeys(found.budget)),
        det_curves=drawn.det_curves,
        confusions=drawn.confusions,
        lengths=drawn.lengths,
        comments=tuple(dict.fromkeys(comments)),
    )


def _place(place: tuple[int, int], each: Prepared, tap: str) -> tuple[int, int, int]:
    """Where a finding stands: by system, then tap (those under audit first), then attack."""
    rank = each.order.index(tap) if tap in each.order else len(each.order)
    return place[0], rank, place[1]


def _prefixed(request: AuditRequest, each: Prepared, draft: Draft) -> Draft:
    finding = draft.finding
    name = f"{_prefix(request, each)}{finding.id}"
    return replace(draft, finding=finding.model_copy(update={"id": name}))


def _of_system(
    request: AuditRequest, each: Prepared, points: Sequence[BudgetPoint]
) -> list[BudgetPoint]:
    """Points that name their system, where the plan has several."""
    name = each.target.system if len(request.plan.systems) > 1 else ""
    return [point.model_copy(update={"system": name}) for point in points]


def _prefix(request: AuditRequest, each: Prepared) -> str:
    """Before the ids of a system's findings, where the plan has several systems."""
    return f"{_slug(each.target.system)}." if len(request.plan.systems) > 1 else ""


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "system"
