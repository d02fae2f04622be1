"""A plan, run: captures first, then every part that is not yet answered, then one judgement over all findings."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from esrt_privacy import __version__
from esrt_privacy.attacks.families import MODULES, RECONSTRUCTION, family_module
from esrt_privacy.audit.drawing_up import Found, draw_up, hear, missing_label, prefix_of
from esrt_privacy.audit.parts import Part, answers_path
from esrt_privacy.audit.pictures import pictured
from esrt_privacy.audit.prepared import AuditRequest, Prepared, prepare
from esrt_privacy.audit.record import DEMO_IS_SYNTHETIC, Done, versions
from esrt_privacy.errors import AttackError
from esrt_privacy.progress import Reporter, silent

if TYPE_CHECKING:
    from esrt_privacy.findings import Run


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
                hear(request, each, (place, number), attack, found, report)
            else:
                own = [p for p in parts if (p.target, p.family) == (place, attack.name)]
                draw_up(request, each, (place, number), attack, own, failures, found, report)
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
            if missing_label(module, each):
                continue
            taps = dict.fromkeys([*each.taps[attack.name], *module.FAMILY.taps])
            for tap in (tap for tap in taps if tap in each.target.captures):
                inputs = each.target.inputs([tap, *module.FAMILY.taps])
                for seed in request.plan.seeds_of(attack):
                    path = answers_path(request.out, module, inputs, tap, seed)
                    parts.append(Part(place, attack.name, MODULES[attack.name], tap, seed, path))
    return parts


def _run(request: AuditRequest, prepared: Sequence[Prepared], found: Found) -> Run:
    from esrt_privacy.attacks.drafts import judged
    from esrt_privacy.findings import AuditedCorpus, Run

    plan, tests = request.plan, prepared[0].target.tests
    findings = judged([draft for _, draft in found.drafts])
    places = [place for place, _ in found.drafts]
    rows = [*zip(places, findings, strict=True), *found.unanswered]
    fingerprints = {"corpus": tests.fingerprint}
    for each in prepared:
        prefix = prefix_of(request, each)
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
