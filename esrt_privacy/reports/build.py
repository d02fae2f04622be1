"""The report of a run, in every form: one page, one file for a machine, one for a pull request, one to print."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from esrt_privacy.bandwidth.record import Bandwidth
from esrt_privacy.errors import ReportError
from esrt_privacy.findings import FILE_NAME, Run
from esrt_privacy.reports import wording
from esrt_privacy.reports.answer import answer, subjects
from esrt_privacy.reports.claim_rules import ClaimVerdict, Evidence, verdicts
from esrt_privacy.reports.claims import load
from esrt_privacy.reports.evidence import gather
from esrt_privacy.reports.markdown import write_markdown
from esrt_privacy.reports.page import render_page, tap_groups, write_page
from esrt_privacy.reports.pdf import require_weasyprint, write_pdf
from esrt_privacy.reports.record import (
    BandwidthSummary,
    FindingReference,
    FormatSize,
    Report,
    SubjectVerdict,
    Tally,
    write_report_record,
)
from esrt_privacy.reports.untested import untested
from esrt_privacy.whole_file import write_whole


@dataclass(frozen=True)
class Built:
    """What was written."""

    page: Path
    files: tuple[Path, ...]  # all of them, the page last
    report: Report


def build_report(
    run: Run,
    folder: Path,
    *,
    claims: Sequence[Path] = (),
    bandwidth: Path | None = None,
    profile: Path | None = None,
    pdf: bool = False,
    out: Path | None = None,
    most_bytes: int | None = None,
) -> Built:
    """Write report.html, report.json and report.md, with `pdf` report.pdf too, to `out`, by default `folder`.

    `folder` is the run's own: there lie findings.json and the sounds, and its bandwidth.json and profile.json are
    used where no other is given. `claims` are files of claims beside the paper's. `most_bytes` limits the page, which
    then holds fewer examples. Raises ReportError, in one line, for what cannot be read or written, for a page that is
    larger without examples, and before any work where a PDF is asked for that cannot be made.
    """
    if pdf:
        require_weasyprint()
    out = out or folder
    evidence = gather(folder, bandwidth, profile)
    findings = _findings_file(folder)
    if out.resolve() != folder.resolve():
        write_whole(out / FILE_NAME, findings)  # what the report speaks of goes with it
    claim_verdicts = verdicts(load(claims), run, evidence)
    sha256 = hashlib.sha256(findings).hexdigest()
    report = report_record(run, claim_verdicts, evidence, sha256)
    files = [write_report_record(report, out), write_markdown(report, run, out)]
    if pdf:
        files.append(write_pdf(render_page(report, run, folder, evidence, printed=True), out))
    page = write_page(report, run, folder, evidence, out, most_bytes)
    return Built(page, (*files, page), report)


def report_record(
    run: Run, claims: Sequence[ClaimVerdict], evidence: Evidence, findings_sha256: str
) -> Report:
    """What the report says, for a machine and for the writers of the other forms."""
    audited = wording.audited_findings(run)
    return Report(
        tool_version=run.tool_version,
        created=run.created,
        command=run.command,
        system=run.system,
        corpus=run.corpus,
        audited_tap=audited[0].tap if audited else "",
        answer=answer(run, claims),
        subjects=tuple(
            SubjectVerdict(
                subject=s.name,
                verdict=s.verdict,
                finding=s.lead.id,
                says=f"{wording.plain(s.lead.metric)} {wording.with_bounds(s.lead.estimate, s.lead.unit)}",
            )
            for s in subjects(audited)
        ),
        claims=tuple(claims),
        tallies=tallies(run),
        findings=tuple(
            FindingReference(
                id=f.id,
                system=f.system,
                tap=f.tap,
                attack=f.attack,
                attacker=f.attacker,
                metric=f.metric,
                verdict=f.verdict,
            )
            for f in run.findings
        ),
        findings_sha256=findings_sha256,
        bandwidth=None if evidence.bandwidth is None else bandwidth_summary(evidence.bandwidth),
        untested=untested(run, claims),
        fingerprints={"corpus": run.corpus.fingerprint, **run.fingerprints},
        seeds=dict(run.seeds),
        versions={"esrt-privacy": run.tool_version, **run.versions},
    )


def tallies(run: Run) -> tuple[Tally, ...]:
    """Verdicts by system and tap, in the run's order."""
    return tuple(
        Tally(system=group.system, tap=group.tap, verdicts=wording.tally(group.findings))
        for group in tap_groups(run.findings)
    )


def bandwidth_summary(record: Bandwidth) -> BandwidthSummary:
    """The sizes of a record, with its own sentence."""
    from esrt_privacy.bandwidth.report import headline

    return BandwidthSummary(
        headline=headline(record),
        corpus=record.corpus.name,
        recordings=record.corpus.samples,
        command=record.command,
        formats=tuple(
            FormatSize(
                name=row.name,
                says=row.says,
                kind=row.kind,
                bytes_per_recording=row.bytes_per_recording.value,
                times_smaller=row.times_smaller,
            )
            for row in record.formats
        ),
    )


def _findings_file(folder: Path) -> bytes:
    path = folder / FILE_NAME
    try:
        return path.read_bytes()
    except OSError as error:
        raise ReportError(
            f"{path} cannot be read ({error.strerror}); give the folder of a run made by esrt-privacy"
        ) from error
