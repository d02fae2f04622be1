"""What stands beside a run's findings: records of bandwidth and of resources, given or found in its folder."""

from __future__ import annotations

from pathlib import Path

from esrt_privacy.bandwidth import record as bandwidth_record
from esrt_privacy.evaluation import profile_record
from esrt_privacy.reports.claim_rules import Evidence


def gather(folder: Path, bandwidth: Path | None = None, profile: Path | None = None) -> Evidence:
    """The records at the paths given (a file, or its folder); else those that lie in `folder`, where there are any.

    Raises ReportError for a record that cannot be read: a damaged one is not passed over.
    """
    sizes = bandwidth or _there(folder / bandwidth_record.FILE_NAME)
    used = profile or _there(folder / profile_record.FILE_NAME)
    if used is not None and used.is_dir():
        used = used / profile_record.FILE_NAME
    return Evidence(
        bandwidth=None if sizes is None else bandwidth_record.read_record(sizes),
        profile=None if used is None else profile_record.read_profile(used),
    )


def _there(path: Path) -> Path | None:
    return path if path.exists() else None
