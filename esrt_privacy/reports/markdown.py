"""The report for a pull request: the answer, the claims, and what leaks, as Markdown."""

from pathlib import Path

from esrt_privacy.findings import Run
from esrt_privacy.reports import wording
from esrt_privacy.reports.markdown_text import table, text
from esrt_privacy.reports.record import Report
from esrt_privacy.whole_file import write_whole

FILE_NAME = "report.md"
MOST_CLAIMS = 60  # rows; a claim has one for each system that was run
MOST_LEAKS = 20  # a comment that nobody reads to its end helps nobody


def write_markdown(report: Report, run: Run, folder: Path) -> Path:
    """Write `folder/report.md`, whole or not at all. Returns its path; raises ReportError."""
    path = folder / FILE_NAME
    write_whole(path, render_markdown(report, run).encode())
    return path


def render_markdown(report: Report, run: Run) -> str:
    """The text of report.md."""
    title = f"Privacy audit of {text(report.system)} on {text(report.corpus.name)}"
    parts = [f"## {title}\n", *(f"{text(sentence)}\n" for sentence in report.answer)]
    if report.subjects:
        parts.append(
            table(
                ("An attacker learns", "verdict", "figure"),
                ((text(s.subject), f"**{s.verdict}**", text(s.says)) for s in report.subjects),
            )
        )
    if report.claims:
        parts += ["### Claims\n", _claims(report)]
    parts += _leaks(run)
    parts.append(
        f"Made by esrt-privacy {text(report.tool_version)} with `{_code(report.command)}`;"
        " report.html holds every figure with its interval, floors and controls.\n"
    )
    return "\n".join(parts)


def _claims(report: Report) -> str:
    told = table(
        ("claim", "said of", "verdict", "run on", "verdict there"),
        (
            (
                text(c.sentence),
                text(c.about),
                c.verdict,
                text(c.run_system or "–"),
                f"**{c.run_verdict}**" if c.run_verdict else "–",
            )
            for c in report.claims[:MOST_CLAIMS]
        ),
    )
    more = len(report.claims) - MOST_CLAIMS
    return f"{told}\n{more} more verdicts stand in report.html.\n" if more > 0 else told


def _leaks(run: Run) -> list[str]:
    leaks = [f for f in run.findings if f.verdict == "leaks"]
    if not leaks:
        return ["### Leaks\n", "No finding is a leak.\n"]
    rows = []
    for finding in leaks[:MOST_LEAKS]:
        floor = wording.strongest_floor(finding)
        beaten = f"{floor[0]}: {wording.figure(floor[1].value, finding.unit)}" if floor else "–"
        rows.append(
            (
                text(finding.tap),
                text(wording.attack_by(finding)),
                text(finding.metric),
                text(wording.with_bounds(finding.estimate, finding.unit)),
                text(beaten),
            )
        )
    told = ["### Leaks\n", table(("tap", "attack", "metric", "value", "strongest floor"), rows)]
    if len(leaks) > MOST_LEAKS:
        told.append(f"{len(leaks) - MOST_LEAKS} more leaks stand in report.html.\n")
    return told


def _code(command: str) -> str:
    """Inside a code span only a backquote ends it."""
    return wording.plain(command).replace("`", "'")
