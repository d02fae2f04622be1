"""The audit report as one HTML file that opens offline: no scripts, no requests, all inside."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esrt_privacy.bandwidth.record import Bandwidth
from esrt_privacy.errors import ReportError
from esrt_privacy.findings import Finding, Run
from esrt_privacy.reports import charts, wording
from esrt_privacy.reports.answer import Subject, subjects
from esrt_privacy.reports.claim_rules import ClaimVerdict, Evidence
from esrt_privacy.reports.figures.leakage import CONTROL_TAP, tap_place
from esrt_privacy.reports.media import Shown, show_examples
from esrt_privacy.reports.page_templates import template_environment
from esrt_privacy.reports.record import Report
from esrt_privacy.whole_file import write_whole

if TYPE_CHECKING:
    from jinja2 import Environment

PAGE_NAME = "report.html"
MOST_PAGE_BYTES = 19 * 2**20  # under 20 MB, with what surrounds the media
MOST_EXAMPLES = 6
MOST_MEDIA_BYTES = 13 * 2**20
ROOM_FOR_WORDS = 32 * 2**10  # around the examples' sounds and pictures
FEW_FINDINGS = 60  # more are folded away, with their summary before them
MOST_PLACES = 21  # columns of the table of verdicts
MOST_SYSTEMS = 4  # with a verdict in a claim's row; its reasons have all
MOST_PRINTED = 200  # findings on paper; the file findings.json has all

EXAMPLES_HERE = "<!-- examples -->"  # their room is what the rest leaves; text of a run is escaped

KINDS = {
    "privacy": "Privacy",
    "bandwidth": "Bandwidth",
    "resources": "Memory",
    "arithmetic": "Printed figures, recomputed",
}


@dataclass(frozen=True)
class TapGroup:
    """The findings about one tap of one system, in the run's order."""

    system: str
    tap: str
    findings: tuple[Finding, ...]
    of: int  # findings of this tap, printed or not

    @property
    def control_rules(self) -> list[str]:
        """What the controls must reach, each rule once."""
        rules = (
            f"the {f.control_name} must reach {f.control_rule}" for f in self.findings if f.control
        )
        return list(dict.fromkeys(rules))


@dataclass(frozen=True)
class Matrix:
    """What each tap gives away of each subject: `cells[subject][place]`, None where nothing was asked."""

    places: tuple[tuple[str, str], ...]  # (system, tap)
    of: int  # places, shown or not
    rows: tuple[tuple[str, tuple[Subject | None, ...]], ...]


@dataclass(frozen=True)
class ClaimRow:
    """One claim with a verdict for each system that was run."""

    claim: ClaimVerdict
    runs: tuple[ClaimVerdict, ...]


def write_page(
    report: Report,
    run: Run,
    folder: Path,
    evidence: Evidence,
    out: Path | None = None,
    most_bytes: int | None = None,
) -> Path:
    """Writes `report.html` to `out`, by default `folder`, where the run's sound files lie.

    The page is self-contained: charts are inline SVG, spectrograms PNG and sounds FLAC as data
    URIs, and a content security policy forbids everything else. At most MOST_EXAMPLES examples
    are embedded, fewer where the page would pass MOST_PAGE_BYTES or `most_bytes`, and the page
    says so. Returns the page's path; raises ReportError when the folder cannot be written, or when
    the page has more than `most_bytes` without any example.
    """
    path = (out or folder) / PAGE_NAME
    page = render_page(report, run, folder, evidence, most_bytes=most_bytes).encode()
    if most_bytes is not None and len(page) > most_bytes:
        raise ReportError(
            f"{path}: the page takes {len(page) / 1e6:.1f} MB without any example; allow as much,"
            " or leave the limit out"
        )
    write_whole(path, page)
    return path


def render_page(
    report: Report,
    run: Run,
    folder: Path,
    evidence: Evidence,
    printed: bool = False,
    most_bytes: int | None = None,
) -> str:
    """The page's HTML; `printed` is for paper: no players, nothing folded away, not every finding.

    `folder` is where the examples' sound files lie; they are left out where the page would pass `most_bytes`.
    """
    view = _view(report, run, evidence.bandwidth, printed)
    environment = page_environment()
    page = environment.get_template("report.html.j2").render(**view)
    most = MOST_PAGE_BYTES if most_bytes is None else min(MOST_PAGE_BYTES, most_bytes)
    left = min(MOST_MEDIA_BYTES, most - len(page.encode()) - ROOM_FOR_WORDS)
    shown = show_examples(run.examples, folder, MOST_EXAMPLES, left)
    if printed:
        shown = [_without_sound(each) for each in shown]
    examples = environment.get_template("examples.html.j2").render(**view, shown=shown)
    return page.replace(EXAMPLES_HERE, examples, 1)


def _view(report: Report, run: Run, bandwidth: Bandwidth | None, printed: bool) -> dict[str, Any]:
    """What the template reads, but for the examples."""
    groups = tap_groups(run.findings, MOST_PRINTED if printed else None)
    return {
        "report": report,
        "run": run,
        "printed": printed,
        "words": wording,
        "kinds": KINDS,
        "gravest": report.subjects[0].verdict if report.subjects else "untested",
        "most_systems": MOST_SYSTEMS,
        "claims": claim_rows(report.claims),
        "groups": groups,
        "folded": len(run.findings) > FEW_FINDINGS and not printed,
        "printed_of": sum(len(group.findings) for group in groups),
        "matrix": matrix(run.findings),
        "control_tap": CONTROL_TAP,
        "several": len({finding.system for finding in run.findings}) > 1,
        "bars": charts.leakage_charts(run.findings),
        "pictures": charts.picture_sections(run),
        "linked": {finding.id for group in groups for finding in group.findings},
        "forests": charts.forest_charts(run.findings),
        "budgets": charts.budget_charts(run),
        "attackers": sorted({(f.attacker, f.position) for f in run.findings}),
        "interval_methods": charts.interval_methods(run.findings),
        "bandwidth_svg": None if bandwidth is None else _sizes(bandwidth),
        "panel_alt": panel_alt,
    }


def page_environment() -> "Environment":
    """The templates of this room, with the filters of its pages."""
    environment = template_environment()
    environment.filters |= {
        "language_tag": wording.language_tag,
        "sentence": lambda text: text[:1].upper() + text[1:],
    }
    return environment


def _sizes(record: Bandwidth) -> str:
    from esrt_privacy.bandwidth.figures import sizes_svg

    return sizes_svg(record, "bandwidth")


def tap_groups(findings: Sequence[Finding], most: int | None = None) -> list[TapGroup]:
    """Findings gathered by system and tap, each group where its first finding stands; at most `most` of them all."""
    gathered: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        gathered.setdefault((finding.system, finding.tap), []).append(finding)
    groups, left = [], len(findings) if most is None else most
    for (system, tap), group in gathered.items():
        groups.append(TapGroup(system, tap, tuple(group[:left]), len(group)))
        left = max(left - len(group), 0)
    return groups


def matrix(findings: Iterable[Finding]) -> Matrix:
    """Subjects by taps: systems as they come, the taps of each from the microphone to the LLM."""
    by_place: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        by_place.setdefault((finding.system, finding.tap), []).append(finding)
    systems = list(dict.fromkeys(system for system, _ in by_place))
    places = sorted(by_place, key=lambda place: (systems.index(place[0]), tap_place(place[1])))
    cells = {place: {s.name: s for s in subjects(by_place[place])} for place in by_place}
    names = dict.fromkeys(name for row in cells.values() for name in row)
    count, places = len(places), places[:MOST_PLACES]
    return Matrix(
        tuple(places),
        count,
        tuple((name, tuple(cells[place].get(name) for place in places)) for name in names),
    )


def claim_rows(claims: Iterable[ClaimVerdict]) -> dict[str, list[ClaimRow]]:
    """Claims by kind, each once, with its verdicts on what was run."""
    gathered: dict[str, list[ClaimVerdict]] = {}
    for verdict in claims:
        gathered.setdefault(verdict.claim, []).append(verdict)
    rows: dict[str, list[ClaimRow]] = {kind: [] for kind in KINDS}
    for group in gathered.values():
        runs = tuple(v for v in group if v.run_verdict is not None)
        rows[group[0].kind].append(ClaimRow(group[0], runs))
    return {kind: own for kind, own in rows.items() if own}


def _without_sound(shown: Shown) -> Shown:
    return replace(shown, panels=tuple(replace(panel, audio="") for panel in shown.panels))


def panel_alt(shown: Shown, title: str) -> str:
    """What a reader who cannot see a spectrogram is told."""
    utterance = wording.plain(shown.example.utterance)
    return f"Spectrogram of utterance {utterance}: {title.lower()}"
