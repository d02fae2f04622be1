"""The findings of a run as a table for the terminal."""

from typing import TYPE_CHECKING

from esrt_privacy.findings import Finding, Interval, Run, Verdict
from esrt_privacy.reports import wording

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

VERDICT_STYLES: dict[Verdict, str] = {
    "leaks": "bold red",
    "invalid": "bold magenta",
    "inconclusive": "yellow",
    "not detected": "cyan",
    "untested": "dim",
}


def print_summary(run: Run, console: "Console | None" = None) -> None:
    """Prints the verdict in a sentence and the table of findings."""
    from rich.console import Console
    from rich.text import Text

    console = console or Console()
    console.print(summary_table(run))
    console.print(Text(wording.headline(run), style="bold"))


def summary_table(run: Run) -> "Table":
    """A row for each finding: attack and attacker, metric, value with interval, strongest floor, control, verdict."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(f"{wording.plain(run.system)} on {wording.plain(run.corpus.name)}"),
        title_justify="left",
        header_style="bold",
    )
    table.add_column("tap")
    table.add_column("attack")
    table.add_column("metric", overflow="fold")
    table.add_column("value (interval)", justify="right")
    table.add_column("floor", justify="right")
    table.add_column("ceiling", justify="right")
    table.add_column("control", justify="right")
    table.add_column("verdict", no_wrap=True)
    for finding in run.findings:
        # Text, not str: names and metrics must not be read as rich's markup.
        table.add_row(
            Text(wording.plain(finding.tap)),
            Text(wording.attack_by(finding)),
            Text(_metric(finding, run)),
            Text(wording.with_bounds(finding.estimate, finding.unit)),
            Text(_floor(finding)),
            Text(_value(finding.ceiling, finding.unit)),
            Text(_control(finding)),
            Text(finding.verdict, style=VERDICT_STYLES[finding.verdict]),
        )
    return table


def _metric(finding: Finding, run: Run) -> str:
    """The metric, with the end of the finding's id where an attack measures it more than once at a tap."""

    def asked(of: Finding) -> tuple[str, ...]:
        return of.system, of.tap, of.attack, of.attacker, of.metric

    metric = wording.plain(finding.metric)
    if sum(asked(other) == asked(finding) for other in run.findings) < 2:
        return metric
    return f"{metric} ({finding.id.rpartition('.')[2]})"


def _floor(finding: Finding) -> str:
    floor = wording.strongest_floor(finding)
    return _value(floor[1], finding.unit) if floor else "–"


def _value(interval: Interval | None, unit: str) -> str:
    return "–" if interval is None else wording.figure(interval.value, unit)


def _control(finding: Finding) -> str:
    if finding.control is None:
        return "–"
    passed = "passed" if finding.control_passed else "failed"
    return f"{wording.figure(finding.control.value, finding.unit)} {passed}"
