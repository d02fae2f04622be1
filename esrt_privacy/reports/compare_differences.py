"""How much more one finding gives away than another, with its interval; and what may be said of many at once.

Where both runs kept replicates over the same speakers, a difference is taken speaker by speaker and draw by draw.
Otherwise the figures count as independent, which gives the wider interval where they share their speakers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from esrt_privacy.findings import Finding, Interval
from esrt_privacy.replicates import FigureReplicates
from esrt_privacy.reports.compare_record import Outcome

if TYPE_CHECKING:
    from esrt_privacy.measures.intervals import Estimate
    from esrt_privacy.measures.replicates import Replicates

LEVEL = 0.95
NO_REPLICATES = "a run kept no replicates of it"
OTHER_SPEAKERS = "other speakers"
STALE = "the replicates beside a run are of another figure"


@dataclass(frozen=True)
class Answered:
    """A finding with what its run kept of it over speakers."""

    finding: Finding
    replicates: FigureReplicates | None


class Said(NamedTuple):
    """What may be said of a difference among others."""

    outcome: Outcome
    p: float | None  # by itself
    p_holm: float | None  # corrected for all of them


@dataclass(frozen=True)
class Difference:
    """How much more the second of two findings leaks, in their unit."""

    leakage: Interval
    paired: bool = False
    outcome: Outcome = "no clear change"
    note: str = ""


def difference(first: Answered, second: Answered) -> Difference:
    """The second finding's leakage minus the first's; its outcome waits for `outcomes`."""
    from esrt_privacy.measures.differences import (
        paired_difference_estimate,
        unpaired_difference_estimate,
    )

    one, other = first.finding, second.finding
    missing = [side for side, f in (("A", one), ("B", other)) if f.estimate.value is None]
    if missing:
        return _not_compared(f"not measured in {' and '.join(missing)}")
    if (one.unit, one.leaks_when) != (other.unit, other.leaks_when):
        return _not_compared("the runs give it in different units")
    sign = 1.0 if one.leaks_when == "higher" else -1.0
    note = _why_unpaired(first, second)
    if not note and first.replicates is not None and second.replicates is not None:
        if _same_answers(first.replicates, second.replicates):
            zero = Interval(value=0.0, level=LEVEL, method="the same figure in every draw")
            return Difference(zero, True, "same answers")
        sides = _signed(second.replicates, sign), _signed(first.replicates, sign)
        found = paired_difference_estimate(*sides, LEVEL)
        if math.isfinite(found.low):
            return Difference(Interval.of(found), True)
        note = found.method.removeprefix("undefined: ")
    if not one.estimate.level == other.estimate.level == LEVEL:
        return _not_compared(f"its intervals are not of {LEVEL:.0%} each; {note}")
    found = unpaired_difference_estimate(
        _as_estimate(other.estimate, sign), _as_estimate(one.estimate, sign)
    )
    if not math.isfinite(found.low):
        return Difference(Interval.of(found), False, "not compared", "a run has no interval of it")
    return Difference(Interval.of(found), note=note)


def outcomes(differences: Sequence[Difference]) -> list[Said]:
    """What may be said of each of many differences.

    Better or worse is only what remains so at LEVEL after Holm's correction for all of them.
    """
    from esrt_privacy.measures.differences import holm, two_sided_p

    p_values = [
        two_sided_p(_as_estimate(found.leakage), LEVEL)
        if found.outcome == "no clear change"
        else math.nan
        for found in differences
    ]
    said = []
    for found, p, corrected in zip(differences, p_values, holm(p_values), strict=True):
        outcome = found.outcome
        if corrected < 1 - LEVEL:
            outcome = "worse" if (found.leakage.value or 0.0) > 0 else "better"
        said.append(Said(outcome, _known(p), _known(corrected)))
    return said


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _not_compared(why: str) -> Difference:
    return Difference(Interval(value=None, level=LEVEL), False, "not compared", why)


def _why_unpaired(first: Answered, second: Answered) -> str:
    """Why the figures cannot be taken speaker by speaker; empty where they can."""
    ours, theirs = first.replicates, second.replicates
    if ours is None or theirs is None:
        return NO_REPLICATES
    for kept, value in (
        (ours, first.finding.estimate.value),
        (theirs, second.finding.estimate.value),
    ):
        # A file left from an earlier run would pair figures that are not these.
        if value is None or not math.isclose(kept.value, value, rel_tol=1e-9, abs_tol=1e-12):
            return STALE
    return "" if ours.pairs_with(theirs) else OTHER_SPEAKERS


def _same_answers(ours: FigureReplicates, theirs: FigureReplicates) -> bool:
    """Both figures vary with the speakers, and alike to the last digit: the attack gave the same answers twice."""
    alike = all(
        np.array_equal(one, other, equal_nan=True)
        for one, other in ((ours.jackknife, theirs.jackknife), (ours.draws, theirs.draws))
    )
    known = ours.jackknife[np.isfinite(ours.jackknife)]
    return alike and len(known) > 0 and float(np.ptp(known)) > 0


def _signed(kept: FigureReplicates, sign: float) -> Replicates:
    from esrt_privacy.measures.replicates import Replicates

    jackknife, draws = (sign * part.astype(np.float64) for part in (kept.jackknife, kept.draws))
    return Replicates(sign * kept.value, jackknife, draws, len(jackknife))


def _as_estimate(interval: Interval, sign: float = 1.0) -> Estimate:
    """An interval, signed so that more leaks where it is higher; nan for what is not known."""
    from esrt_privacy.measures.intervals import Estimate

    value, low, high = (
        math.nan if x is None else sign * x for x in (interval.value, interval.low, interval.high)
    )
    ends = (low, high) if sign > 0 else (high, low)
    return Estimate(value, *ends, interval.n, interval.method)
