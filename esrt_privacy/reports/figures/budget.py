"""Budget curves: what an attacker reaches against what it trains with."""

from collections.abc import Sequence

from esrt_privacy.findings import BudgetPoint
from esrt_privacy.reports.figures.style import (
    GRID,
    INK,
    MOST_LINES,
    few_ticks,
    inline_svg,
    line_styles,
    plot_axes,
    shortened,
    styled,
)
from esrt_privacy.reports.wording import plain, scale

LOG_FROM = 20  # times the least amount


@styled
def budget_svg(points: Sequence[BudgetPoint], name: str, alt: str) -> str:
    """One metric against the attacker's training, a line a tap and system, as inline SVG.

    All points must share metric, unit and kind of amount. A point that the attack would still have improved on is
    ringed: it is a bound. Beyond MOST_LINES lines the others are left out, and the picture says so.
    """
    figure, axes = plot_axes(height=2.6)
    axes.spines["left"].set_visible(True)
    measured = [point for point in points if point.value is not None]
    lines = list(dict.fromkeys((point.system, point.tap) for point in measured))
    several = len({system for system, _ in lines}) > 1
    shown = lines[:MOST_LINES]
    for line, (system, tap) in zip(line_styles(len(shown)), shown, strict=True):
        own = sorted(
            (p.amount, p.value, p.bound) for p in measured if (p.system, p.tap) == (system, tap)
        )
        axes.plot(
            [amount for amount, _, _ in own],
            [value for _, value, _ in own],
            color=line.kind.colour,
            marker=line.kind.marker,
            markerfacecolor=line.kind.colour if line.kind.filled else "white",
            linestyle=line.dashes,
            label=shortened(plain(f"{system}, {tap}" if several else tap), 30),
        )
    bounds = [(p.amount, p.value) for p in measured if p.bound and (p.system, p.tap) in shown]
    if bounds:
        axes.plot(
            [amount for amount, _ in bounds],
            [value for _, value in bounds],
            linestyle="none",
            marker="o",
            markersize=12,
            markerfacecolor="none",
            color=INK,
            markeredgewidth=0.9,
            label="still improving: a bound",
        )
    amounts = [point.amount for point in points]
    if min(amounts) > 0 and max(amounts) / min(amounts) > LOG_FROM:
        axes.set_xscale("log")
        # The usual 10^n is math, which no text of a run is read as.
        axes.xaxis.set_major_formatter(lambda amount, _: f"{amount:,g}")
        axes.xaxis.set_minor_formatter(lambda amount, _: "")
    elif len(set(amounts)) == 1:
        axes.set_xticks(amounts[:1], [f"{amounts[0]:,g}"])
    else:
        few_ticks(axes)
    axes.margins(x=0.08, y=0.12)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    first = points[0]
    left_out = len(lines) - len(shown)
    axes.set_xlabel(
        f"training ({first.amount_unit})"
        + (f"; {left_out} more lines are not drawn" if left_out else "")
    )
    axes.set_ylabel(shortened(scale(first.metric, first.unit), 22))  # whole in the title
    if lines:
        figure.legend(loc="outside upper left", frameon=False, ncols=2, fontsize=8)
    return inline_svg(figure, name, alt)
