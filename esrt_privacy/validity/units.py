"""The work of a validity run in units, each with a JSON file of its own that is written whole: a killed run goes on."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from esrt_privacy.audit.parts import Target
from esrt_privacy.errors import AttackError, ReportError, shown
from esrt_privacy.measures.coverage import Population, cells
from esrt_privacy.progress import Reporter
from esrt_privacy.validity.held import Held
from esrt_privacy.validity.power import planted_bits, planted_leak
from esrt_privacy.validity.probes import PROBES, read
from esrt_privacy.validity.shuffling import shuffled
from esrt_privacy.validity.simulated import judged_null
from esrt_privacy.whole_file import write_whole

Kind = Literal["simulated", "reruns", "coverage", "power"]
VERSION = 2  # raised when what a unit measures changes
MAX_FILE_BYTES = 64 * 2**20
Row = dict[str, Any]

# Units of one kind differ in their draws by this, whatever else is alike.
STREAMS: dict[Kind, int] = {"simulated": 1, "reruns": 2, "coverage": 3, "power": 4}


@dataclass(frozen=True)
class Material:
    """What units work on: real tensors, where any are asked for."""

    target: Target | None = None
    tap: str = ""

    def held(self) -> Held:
        """The wire tap's tensors of the test recordings, in memory."""
        if self.target is None:
            raise AttackError("no tensors were captured for this part")
        return Held.of(self.target.capture(self.tap), self.target.tests)

    @property
    def fingerprint(self) -> str:
        """Of the tensors; empty without any."""
        return "" if self.target is None else self.target.capture(self.tap).fingerprint


@dataclass(frozen=True)
class Unit:
    """A few repetitions of one case: sets, reruns or corpora number `first` to `first + count`."""

    kind: Kind
    case: str  # speakers of a null, a label, a cell's name
    first: int
    count: int
    seed: int
    path: Path
    number: float = 0.0  # of draws, or a signal's strength
    folds: int = 0
    tensors: str = ""  # their fingerprint
    target: int = 0

    @property
    def label(self) -> str:
        """As progress shows it."""
        return f"{self.kind} {self.case}"

    @property
    def about(self) -> dict[str, Any]:
        """All that decides what it finds."""
        from esrt_privacy import __version__

        known = {k: v for k, v in asdict(self).items() if k not in ("path", "target")}
        return {**known, "version": VERSION, "tool": __version__}

    def at(self, folder: Path) -> Unit:
        """The same with its file in a folder, named by all that decides it."""
        digest = hashlib.sha256(json.dumps(self.about).encode()).hexdigest()[:16]
        name = f"{self.kind}-{self.case}-{self.number:g}-{self.first}-{digest}.json"
        return replace(self, path=folder / name)

    def run(self, target: Material, report: Reporter) -> None:
        """Do it, and write what it found with what it cost."""
        began = time.process_time()
        rows = [_finite(row) for row in WORK[self.kind](self, target, report)]
        document = {"about": self.about, "rows": rows, "cpu_seconds": time.process_time() - began}
        text = json.dumps(document, allow_nan=False, indent=None) + "\n"
        write_whole(self.path, text.encode())

    def found(self) -> tuple[list[Row], float]:
        """Its rows and the CPU seconds they took. Raises ReportError for a file that is not its own."""
        try:
            if self.path.stat().st_size > MAX_FILE_BYTES:
                raise ValueError("too large")
            document = json.loads(self.path.read_bytes())
            if document["about"] != json.loads(json.dumps(self.about)):
                raise ValueError("it is of something else")
            rows, seconds = document["rows"], float(document["cpu_seconds"])
            if len(rows) != self.count or not all(isinstance(row, dict) for row in rows):
                raise ValueError(f"{len(rows)} rows where {self.count} are due")
            return rows, seconds
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise ReportError(
                f"{self.path}: not a part of a validity run ({shown(error, 80)}); delete the file and run again"
            ) from error

    def generator(self, place: int) -> np.random.Generator:
        """Of repetition number `place`: the same whatever unit it is in."""
        case = int(hashlib.sha256(self.case.encode()).hexdigest()[:8], 16)
        strength = round(1000 * self.number) if self.kind == "power" else 0
        return np.random.default_rng([self.seed, STREAMS[self.kind], case, strength, place])

    @property
    def places(self) -> range:
        """Numbers of its repetitions."""
        return range(self.first, self.first + self.count)


def _simulated(unit: Unit, material: Material, report: Reporter) -> list[Row]:
    rows = []
    for done, place in enumerate(unit.places):
        report(unit.label, done, unit.count)
        rows.append(asdict(judged_null(int(unit.case), unit.generator(place))))
    return rows


def _reruns(unit: Unit, material: Material, report: Reporter) -> list[Row]:
    held = material.held()
    rows = []
    for done, place in enumerate(unit.places):
        report(unit.label, done, unit.count)
        null = shuffled(held, unit.case, unit.generator(place))
        rows.append(_attacked(unit, null, material, place))
    return rows


def _power(unit: Unit, material: Material, report: Reporter) -> list[Row]:
    held = material.held()
    rows = []
    for done, place in enumerate(unit.places):
        report(unit.label, done, unit.count)
        leaking = planted_leak(held, unit.case, unit.number, unit.generator(place))
        bits = planted_bits(leaking, unit.case, unit.number)
        rows.append({**_attacked(unit, leaking, material, place), "bits": bits})
    return rows


def _attacked(unit: Unit, held: Held, material: Material, place: int) -> Row:
    system = "" if material.target is None else material.target.system
    try:
        readings = read(PROBES[unit.case], held, system, unit.folds, place)
    except AttackError as error:
        return {"error": str(error)}
    return {"readings": [asdict(reading) for reading in readings]}


@cache
def _population(name: str) -> Population:
    """Of a cell by name: its truth takes seconds to simulate, and a process meets it in many units."""
    return next(cell for cell in cells() if cell.name == name).population()


def _coverage(unit: Unit, material: Material, report: Reporter) -> list[Row]:
    population = _population(unit.case)
    rows = []
    for done, place in enumerate(unit.places):
        report(unit.label, done, unit.count)
        found = population.estimate(unit.generator(place), int(unit.number))
        rows.append(
            {"truth": population.truth, "estimate": list(found[:3]), "method": found.method}
        )
    return rows


WORK: Mapping[Kind, Callable[[Unit, Material, Reporter], list[Row]]] = {
    "simulated": _simulated,
    "reruns": _reruns,
    "coverage": _coverage,
    "power": _power,
}


def _finite(value: Any) -> Any:
    """JSON knows no NaN: null stands for a figure that does not exist."""
    if isinstance(value, dict):
        return {key: _finite(held) for key, held in value.items()}
    if isinstance(value, list):
        return [_finite(held) for held in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value
