"""From the rows of all units to shares with binomial intervals, and whether each is where it must be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from esrt_privacy.attacks.training_curves import last_quarter_falls
from esrt_privacy.findings import BudgetPoint, Interval
from esrt_privacy.measures.coverage import Cell, coverage
from esrt_privacy.measures.intervals import Estimate, exact_binomial
from esrt_privacy.validity.probes import PROBES
from esrt_privacy.validity.record import (
    BudgetCurve,
    Coverage,
    Detection,
    FalseAlarms,
    Smallest,
    Standing,
)

Rows = Sequence[Mapping[str, Any]]
MOST_ALARMS = 0.05
COVERED = (0.92, 0.98)
DETECTED = 0.95
WHOLE_AUDIT = "whole audit"
EXACT = "exact binomial"
BITS_OF = {"sex": "attributes.sex-bits", "language": "language.bits"}


def proportion(hits: int, of: int) -> Interval:
    """A share with Clopper and Pearson's interval; all null where there is nothing to count."""
    if not of:
        return Interval(value=None, method=EXACT)
    low, high = exact_binomial(hits / of, of)
    return Interval(value=hits / of, low=low, high=high, method=EXACT, n=of)


def standing_of(share: Interval, wanted: tuple[float, float]) -> Standing:
    """Whether a share lies within bounds, or could but for chance. `unclear` where nothing was counted."""
    least, most = wanted
    if share.value is None or share.low is None or share.high is None:
        return "unclear"
    if least <= share.value <= most:
        return "holds"
    return "unclear" if share.low <= most and share.high >= least else "fails"


def simulated_alarms(rows: Rows, speakers: int) -> list[FalseAlarms]:
    """One row a figure, and one for whole audits judged together."""
    names = list(dict.fromkeys(name for row in rows for name in row["alone"]))
    made = []
    for name in names:
        told = [row["alone"][name] for row in rows if name in row["alone"]]
        made.append(
            _alarms("simulated", name, speakers, sum(v == "leaks" for v in told), len(told))
        )
    any_of = sum(any(v == "leaks" for v in row["together"].values()) for row in rows)
    return [*made, _alarms("simulated", WHOLE_AUDIT, speakers, any_of, len(rows))]


def rerun_alarms(rows: Rows, speakers: int) -> list[FalseAlarms]:
    """One row a figure of one question's reruns on shuffled labels."""
    readings = _readings(rows)
    made = []
    for name, read in readings.items():
        row = _alarms("reruns", name, speakers, sum(r["leaks"] for r in read), len(read))
        chance = sum(r["beats_chance"] for r in read) / len(read)
        undefined = sum(r["undefined"] for r in read)
        made.append(row.model_copy(update={"against_chance": chance, "undefined": undefined}))
    return made


def cell_coverage(cell: Cell, rows: Rows) -> Coverage:
    """One cell."""
    estimates = [_estimate(row) for row in rows]
    truth = float(rows[0]["truth"])
    found = coverage(truth, estimates)
    share = proportion(found.covered, found.corpora - found.undefined)
    return Coverage(
        figure=cell.figure,
        speakers=cell.speakers,
        level=cell.level,
        truth=truth,
        corpora=found.corpora,
        covered=found.covered,
        undefined=found.undefined,
        below=found.below,
        above=found.above,
        share=share,
        median_width=found.median_width,
        mean_value=found.mean_value,
        standing=standing_of(share, COVERED),
    )


def detection(label: str, strength: float, rows: Rows) -> Detection:
    """One strength of one planted label, by the figure that counts as its detection."""
    headline = PROBES[label].headline
    readings = _readings(rows)
    read = readings.get(headline, [])
    found = sum(r["leaks"] for r in read)
    bits = [row["bits"] for row in rows if row.get("bits") is not None]
    return Detection(
        label=label,
        statistic=headline,
        strength=strength,
        bits=float(np.mean(bits)) if bits else None,
        reruns=len(read),
        detected=found,
        share=proportion(found, len(read)),
        mean_value=_mean(read),
        own_bits=_mean(readings.get(BITS_OF.get(label, ""), [])),
    )


def smallest(label: str, found: Sequence[Detection]) -> Smallest:
    """The weakest strength such that it and every stronger one were found in at least 95% of reruns."""
    best: Detection | None = None
    for row in sorted(found, key=lambda d: -d.strength):
        if row.share.value is None or row.share.value < DETECTED:
            break
        best = row
    if best is None:
        return Smallest(label=label, strength=None, bits=None)
    return Smallest(label=label, strength=best.strength, bits=best.bits)


def budget_curves(points: Sequence[BudgetPoint]) -> list[BudgetCurve]:
    """Points of a run as curves, each by rising amount, and whether it still falls.

    An error still falls where the last quarter of the training took off more than 3% of the least before it, or where
    the attack itself called its last point a bound.
    """
    grouped: dict[tuple[str, ...], list[BudgetPoint]] = {}
    for point in points:
        key = (point.system, point.tap, point.metric, point.unit, point.amount_unit)
        grouped.setdefault(key, []).append(point)
    curves = []
    for (system, tap, metric, unit, amount_unit), held in grouped.items():
        held = sorted(held, key=lambda p: p.amount)
        values = tuple(p.value for p in held)
        amounts = tuple(p.amount for p in held)
        curves.append(
            BudgetCurve(
                system=system,
                tap=tap,
                metric=metric,
                unit=unit,
                amount_unit=amount_unit,
                amounts=amounts,
                values=values,
                still_falling=held[-1].bound or last_quarter_falls(amounts, values),
            )
        )
    return curves


def _estimate(row: Mapping[str, Any]) -> Estimate:
    value, low, high = (math.nan if x is None else float(x) for x in row["estimate"])
    return Estimate(value, low, high, 0, row["method"])


def _alarms(source: Any, name: str, speakers: int, alarms: int, sets: int) -> FalseAlarms:
    share = proportion(alarms, sets)
    return FalseAlarms(
        source=source,
        statistic=name,
        speakers=speakers,
        sets=sets,
        alarms=alarms,
        share=share,
        standing=standing_of(share, (0.0, MOST_ALARMS)),
    )


def _readings(rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        for reading in row.get("readings", ()):
            found.setdefault(reading["statistic"], []).append(reading)
    return found


def _mean(readings: Sequence[Mapping[str, Any]]) -> float | None:
    values = [r["value"] for r in readings if r["value"] is not None]
    return float(np.mean(values)) if values else None
