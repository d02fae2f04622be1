"""A gate's answer as a table: for the terminal, and as Markdown for a pull request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from esrt_privacy.errors import ReportError
from esrt_privacy.reports import wording
from esrt_privacy.reports.markdown_text import table, text
from esrt_privacy.reports.policy import Checked, GateResult

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MOST_ROWS = 200  # of a Markdown table
HEADS = ("", "rule", "about", "value (interval)", "wanted", "why")


def verdict_line(result: GateResult) -> str:
    """Passed or failed, with the count, in a sentence."""
    failed = sum(not line.passed for line in result.lines)
    named = f" ({wording.plain(result.title)})" if result.title else ""
    about = f"{wording.plain(result.system)} on {wording.plain(result.corpus)}"
    if failed:
        return f"Privacy gate{named} failed for {about}: {failed} of {len(result.lines)} checks."
    return f"Privacy gate{named} passed for {about}: all {len(result.lines)} checks."


def print_gate(result: GateResult, console: Console) -> None:
    """The table, then the answer in a sentence."""
    from rich.text import Text

    console.print(gate_table(result))
    console.print(Text(verdict_line(result), style="bold green" if result.passed else "bold red"))


def gate_table(result: GateResult) -> Table:
    """A row for each check, those that failed first."""
    from rich.table import Table
    from rich.text import Text

    made = Table(header_style="bold")
    for head in HEADS:
        made.add_column(
            head, justify="right" if head.startswith("value") else "left", overflow="fold"
        )
    for line in _failed_first(result):
        # Text, not str: names and metrics must not be read as rich's markup.
        state, *cells = _cells(line)
        made.add_row(Text(state, style="green" if line.passed else "bold red"), *map(Text, cells))
    return made


def render_markdown(result: GateResult) -> str:
    """The gate as Markdown; at most MOST_ROWS checks, those that failed first."""
    lines = _failed_first(result)
    sign = "✅" if result.passed else "❌"
    parts = [
        f"### {sign} {text(verdict_line(result))}\n",
        table(HEADS, ([*map(text, _cells(line))] for line in lines[:MOST_ROWS])),
    ]
    if len(lines) > MOST_ROWS:
        parts.append(f"{len(lines) - MOST_ROWS} more checks are not shown.\n")
    return "\n".join(parts)


def add_markdown(result: GateResult, path: Path) -> None:
    """Add the gate to the end of a file, as a step summary wants it: what stands there already stays.

    Raises ReportError where it cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(render_markdown(result))
    except OSError as error:
        raise ReportError(
            f"{path} cannot be written ({error.strerror}); give another file as --markdown"
        ) from error


def _failed_first(result: GateResult) -> list[Checked]:
    return sorted(result.lines, key=lambda line: line.passed)


def _cells(line: Checked) -> tuple[str, ...]:
    value = "–" if line.estimate is None else wording.with_bounds(line.estimate, line.unit)
    return (
        "pass" if line.passed else "FAIL",
        wording.plain(line.rule),
        wording.plain(line.subject),
        value,
        wording.plain(line.wanted),
        wording.plain(line.reason),
    )
