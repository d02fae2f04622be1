"""Bars of leakage over the taps, with intervals, floors, control and ceiling beside them."""

from typing import Any

from esrt_privacy.reports.figures.leakage import LeakagePanel
from esrt_privacy.reports.figures.style import (
    ATTACK,
    CEILING,
    CONTROL,
    FLOOR,
    GRID,
    INK,
    MUTED,
    inline_svg,
    plot_axes,
    shortened,
    styled,
)
from esrt_privacy.reports.wording import plain

LEFT = -0.12  # of the axis; what lies beyond stops there
ROW = 0.27  # inches of a tap
BAR = "#f0b98f"


@styled
def leakage_svg(panel: LeakagePanel, name: str = "leakage") -> str:
    """One panel as inline SVG: a bar a tap, hollow where a failed control makes it invalid."""
    figure, axes = plot_axes(height=ROW * len(panel.taps) + 1.05)
    _draw(axes, panel)
    _legend(figure, panel)
    return inline_svg(figure, name, panel.alt, panel.title)


def _draw(axes: Any, panel: LeakagePanel) -> None:
    for place, row in enumerate(panel.taps):
        bar = row.bar
        hollow = row.verdict == "invalid"
        axes.barh(
            *(place, _shown(bar.value)),
            height=0.52,
            color="white" if hollow else BAR,
            edgecolor=ATTACK.colour,
            linewidth=1,
            linestyle="--" if hollow else "-",
        )
        if bar.low is not None and bar.high is not None:
            axes.plot(
                *([_shown(bar.low), _shown(bar.high)], [place, place]),
                color=ATTACK.colour,
                linewidth=2.2,
                solid_capstyle="butt",
                zorder=3,
            )
        for mark in row.references:
            axes.plot(
                *(_shown(mark.value), place),
                marker=mark.kind.marker,
                markersize=6,
                color=mark.kind.colour,
                markerfacecolor=mark.kind.colour if mark.kind.filled else "white",
                markeredgewidth=1.4,
                clip_on=False,
                zorder=4,
            )
    labels = [shortened(plain(row.tap), 18) for row in panel.taps]
    axes.set_yticks(range(len(labels)), labels)
    for label, row in zip(axes.get_yticklabels(), panel.taps, strict=True):
        if row.tap == panel.audited:
            label.set_fontweight("bold")
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(LEFT - 0.05, 1.02)  # a mark at either end stays clear of the names and the edge
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["chance", "", "0.5", "", "certain"], fontsize=8)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=2.5)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _legend(figure: Any, panel: LeakagePanel) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: list[Any] = [
        Patch(facecolor=BAR, edgecolor=ATTACK.colour, label="attack, 95% interval")
    ]
    if any(row.verdict == "invalid" for row in panel.taps):
        entries.append(
            Patch(
                facecolor="white", edgecolor=ATTACK.colour, linestyle="--", label="attack, invalid"
            )
        )
    kinds = {mark.kind for row in panel.taps for mark in row.references}
    for kind, word in ((FLOOR, "floors"), (CONTROL, "control"), (CEILING, "ceiling")):
        if kind in kinds:
            entries.append(
                Line2D(
                    *([], []),
                    linestyle="none",
                    marker=kind.marker,
                    color=kind.colour,
                    markerfacecolor=kind.colour if kind.filled else "white",
                    markeredgewidth=1.4,
                    label=word,
                )
            )
    figure.legend(
        handles=entries,
        loc="outside upper left",
        frameon=False,
        ncols=3,
        fontsize=7.5,
        columnspacing=1.2,
        handletextpad=0.5,
        labelcolor=MUTED,
    )


def _shown(value: float) -> float:
    return min(max(value, LEFT), 1.0)
