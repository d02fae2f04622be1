"""A run of nothing but the findings that it is given."""

from datetime import UTC, datetime

from esrt_privacy.findings import AuditedCorpus, Finding, Run
from tests.reports.fake_run import SHA


def bare_run(*findings: Finding, system: str = "reference") -> Run:
    """In the order given: the first finding's tap is the one under audit."""
    return Run(
        tool_version="0.1.0",
        created=datetime(2025, 3, 14, tzinfo=UTC),
        command="esrt-privacy audit",
        system=system,
        corpus=AuditedCorpus(name="demo", fingerprint=SHA),
        findings=findings,
    )
