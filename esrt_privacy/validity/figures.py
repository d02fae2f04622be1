"""Pictures of a validity report, in the style of the audit report: alarms, coverage, detection, budgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from esrt_privacy.findings import Interval
from esrt_privacy.reports.figures import (
    ATTACK,
    CEILING,
    CONTROL,
    FLOOR,
    GRID,
    INK,
    inline_svg,
    styled,
)
from esrt_privacy.validity.record import BudgetCurve, Coverage, Detection, FalseAlarms
from esrt_privacy.validity.tallies import COVERED, DETECTED, MOST_ALARMS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 7.2  # inches
ROW = 0.2  # inches a line
KINDS = (ATTACK, CONTROL, CEILING, FLOOR)
MOST_CURVES = 4  # one kind of line each


@styled
def alarms_svg(rows: Sequence[FalseAlarms], name: str) -> str:
    """Share of false alarms of each figure with its interval, as inline SVG; empty without any."""
    shown = [row for row in rows if row.share.value is not None]
    if not shown:
        return ""
    figure, axes = _axes(ROW * len(shown) + 0.9)
    axes.axvline(100 * MOST_ALARMS, color=INK, linewidth=0.9, linestyle="--")
    for place, row in enumerate(reversed(shown)):
        kind = ATTACK if row.source == "reruns" else CONTROL
        _bar(axes, place, row.share, kind)
    axes.set_yticks(range(len(shown)), [_alarm_label(row) for row in reversed(shown)], fontsize=7.5)
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.set_xlim(left=0)
    axes.set_xlabel("false alarms (%); broken line: the most allowed")
    axes.grid(axis="y", visible=False)
    alt = "Share of false alarms. " + "; ".join(
        f"{_alarm_label(row)}: {100 * (row.share.value or 0):.1f}%" for row in shown
    )
    return inline_svg(figure, name, alt)


@styled
def coverage_svg(rows: Sequence[Coverage], name: str) -> str:
    """Share of intervals that contain the truth in each cell, over the band of 92 to 98%; empty without any."""
    shown = [row for row in rows if row.share.value is not None]
    if not shown:
        return ""
    figure, axes = _axes(ROW * len(shown) + 0.9)
    axes.axvspan(100 * COVERED[0], 100 * COVERED[1], color=GRID, alpha=0.7, linewidth=0)
    axes.axvline(95, color=INK, linewidth=0.9, linestyle="--")
    figures = list(dict.fromkeys(row.figure for row in shown))
    for place, row in enumerate(reversed(shown)):
        _bar(axes, place, row.share, KINDS[figures.index(row.figure) % len(KINDS)])
    axes.set_yticks(range(len(shown)), [cell_label(row) for row in reversed(shown)], fontsize=7.5)
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.set_xlabel("contain the truth (%); grey: as they must")
    axes.grid(axis="y", visible=False)
    alt = "Share of 95% intervals that contain the truth. " + "; ".join(
        f"{cell_label(row)}: {100 * (row.share.value or 0):.1f}%" for row in shown
    )
    return inline_svg(figure, name, alt)


@styled
def power_svg(rows: Sequence[Detection], name: str) -> str:
    """Share of reruns in which a planted leak was found against the bits that it carries; empty without any."""
    shown = [row for row in rows if row.share.value is not None and row.bits]
    if not shown:
        return ""
    figure, axes = _axes(3.6)
    axes.axhline(100 * DETECTED, color=INK, linewidth=0.9, linestyle="--")
    for number, label in enumerate(dict.fromkeys(row.label for row in shown)):
        kind = KINDS[number % len(KINDS)]
        held = sorted((row for row in shown if row.label == label), key=lambda r: r.bits or 0.0)
        bits = [row.bits for row in held]
        axes.plot(
            bits,
            [100 * (row.share.value or 0.0) for row in held],
            color=kind.colour,
            marker=kind.marker,
            markerfacecolor=kind.colour if kind.filled else "white",
            label=label,
        )
        for row in held:
            axes.plot(
                [row.bits, row.bits],
                [100 * (row.share.low or 0.0), 100 * (row.share.high or 0.0)],
                color=kind.colour,
                alpha=0.4,
            )
    axes.set_xscale("log")
    axes.set_ylim(-3, 103)
    axes.set_xlabel("planted leak, bits a tensor")
    axes.set_ylabel("found (%)")
    axes.legend(frameon=False, loc="lower right")
    alt = "Share of planted leaks that were found. " + "; ".join(
        f"{row.label}, {row.bits:.3f} bit: {100 * (row.share.value or 0):.0f}%" for row in shown
    )
    return inline_svg(figure, name, alt)


@styled
def budget_svg(curves: Sequence[BudgetCurve], name: str) -> str:
    """Errors of one metric against the amount of training, a line a tap; those that still fall end in an open mark."""
    figure, axes = _axes(3.0)
    for number, curve in enumerate(curves[:MOST_CURVES]):
        kind = KINDS[number % len(KINDS)]
        label = f"{curve.system} {curve.tap}".strip() + (
            ", still falling" if curve.still_falling else ""
        )
        known = [(a, v) for a, v in zip(curve.amounts, curve.values, strict=True) if v is not None]
        axes.plot(
            *zip(*known, strict=True),
            color=kind.colour,
            marker=kind.marker,
            markersize=3.5,
            label=label,
        )
        if curve.still_falling:
            axes.plot(
                *known[-1], marker="o", markersize=9, markerfacecolor="none", color=kind.colour
            )
    axes.set_xlabel(curves[0].amount_unit)
    axes.set_ylabel(
        f"{curves[0].metric} ({curves[0].unit})" if curves[0].unit else curves[0].metric
    )
    axes.legend(frameon=False)
    alt = "Error against training. " + "; ".join(
        f"{c.tap}: {'still falling' if c.still_falling else 'no longer falling'}" for c in curves
    )
    return inline_svg(figure, name, alt)


def cell_label(row: Coverage) -> str:
    """Such as EER 5%, 10 speakers."""
    if row.figure == "mae":
        return f"mean absolute error, spread {row.level:g}, {row.speakers} speakers"
    words = {"eer": "EER", "accuracy": "balanced accuracy"}.get(row.figure, row.figure)
    return f"{words} {100 * row.truth:.0f}%, {row.speakers} speakers"


def _alarm_label(row: FalseAlarms) -> str:
    words = "shuffled labels" if row.source == "reruns" else f"simulated, {row.speakers} speakers"
    return f"{row.statistic} ({words})"


def _bar(axes: Any, place: int, share: Interval, kind: Any) -> None:
    axes.plot(
        [100 * (share.low or 0.0), 100 * (share.high or 0.0)],
        [place, place],
        color=kind.colour,
        alpha=0.45,
    )
    axes.plot(
        [100 * (share.value or 0.0)], [place], marker=kind.marker, markersize=5, color=kind.colour,
        markerfacecolor=kind.colour if kind.filled else "white",
    )  # fmt: skip


def _axes(height: float) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes
