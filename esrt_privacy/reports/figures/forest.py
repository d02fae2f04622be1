"""Forest plots: one metric's attacks, controls, ceiling and floors, each with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esrt_privacy.findings import Finding, Interval
from esrt_privacy.reports.figures.style import (
    ATTACK,
    CEILING,
    CONTROL,
    FLOOR,
    GRID,
    LINE_HEIGHT,
    Kind,
    few_ticks,
    inline_svg,
    plot_axes,
    styled,
    wrapped,
)
from esrt_privacy.reports.wording import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ForestRow:
    """One line of a forest plot."""

    label: str
    interval: Interval
    kind: Kind


def forest_rows(findings: Sequence[Finding]) -> list[ForestRow]:
    """The lines of one metric's plot: each attack, then the references, each said once."""
    labels = attack_labels(findings)
    rows = [ForestRow(label, f.estimate, ATTACK) for label, f in zip(labels, findings, strict=True)]
    references: list[ForestRow] = []
    for finding in findings:
        if finding.control is not None:
            name = f"control: {plain(finding.control_name)}"
            references.append(ForestRow(name, finding.control, CONTROL))
    for finding in findings:
        if finding.ceiling is not None:
            name = f"ceiling: {plain(finding.ceiling_name)}"
            references.append(ForestRow(name, finding.ceiling, CEILING))
    for finding in findings:
        references += [
            ForestRow(f"floor: {plain(name)}", floor, FLOOR)
            for name, floor in finding.floors.items()
        ]
    for row in references:
        if row not in rows:
            rows.append(row)
    return rows


def attack_labels(findings: Sequence[Finding]) -> list[str]:
    """What tells findings of one metric apart: the tap, then the attacker, then the end of the id."""
    labels = [f"attack on {plain(f.tap)}" for f in findings]
    more = [f"{f.attacker} attack on {plain(f.tap)}" for f in findings]
    labels = [b if labels.count(a) > 1 else a for a, b in zip(labels, more, strict=True)]
    ends = [
        f"{label}, {f.id.rpartition('.')[2]}" for label, f in zip(labels, findings, strict=True)
    ]
    return [b if labels.count(a) > 1 else a for a, b in zip(labels, ends, strict=True)]


@styled
def forest_svg(findings: Sequence[Finding], name: str, alt: str) -> str:
    """One metric's attacks, controls, ceiling and floors with their intervals, as inline SVG.

    All findings must share metric and unit. `name` makes the ids inside the page
    unique; `alt` is what a reader who cannot see it is told.
    """
    rows = [row for row in forest_rows(findings) if row.interval.value is not None]
    figure, axes = interval_axes(rows)
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        if row.kind is ATTACK:
            label.set_fontweight("bold")
    if findings[0].leaks_when == "lower":
        axes.set_xlabel("← more leakage", loc="left")
    else:
        axes.set_xlabel("more leakage →", loc="right")
    return inline_svg(figure, name, alt)


def interval_axes(rows: Sequence[ForestRow]) -> "tuple[Figure, Any]":
    """Rows one below another, the first on top, each a point on its interval where it has one.

    For functions that are `styled`.
    """
    labels = [wrapped(row.label) for row in rows]
    heights = [1.2 + label.count("\n") for label in labels]
    places = [sum(heights[:number]) + height / 2 for number, height in enumerate(heights)]
    figure, axes = plot_axes(height=LINE_HEIGHT * sum(heights) + 0.55)
    # All of a kind at once: a long run has hundreds of rows.
    for kind in dict.fromkeys(row.kind for row in rows):
        own = [(at, row.interval) for at, row in zip(places, rows, strict=True) if row.kind is kind]
        known = [(at, i) for at, i in own if i.low is not None and i.high is not None]
        axes.hlines(
            [at for at, _ in known],
            [interval.low for _, interval in known],
            [interval.high for _, interval in known],
            color=kind.colour,
            linewidth=2,
        )
        axes.plot(
            [interval.value for _, interval in own],
            [at for at, _ in own],
            linestyle="none",
            marker=kind.marker,
            markersize=6,
            color=kind.colour,
            markerfacecolor=kind.colour if kind.filled else "white",
            markeredgewidth=1.5,
        )
    axes.set_yticks(places, labels)
    axes.set_ylim(sum(heights) + 0.2, -0.2)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.06)
    few_ticks(axes)
    return figure, axes
