"""A validity run: units of work side by side, their rows put together, the record written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from esrt_privacy.findings import make_folder, read_run
from esrt_privacy.progress import Reporter
from esrt_privacy.validity import tallies
from esrt_privacy.validity.options import SPEAKERS, ValidityRequest
from esrt_privacy.validity.record import Cost, Detection, Validity, write_record
from esrt_privacy.validity.units import Kind, Material, Row, Unit

if TYPE_CHECKING:
    from esrt_privacy.corpora import Corpus
    from esrt_privacy.findings import BudgetPoint

# Repetitions of a unit: what a killed run loses at most, some ten to thirty seconds of one process.
A_UNIT: dict[Kind, int] = {"simulated": 20, "reruns": 4, "coverage": 50, "power": 4}
PARTS_FOLDER = "parts"
UNASKED = "budget curves were not shown: give an audit's folder with --run"


def run_validity(request: ValidityRequest, report: Reporter) -> Validity:
    """Measure what is not on disk yet, and write `validity.json` into the folder.

    Raises one of the package's errors, in one line, where a size, system, corpus or run is not usable.
    """
    request.sizes.check()
    points = () if request.run is None else read_run(request.run).budget
    make_folder(request.out)
    make_folder(request.out / PARTS_FOLDER)
    material, notes = (Material(), ()) if not request.real else _material(request, report)
    units = [unit.at(request.out / PARTS_FOLDER) for unit in planned(request, material)]
    waiting = [unit for unit in units if not unit.path.exists()]
    failures: dict[Unit, str] = {}
    if waiting:
        from esrt_privacy.audit.workers import run_parts

        jobs = request.jobs or os.cpu_count() or 1
        failures = run_parts(waiting, [material], jobs, report, "validating")
    record = _record(request, material, units, failures, points, notes)
    write_record(record, request.out)
    return record


def planned(request: ValidityRequest, material: Material) -> Iterator[Unit]:
    """All units of the parts that are asked for, without their files' names."""
    sizes = request.sizes
    common: dict[str, Any] = {"seed": request.seed, "path": request.out}
    real = {
        **common,
        "folds": request.folds,
        "tensors": material.fingerprint if request.real else "",
    }
    if "false-alarms" in request.parts:
        for speakers in SPEAKERS:
            yield from _cut("simulated", str(speakers), sizes.null_sets, common)
        for label in _asked(material):
            yield from _cut("reruns", label, sizes.reruns, real)
    if "coverage" in request.parts:
        from esrt_privacy.measures.coverage import cells

        for cell in cells():
            yield from _cut(
                "coverage", cell.name, sizes.corpora, {**common, "number": float(sizes.draws)}
            )
    if "power" in request.parts:
        for label in _asked(material):
            for strength in sizes.strengths:
                yield from _cut("power", label, sizes.planted, {**real, "number": strength})


def _cut(kind: Kind, case: str, total: int, rest: dict[str, Any]) -> Iterator[Unit]:
    size = A_UNIT[kind]
    for first in range(0, total, size):
        yield Unit(kind=kind, case=case, first=first, count=min(size, total - first), **rest)


def _asked(material: Material) -> list[str]:
    """Labels that vary in the test recordings."""
    from esrt_privacy.validity.probes import PROBES

    tests = () if material.target is None else material.target.tests
    return [name for name in PROBES if len({getattr(u, name) for u in tests} - {None}) > 1]


def _material(request: ValidityRequest, report: Reporter) -> tuple[Material, tuple[str, ...]]:
    """The system's wire tap over the test recordings, captured where it is not yet; nothing else is read."""
    from esrt_privacy.assets import cache_folder
    from esrt_privacy.audit.material import gathered
    from esrt_privacy.audit.parts import Target
    from esrt_privacy.captures import capture
    from esrt_privacy.systems.base import wire_tap
    from esrt_privacy.systems.registry import build_system

    recordings = gathered(request.system, request.corpus, None, "none", request.seed, report)
    system = build_system(request.system, request.weights)
    tap = wire_tap(system).name
    label = f"encoding {len(recordings.tests)} utterances for {system.name}"
    root = request.captures or cache_folder() / "captures"
    made = capture(system, [tap], recordings.tests, root, lambda d, t: report(label, d, t))[tap]
    target = Target(
        system=system.name,
        tests=made.corpus,
        training=None,
        captures={tap: made.store.folder},
        captured=made.corpus,
        inverters={},
        seed=request.seed,
        folds=request.folds,
        budget=1.0,
        weights=request.weights,
    )
    material = Material(target, tap)
    left_out = [name for name in _labels() if name not in _asked(material)]
    words = (
        f"not asked for, since it never varies in {request.corpus}: {name}" for name in left_out
    )
    return material, (*system.notes, *words)


def _labels() -> tuple[str, ...]:
    from esrt_privacy.validity.probes import PROBES

    return tuple(PROBES)


def _record(
    request: ValidityRequest,
    material: Material,
    units: Sequence[Unit],
    failures: dict[Unit, str],
    points: Sequence[BudgetPoint],
    notes: Sequence[str],
) -> Validity:
    from esrt_privacy import __version__
    from esrt_privacy.attacks.confounds import synthetic_voices
    from esrt_privacy.audit.record import versions
    from esrt_privacy.measures.coverage import cells

    rows, costs = _gathered([unit for unit in units if unit not in failures])
    target = material.target
    tests: Corpus | None = None if target is None else target.tests
    speakers = 0 if tests is None else len(tests.speakers)
    alarms = []
    for (kind, case, _), held in rows.items():
        if kind == "simulated":
            alarms += tallies.simulated_alarms(held, int(case))
        elif kind == "reruns":
            alarms += tallies.rerun_alarms(held, speakers)
    power: dict[str, list[Detection]] = {}
    for (kind, case, strength), held in rows.items():
        if kind == "power":
            power.setdefault(case, []).append(tallies.detection(case, strength, held))
    known = {cell.name: cell for cell in cells()}
    said = [*notes, *_errors(rows), *dict.fromkeys(failures.values())]
    if "budget" in request.parts and request.run is None:
        said.append(UNASKED)
    return Validity(
        tool_version=__version__,
        created=datetime.now(UTC),
        command=request.command,
        quick=request.quick,
        sizes=asdict(request.sizes),
        seed=request.seed,
        system="" if target is None else target.system,
        corpus="" if tests is None else tests.name,
        tap=material.tap,
        utterances=0 if tests is None else len(tests),
        speakers=speakers,
        synthetic=tests is not None and bool(synthetic_voices(tests)),
        false_alarms=tuple(alarms),
        coverage=tuple(
            tallies.cell_coverage(known[case], held)
            for (kind, case, _), held in rows.items()
            if kind == "coverage"
        ),
        power=tuple(row for found in power.values() for row in found),
        smallest=tuple(tallies.smallest(label, found) for label, found in power.items()),
        budget=tuple(tallies.budget_curves(points)) if "budget" in request.parts else (),
        parts=request.parts,
        costs=costs,
        fingerprints={} if target is None else {f"capture at {material.tap}": material.fingerprint},
        versions=versions(),
        notes=tuple(said),
    )


def _gathered(
    units: Sequence[Unit],
) -> tuple[dict[tuple[Kind, str, float], list[Row]], tuple[Cost, ...]]:
    rows: dict[tuple[Kind, str, float], list[Row]] = {}
    seconds: dict[str, list[float]] = {}
    for unit in units:
        found, took = unit.found()
        rows.setdefault((unit.kind, unit.case, unit.number), []).extend(found)
        seconds.setdefault(unit.kind, []).append(took)
    costs = tuple(
        Cost(part=kind, units=len(each), cpu_seconds=sum(each)) for kind, each in seconds.items()
    )
    return rows, costs


def _errors(rows: dict[tuple[Kind, str, float], list[Row]]) -> list[str]:
    """A line for each case in which reruns could not answer."""
    said = []
    for (kind, case, _), held in rows.items():
        failed = [row["error"] for row in held if "error" in row]
        if failed:
            said.append(
                f"{kind} {case}: {len(failed)} of {len(held)} could not answer: {failed[0]}"
            )
    return said
