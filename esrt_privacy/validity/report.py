"""A validity run as one HTML page that opens offline, in the style of the audit report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from esrt_privacy.reports.page_templates import template_environment
from esrt_privacy.validity import figures
from esrt_privacy.validity.probes import PROBES
from esrt_privacy.validity.record import BudgetCurve, Validity
from esrt_privacy.validity.shuffling import HOW
from esrt_privacy.validity.wording import answers, percent
from esrt_privacy.whole_file import write_whole

PAGE_NAME = "validity.html"


def write_page(record: Validity, folder: Path) -> Path:
    """Write `folder/validity.html`; its path. Raises ReportError where it cannot be written."""
    path = folder / PAGE_NAME
    write_whole(path, render_page(record).encode())
    return path


def render_page(record: Validity) -> str:
    """The page's HTML: no scripts, no requests, all inside."""
    environment = template_environment("validity")
    environment.filters |= {
        "percent": percent,
        "number": lambda value, digits=3: "–" if value is None else f"{value:.{digits}g}",
        "cell": figures.cell_label,
    }
    sources = {
        source: [r for r in record.false_alarms if r.source == source]
        for source in ("simulated", "reruns")
    }
    return environment.get_template("validity.html.j2").render(
        record=record,
        answers=answers(record),
        sources={name: rows for name, rows in sources.items() if rows},
        alarms={
            name: figures.alarms_svg(rows, f"alarms-{name}")
            for name, rows in sources.items()
            if rows
        },
        coverage=figures.coverage_svg(record.coverage, "coverage"),
        power=figures.power_svg(record.power, "power"),
        budgets=[
            (curves, figures.budget_svg(curves, f"budget-{number}"))
            for number, curves in enumerate(_grouped(record.budget))
        ],
        how={name: HOW[probe.label] for name, probe in PROBES.items()},
        versions={"esrt-privacy": record.tool_version, **record.versions},
    )


def _grouped(curves: Sequence[BudgetCurve]) -> list[list[BudgetCurve]]:
    """Curves that share their axes, as many as one picture can tell apart."""
    groups: dict[tuple[str, str, str], list[BudgetCurve]] = {}
    for curve in curves:
        groups.setdefault((curve.metric, curve.unit, curve.amount_unit), []).append(curve)
    most = figures.MOST_CURVES
    return [held[i : i + most] for held in groups.values() for i in range(0, len(held), most)]
