"""A validity run in words: its answers in sentences, and what a standing means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from esrt_privacy.findings import Interval
from esrt_privacy.validity.figures import cell_label
from esrt_privacy.validity.record import Coverage, FalseAlarms, Validity
from esrt_privacy.validity.tallies import WHOLE_AUDIT

QUICK = "A quick run: it shows that everything runs, and is too small to judge by."
FEWEST_SPEAKERS = 10  # of a cell whose intervals may miss


def answers(record: Validity) -> list[str]:
    """What was found, a sentence a part."""
    said = [QUICK] if record.quick else []
    for source, words in (
        ("simulated", "simulated data"),
        ("reruns", "real tensors with shuffled labels"),
    ):
        rows = [r for r in record.false_alarms if r.source == source and r.statistic != WHOLE_AUDIT]
        if rows:
            said.append(_alarm_sentence(rows, words))
    audits = [r for r in record.false_alarms if r.statistic == WHOLE_AUDIT]
    if audits:
        each = ", ".join(f"{percent(r.share)} with {r.speakers} speakers" for r in audits)
        said.append(f"Whole simulated audits in which anything was said to leak: {each}.")
    if record.coverage:
        said.append(_coverage_sentence(record.coverage))
    for row in record.smallest:
        said.append(
            f"No planted strength of {row.label} was found in 95% of reruns."
            if row.strength is None
            else f"A planted {row.label} of {row.bits:.2g} bit a tensor (strength {row.strength:g}) is found in at"
            " least 95% of reruns."
        )
    if record.budget:
        falling = sum(curve.still_falling for curve in record.budget)
        said.append(
            f"{falling} of {len(record.budget)} training curves still fell: these attacks' figures are bounds."
        )
    return said


def percent(share: Interval) -> str:
    """4.5% (3.3 to 6.0)."""
    if share.value is None or share.low is None or share.high is None:
        return "–"
    return f"{100 * share.value:.1f}% ({100 * share.low:.1f} to {100 * share.high:.1f})"


def _alarm_sentence(rows: Sequence[FalseAlarms], words: str) -> str:
    worst = max(rows, key=lambda r: r.share.value or 0.0)
    failing = [r.statistic for r in rows if r.standing == "fails"]
    doubtful = [r.statistic for r in rows if r.standing == "unclear"]
    said = (
        f"False alarms on {words}: at most {percent(worst.share)} of sets, by {worst.statistic};"
        f" {sum(r.standing == 'holds' for r in rows)} of {len(rows)} figures hold to 5%"
    )
    if failing:
        said += f"; above it: {_listed(failing)}"
    if doubtful:
        said += f"; above it, but it could be chance: {_listed(doubtful)}"
    return said + "."


def _coverage_sentence(rows: Sequence[Coverage]) -> str:
    bad = [row for row in rows if row.standing == "fails"]
    said = (
        f"The 95% interval contains the truth in 92 to 98% of corpora in"
        f" {sum(r.standing == 'holds' for r in rows)} of {len(rows)} cells"
    )
    if bad:
        said += f"; outside: {_listed(f'{cell_label(r)} ({percent(r.share)})' for r in bad)}"
    few = [r for r in bad if r.speakers <= FEWEST_SPEAKERS]
    if few:
        said += f". With {FEWEST_SPEAKERS} speakers no method that is known here holds for these"
    return said + "."


def _listed(names: Iterable[str]) -> str:
    held = list(dict.fromkeys(names))
    return ", ".join(held[:6]) + (f" and {len(held) - 6} more" if len(held) > 6 else "")
