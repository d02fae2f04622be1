"""Which pictures a page shows, with their titles, captions and what a reader who cannot see them is told."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from esrt_privacy.findings import BudgetPoint, Finding, Run
from esrt_privacy.reports import figures, wording

# Pictures of a kind; each takes a tenth to a third of a second, and a page of hundreds is read by nobody.
MOST_FORESTS = 12
MOST_PANELS = 9
MOST_CURVES = 6
MOST_CONFUSIONS = 6
MOST_LENGTHS = 4
MOST_BUDGETS = 6
MOST_ATTACKS = 12  # in one chart; floors, controls and ceilings come beside them


@dataclass(frozen=True)
class Chart:
    """A drawn figure and the words over it."""

    title: str
    svg: str
    caption: str


@dataclass(frozen=True)
class Charts:
    """The charts of one kind that a page holds, of those that there are."""

    shown: tuple[Chart, ...]
    of: int

    @property
    def left_out(self) -> int:
        """How many were not drawn, to keep the page small."""
        return self.of - len(self.shown)


@dataclass(frozen=True)
class PictureSection:
    """A section of the page that holds one kind of picture."""

    anchor: str
    short: str  # in the contents
    title: str
    says: str
    charts: Charts


def leakage_charts(findings: Sequence[Finding]) -> Charts:
    """A bar chart over the taps for each question, all on one scale from chance to certainty."""
    panels = figures.leakage_panels(findings)
    drawn = [
        Chart(panel.title, figures.leakage_svg(panel, f"leakage{number}"), panel.caption)
        for number, panel in enumerate(panels[:MOST_PANELS], 1)
    ]
    return Charts(tuple(drawn), len(panels))


def picture_sections(run: Run) -> tuple[PictureSection, ...]:
    """What the run has curves, tables or pairs for, in the report's order."""
    sections = (
        PictureSection(
            "det",
            "DET curves",
            "Trade-off of misses and false alarms",
            "How an attacker who compares tensors can weigh misses against false alarms (DET curves). The nearer a"
            " curve comes to the lower left, the more the tensors give away; on the dotted line it is chance.",
            _det_charts(run),
        ),
        PictureSection(
            "confusion",
            "Confusions",
            "What was answered for what",
            "A row is what was true, a column what the attacker answered. Counts on the diagonal are right.",
            _confusion_charts(run),
        ),
        PictureSection(
            "lengths",
            "Durations",
            "True and inferred duration",
            "Each point is a recording. The nearer to the line, the better the attacker knows how long it was.",
            _length_charts(run),
        ),
    )
    return tuple(section for section in sections if section.charts.of)


def _det_charts(run: Run) -> Charts:
    groups = figures.det_groups(run.det_curves)
    drawn = [
        Chart(figures.det_title(group), figures.det_svg(group, f"det{number}"), _on(run))
        for number, group in enumerate(groups[:MOST_CURVES], 1)
    ]
    return Charts(tuple(drawn), len(groups))


def _confusion_charts(run: Run) -> Charts:
    drawn = [
        Chart(
            figures.confusion_title(confusion),
            figures.confusion_svg(confusion, f"confusion{number}"),
            _on(run),
        )
        for number, confusion in enumerate(run.confusions[:MOST_CONFUSIONS], 1)
    ]
    return Charts(tuple(drawn), len(run.confusions))


def _length_charts(run: Run) -> Charts:
    drawn = [
        Chart(
            figures.lengths_title(lengths),
            figures.lengths_svg(lengths, f"lengths{number}"),
            f"{_on(run)}{f'; {wording.plain(lengths.thinning)}' if lengths.thinning else ''}",
        )
        for number, lengths in enumerate(run.lengths[:MOST_LENGTHS], 1)
    ]
    return Charts(tuple(drawn), len(run.lengths))


def _on(run: Run) -> str:
    return f"on {wording.plain(run.corpus.name)}"


def forest_charts(findings: Sequence[Finding]) -> Charts:
    """A forest plot for each metric that was measured at all, in the findings' order."""
    gathered: dict[tuple[str, str, str, str], list[Finding]] = {}
    for finding in findings:
        if any(row.interval.value is not None for row in figures.forest_rows([finding])):
            key = (finding.system, finding.attack, finding.metric, finding.unit)
            gathered.setdefault(key, []).append(finding)
    groups = list(gathered.values())
    drawn = [_forest(group, number) for number, group in enumerate(groups[:MOST_FORESTS], 1)]
    return Charts(tuple(drawn), len(groups))


def _forest(group: Sequence[Finding], number: int) -> Chart:
    first, kept = group[0], group[:MOST_ATTACKS]
    title = wording.scale(first.metric, first.unit)
    rows = [row for row in figures.forest_rows(kept) if row.interval.value is not None]
    values = "; ".join(f"{r.label}: {wording.with_bounds(r.interval, first.unit)}" for r in rows)
    corpora = ", ".join(dict.fromkeys(wording.plain(f.corpus) for f in kept))
    more = len(group) - len(kept)
    left_out = f"; {more} more in the table of findings" if more else ""
    return Chart(
        title=title,
        svg=figures.forest_svg(kept, f"forest{number}", f"{title}. {values}."),
        caption=f"{wording.plain(first.attack)} attack on {wording.plain(first.system)}, {corpora}{left_out}",
    )


def budget_charts(run: Run) -> Charts:
    """A curve figure for each system and metric and each way of counting the training."""
    gathered: dict[tuple[str, str, str, str], list[BudgetPoint]] = {}
    for point in run.budget:
        key = (point.system or run.system, point.metric, point.unit, point.amount_unit)
        gathered.setdefault(key, []).append(point)
    groups = [
        (key[0], points)
        for key, points in gathered.items()
        if any(point.value is not None for point in points)
    ]
    drawn = []
    for number, (system, points) in enumerate(groups[:MOST_BUDGETS], 1):
        title = wording.scale(points[0].metric, points[0].unit)
        values = "; ".join(
            f"{wording.plain(p.tap)}, {p.amount:g} {p.amount_unit}: "
            f"{wording.figure(p.value, p.unit)}"
            for p in points
        )
        drawn.append(
            Chart(
                title=title,
                svg=figures.budget_svg(
                    points, f"budget{number}", f"{title} against training. {values}."
                ),
                caption=f"{wording.plain(system)} on {wording.plain(run.corpus.name)}",
            )
        )
    return Charts(tuple(drawn), len(groups))


def interval_methods(findings: Iterable[Finding]) -> list[str]:
    """How the intervals were made, each way once, in words."""
    ways = {
        f"{finding.estimate.level:.0%}: {wording.plain(finding.estimate.method)}": None
        for finding in findings
        if finding.estimate.method
    }
    return list(ways)
