"""What every run of an audit is written with."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esrt_privacy.findings import Run

LIBRARIES = (
    *("torch", "torchaudio", "transformers", "numpy", "scipy", "librosa", "pystoi"),
    *("scikit-learn", "speechbrain"),
)
DEMO_IS_SYNTHETIC = (
    "the demo corpus is synthetic: blended voices are no population, and clean read speech is easier"
    " than recordings of people"
)


@dataclass(frozen=True)
class Done:
    """Where the results lie."""

    run: Run
    report: Path
    notes: tuple[str, ...] = field(default=())


def versions() -> dict[str, str]:
    """Of Python and of the libraries that decide a figure."""
    found = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), **found}
