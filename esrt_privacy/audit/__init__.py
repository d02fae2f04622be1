"""Runs an audit from a request to a report: corpora, systems, captures, attacks, findings, pages.

The one place that knows every room. `reconstruction.py` runs one attack by ear; `plan.py` and `run.py` run a plan of
many attacks part by part. Each part writes to the output folder before the next begins, so that a killed run goes on
where it was when the same request is made again.
"""

from esrt_privacy.audit.material import shipped_split
from esrt_privacy.audit.reconstruction import Done, ReconstructionRequest, reconstruct

__all__ = ["Done", "ReconstructionRequest", "reconstruct", "shipped_split"]
