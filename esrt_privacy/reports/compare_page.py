"""A comparison as one HTML page that opens offline, with a picture of the differences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from esrt_privacy.reports import compare_tables, wording
from esrt_privacy.reports.charts import Chart, Charts
from esrt_privacy.reports.compare_record import Change, Comparison, Outcome
from esrt_privacy.reports.figures.forest import ForestRow, interval_axes
from esrt_privacy.reports.figures.style import (
    ATTACK,
    CONTROL,
    FLOOR,
    INK,
    Kind,
    inline_svg,
    styled,
)
from esrt_privacy.reports.page import page_environment
from esrt_privacy.whole_file import write_whole

PAGE_NAME = "comparison.html"
MARKDOWN_NAME = "comparison.md"
MOST_DRAWN = 24  # differences in one picture
MOST_ROWS = 1000  # of the page's table
KINDS: dict[Outcome, Kind] = {"worse": ATTACK, "better": CONTROL}


def write_page(comparison: Comparison, folder: Path) -> Path:
    """Write `folder/comparison.html`; its path. Raises ReportError where the folder cannot be written."""
    path = folder / PAGE_NAME
    write_whole(path, render_page(comparison).encode())
    return path


def write_markdown(comparison: Comparison, folder: Path) -> Path:
    """Write `folder/comparison.md`; its path. Raises ReportError where the folder cannot be written."""
    path = folder / MARKDOWN_NAME
    write_whole(path, compare_tables.render_markdown(comparison).encode())
    return path


def render_page(comparison: Comparison) -> str:
    """The page's HTML: no scripts, no requests, all inside."""
    shown = comparison.changes[:MOST_ROWS]
    rows = zip(shown, compare_tables.rows(shown), strict=True)
    return (
        page_environment()
        .get_template("comparison.html.j2")
        .render(
            comparison=comparison,
            headline=compare_tables.headline(comparison),
            multiplicity=compare_tables.multiplicity(comparison),
            heads=compare_tables.HEADS,
            rows=list(rows),
            left_out=len(comparison.changes) - len(shown),
            charts=difference_charts(comparison.changes),
            lone=[
                (name, list(zip(compare_tables.labels(each), each, strict=True)))
                for name, each in (("A", comparison.only_a), ("B", comparison.only_b))
                if each
            ],
            words=wording,
            tables=compare_tables,
        )
    )


def difference_charts(changes: Sequence[Change]) -> Charts:
    """A picture for each unit, in each the first MOST_DRAWN of its differences."""
    by_unit: dict[str, list[Change]] = {}
    for change in changes:
        if change.leakage.low is not None:
            by_unit.setdefault(change.unit, []).append(change)
    charts = []
    for number, (unit, group) in enumerate(by_unit.items(), 1):
        drawn = group[:MOST_DRAWN]
        scale = {"%": "percentage points", "": "plain numbers"}.get(unit, wording.plain(unit))
        left = len(group) - len(drawn)
        charts.append(
            Chart(
                f"Differences in {scale}",
                differences_svg(drawn, f"differences{number}"),
                f"the first {len(drawn)} of {len(group)}" if left else f"{len(drawn)} figures",
            )
        )
    return Charts(tuple(charts), len(charts))


@styled
def differences_svg(changes: Sequence[Change], name: str) -> str:
    """How much more B leaks, with intervals, as inline SVG: differences of one unit, the first on top."""
    said = compare_tables.labels(changes)
    rows = [
        ForestRow(label, change.leakage, KINDS.get(change.outcome, FLOOR))
        for label, change in zip(said, changes, strict=True)
    ]
    figure, axes = interval_axes(rows)
    axes.axvline(0.0, color=INK, linewidth=1, zorder=1.9)  # behind the intervals
    axes.set_xlabel("B leaks more →", loc="right")
    told = "; ".join(
        f"{label}: {compare_tables.more_leakage(change)}, {change.outcome}"
        for label, change in zip(said, changes, strict=True)
    )
    return inline_svg(figure, name, f"{told}.", "How much more B leaks than A")
