"""The audit report as one HTML file that opens offline: no scripts, no requests, all inside."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from esrt_privacy.findings import BudgetPoint, Finding, Run, write_whole
from esrt_privacy.reports import wording
from esrt_privacy.reports.figures import budget_svg, forest_rows, forest_svg
from esrt_privacy.reports.media import Shown, show_examples

PAGE_NAME = "report.html"
MOST_EXAMPLES = 8
MAX_MEDIA_BYTES = 13 * 2**20  # with the rest of the page, under 15 MB

VERDICT_SIGNS = {
    "leaks": "▲",
    "invalid": "✕",
    "inconclusive": "◐",
    "not detected": "○",
    "untested": "–",
}


@dataclass(frozen=True)
class TapGroup:
    """The findings about one tap of one system, in the run's order."""

    system: str
    tap: str
    findings: tuple[Finding, ...]

    @property
    def control_rules(self) -> list[str]:
        """What the controls must reach, each rule once."""
        rules = (
            f"the {f.control_name} must reach {f.control_rule}" for f in self.findings if f.control
        )
        return list(dict.fromkeys(rules))


@dataclass(frozen=True)
class Chart:
    """A drawn figure and the words under it."""

    title: str
    svg: str
    caption: str


def write_page(run: Run, folder: Path) -> Path:
    """Writes `folder/report.html` from a run and the sound files in the same folder.

    The page is self-contained: charts are inline SVG, spectrograms PNG and sounds FLAC as data
    URIs, and a content security policy forbids everything else. At most MOST_EXAMPLES examples
    and MAX_MEDIA_BYTES of media are embedded, and the page says so. Returns the page's path;
    raises ReportError when the folder cannot be written.
    """
    path = folder / PAGE_NAME
    write_whole(path, render_page(run, folder).encode())
    return path


def render_page(run: Run, folder: Path) -> str:
    """The page's HTML. `folder` is where the examples' sound files lie."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("esrt_privacy.reports", "templates"),
        autoescape=True,  # a corpus can be hostile: ids, names and transcripts are only text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": wording.plain, "language_tag": wording.language_tag}
    return environment.get_template("report.html.j2").render(
        run=run,
        words=wording,
        signs=VERDICT_SIGNS,
        lead=wording.leading_finding(run),
        groups=tap_groups(run.findings),
        forests=forest_charts(run.findings),
        budgets=budget_charts(run),
        shown=show_examples(run.examples, folder, MOST_EXAMPLES, MAX_MEDIA_BYTES),
        attackers=sorted({(f.attacker, f.position) for f in run.findings}),
        interval_methods=interval_methods(run.findings),
        panel_alt=panel_alt,
        fingerprints={"corpus": run.corpus.fingerprint, **run.fingerprints},
        versions={"esrt-privacy": run.tool_version, **run.versions},
    )


def tap_groups(findings: Sequence[Finding]) -> list[TapGroup]:
    """Findings gathered by system and tap, each group where its first finding stands."""
    gathered: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        gathered.setdefault((finding.system, finding.tap), []).append(finding)
    return [TapGroup(system, tap, tuple(group)) for (system, tap), group in gathered.items()]


def forest_charts(findings: Sequence[Finding]) -> list[Chart]:
    """A forest plot for each metric that was measured at all."""
    gathered: dict[tuple[str, str, str, str], list[Finding]] = {}
    for finding in findings:
        key = (finding.system, finding.attack, finding.metric, finding.unit)
        gathered.setdefault(key, []).append(finding)
    charts = []
    for number, ((system, attack, metric, unit), group) in enumerate(gathered.items(), 1):
        rows = [row for row in forest_rows(group) if row.interval.value is not None]
        if not rows:
            continue
        title = wording.scale(metric, unit)
        values = "; ".join(f"{r.label}: {wording.with_bounds(r.interval, unit)}" for r in rows)
        corpora = ", ".join(dict.fromkeys(wording.plain(f.corpus) for f in group))
        charts.append(
            Chart(
                title=title,
                svg=forest_svg(group, f"forest{number}", f"{title}. {values}."),
                caption=f"{wording.plain(attack)} attack on {wording.plain(system)}, {corpora}",
            )
        )
    return charts


def budget_charts(run: Run) -> list[Chart]:
    """A curve figure for each metric and each way of counting the training."""
    gathered: dict[tuple[str, str, str], list[BudgetPoint]] = {}
    for point in run.budget:
        gathered.setdefault((point.metric, point.unit, point.amount_unit), []).append(point)
    charts = []
    for number, points in enumerate(gathered.values(), 1):
        if all(point.value is None for point in points):
            continue
        title = wording.scale(points[0].metric, points[0].unit)
        values = "; ".join(
            f"{wording.plain(p.tap)}, {p.amount:g} {p.amount_unit}: "
            f"{wording.figure(p.value, p.unit)}"
            for p in points
        )
        charts.append(
            Chart(
                title=title,
                svg=budget_svg(points, f"budget{number}", f"{title} against training. {values}."),
                caption=f"{wording.plain(run.system)} on {wording.plain(run.corpus.name)}",
            )
        )
    return charts


def interval_methods(findings: Sequence[Finding]) -> list[str]:
    """How the intervals were made, each way once, in words."""
    ways = {
        f"{finding.estimate.level:.0%}: {wording.plain(finding.estimate.method)}": None
        for finding in findings
        if finding.estimate.method
    }
    return list(ways)


def panel_alt(shown: Shown, title: str) -> str:
    """What a reader who cannot see a spectrogram is told."""
    utterance = wording.plain(shown.example.utterance)
    return f"Spectrogram of utterance {utterance}: {title.lower()}"
