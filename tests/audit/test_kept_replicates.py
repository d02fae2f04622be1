"""An audit leaves replicates beside its findings, and two audits over the same speakers can be paired."""

from dataclasses import replace
from pathlib import Path

import pytest

from esrt_privacy.audit.prepared import AuditRequest
from esrt_privacy.audit.run import run_audit
from esrt_privacy.replicates import read_replicates
from esrt_privacy.reports.compare import LoadedRun, compare_runs


def test_every_figure_of_an_audit_has_replicates_about_its_value(tiny_request: AuditRequest):
    run = run_audit(tiny_request).run
    kept = read_replicates(tiny_request.out)
    assert set(kept) == {f.id for f in run.findings if f.estimate.value is not None}
    for finding in run.findings:
        figure = kept[finding.id]
        assert figure.value == finding.estimate.value
        assert len(figure.jackknife) == run.corpus.speakers
        assert figure.draws.mean() == pytest.approx(figure.value, abs=0.1)


def test_two_audits_with_other_seeds_are_paired_over_their_speakers(
    tiny_request: AuditRequest, tmp_path: Path
):
    run_audit(tiny_request)
    plan = tiny_request.plan.model_copy(update={"seeds": (5, 6)})
    run_audit(replace(tiny_request, plan=plan, out=tmp_path / "other"))
    a, b = (LoadedRun.read(folder) for folder in (tiny_request.out, tmp_path / "other"))
    comparison = compare_runs(a, b, "test")
    assert {change.outcome for change in comparison.changes} <= {"no clear change", "same answers"}
    assert all(change.paired for change in comparison.changes)
    assert "The runs were made with different seeds." in comparison.notes
