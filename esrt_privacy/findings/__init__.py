"""What attacks write and reports read: findings, what their pictures need, and the run that holds them.

A run lies in one folder: `findings.json` beside the sound files that its examples name. A number that could not be
computed is `null`, never NaN.
"""

from esrt_privacy.findings.files import (
    FILE_NAME,
    MAX_FILE_BYTES,
    make_folder,
    read_run,
    schema_text,
    shipped_schema,
    write_run,
)
from esrt_privacy.findings.finding import (
    ATTACKERS,
    POSITIONS,
    VERDICTS,
    Attacker,
    Direction,
    Finding,
    Interval,
    Position,
    Verdict,
)
from esrt_privacy.findings.pictured import BudgetPoint, Confusion, DetCurve, Lengths
from esrt_privacy.findings.run import SCHEMA_VERSION, AuditedCorpus, Example, Rendition, Run

__all__ = [
    "ATTACKERS",
    "FILE_NAME",
    "MAX_FILE_BYTES",
    "POSITIONS",
    "SCHEMA_VERSION",
    "VERDICTS",
    "Attacker",
    "AuditedCorpus",
    "BudgetPoint",
    "Confusion",
    "DetCurve",
    "Direction",
    "Example",
    "Finding",
    "Interval",
    "Lengths",
    "Position",
    "Rendition",
    "Run",
    "Verdict",
    "make_folder",
    "read_run",
    "schema_text",
    "shipped_schema",
    "write_run",
]
