"""A comparison in words and tables: for the terminal, and as Markdown for a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from esrt_privacy.reports import wording
from esrt_privacy.reports.compare_differences import NO_REPLICATES
from esrt_privacy.reports.compare_record import Change, Comparison, Lone, Outcome
from esrt_privacy.reports.markdown_text import table, text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MOST_ROWS = 100  # shown: a pull request takes 65,536 characters
OUTCOME_STYLES: dict[Outcome, str] = {
    "worse": "bold red",
    "better": "green",
    "no clear change": "",
    "same answers": "dim",
    "not compared": "yellow",
}
HEADS = ("question", "outcome", "B leaks more by", "A", "B", "verdict")


def headline(comparison: Comparison) -> str:
    """What got worse and what better, in a sentence."""
    counts = Counter(change.outcome for change in comparison.changes)
    rest = [
        f"{count} {words}"
        for count, words in (
            (counts["no clear change"], "without a clear change"),
            (counts["same answers"], "with the same answers"),
            (counts["not compared"], "not to be compared"),
        )
        if count
    ]
    said = (
        f"Of {_counted(len(comparison.changes), 'figure')}, B ({wording.plain(comparison.b.system)} on"
        f" {wording.plain(comparison.b.corpus)}) gives away more than A"
        f" ({wording.plain(comparison.a.system)} on {wording.plain(comparison.a.corpus)}) in"
        f" {counts['worse']} and less in {counts['better']}"
    )
    return f"{'; '.join([said, ', '.join(rest)] if rest else [said])}."


def multiplicity(comparison: Comparison) -> str:
    """How far many differences at once can mislead, and what was done about it."""
    if not comparison.tested:
        return "No difference has an interval, so none can be said to be worse or better."
    chance = (1 - comparison.level) * comparison.tested
    return (
        f"{_counted(comparison.tested, 'difference')} with an interval of {comparison.level:.0%} each. Of these"
        f" intervals {comparison.excluding_zero} exclude zero, where about {chance:.1f} would by chance alone. Worse"
        " and better are only what remains so after Holm's correction for all of them."
    )


def labels(changes: Sequence[Change | Lone]) -> list[str]:
    """Each question in words, with the end of its id and its system where others would read alike."""
    short = [
        f"{wording.plain(c.metric)} at {wording.plain(c.tap)}: {wording.plain(c.attack)}, {c.attacker}"
        for c in changes
    ]
    ends = [f"{label} ({_slug(c)})" for label, c in zip(short, changes, strict=True)]
    some = _told_apart(short, ends)
    systems = [f"{label}, {_system(c)}" for label, c in zip(some, changes, strict=True)]
    return _told_apart(some, systems)


def more_leakage(change: Change) -> str:
    """The difference with its interval: "+4.2 points (1.0 to 7.4 points), paired"."""
    if change.leakage.value is None:
        return "–"
    ends = difference_bounds(change)
    shown = f"{difference_value(change)} ({ends})" if ends else difference_value(change)
    return f"{shown}, {pairing(change)}"


def difference_value(change: Change) -> str:
    """How much more B leaks: "+4.2 points"."""
    value = change.leakage.value
    sign = "+" if value is not None and value > 0 else ""
    return sign + wording.figure(value, change.unit).replace("%", " points")


def difference_bounds(change: Change) -> str:
    """The interval of a difference: "1.0 to 7.4 points"."""
    return wording.bounds(change.leakage, change.unit).replace("%", " points")


def pairing(change: Change) -> str:
    """ "paired", or "unpaired" with the reason, but for a run without any replicates: its notes say so."""
    if change.paired:
        return "paired"
    if change.outcome == "not compared" or change.note in ("", NO_REPLICATES):
        return "unpaired"
    return f"unpaired: {wording.plain(change.note)}"


def verdicts(change: Change) -> str:
    """ "not detected → leaks", or the one verdict of both."""
    before, after = change.a.verdict, change.b.verdict
    return before if before == after else f"{before} → {after}"


def outcome_words(change: Change) -> str:
    """The outcome, with why it was not compared."""
    if change.outcome != "not compared":
        return change.outcome
    return f"{change.outcome}: {wording.plain(change.note)}"


def render_markdown(comparison: Comparison) -> str:
    """The comparison as Markdown; at most MOST_ROWS changes, the rest counted."""
    shown = comparison.changes[:MOST_ROWS]
    parts = [
        "## Privacy audit: B against A\n",
        f"**{text(headline(comparison))}**\n",
        f"{text(multiplicity(comparison))}\n",
        table(HEADS, ([*map(text, cells)] for cells in rows(shown))),
    ]
    left = len(comparison.changes) - len(shown)
    if left:
        parts.append(f"{left} more are in comparison.json.\n")
    for name, lone in (("A", comparison.only_a), ("B", comparison.only_b)):
        if lone:
            parts.append(f"Only in {name}: {text(_listed(lone))}.\n")
    parts += [f"- {text(note)}" for note in comparison.notes]
    return "\n".join(parts).rstrip() + "\n"


def print_comparison(comparison: Comparison, console: Console) -> None:
    """The table of changes, then what it says in sentences."""
    from rich.text import Text

    console.print(comparison_table(comparison))
    for name, lone in (("A", comparison.only_a), ("B", comparison.only_b)):
        if lone:
            console.print(Text(f"Only in {name}: {_listed(lone)}."))
    for note in comparison.notes:
        console.print(Text(wording.plain(note)))
    console.print(Text(multiplicity(comparison)))
    console.print(Text(headline(comparison), style="bold"))


def comparison_table(comparison: Comparison) -> Table:
    """A row for each of the first MOST_ROWS questions, what got worse first; intervals of the difference only."""
    from rich.table import Table
    from rich.text import Text

    shown = comparison.changes[:MOST_ROWS]
    left = len(comparison.changes) - len(shown)
    made = Table(
        header_style="bold", caption=f"{left} more are in comparison.json" if left else None
    )
    for head in HEADS:
        right = head in ("A", "B", "B leaks more by")
        made.add_column(head, justify="right" if right else "left", overflow="fold")
    for change, (label, outcome, more, _, _, said) in zip(shown, rows(shown), strict=True):
        # Text, not str: names and metrics must not be read as rich's markup.
        made.add_row(
            Text(label),
            Text(outcome, style=OUTCOME_STYLES[change.outcome]),
            Text(more),
            Text(wording.figure(change.a.estimate.value, change.unit)),
            Text(wording.figure(change.b.estimate.value, change.unit)),
            Text(said),
        )
    return made


def rows(changes: Sequence[Change]) -> list[tuple[str, ...]]:
    """The cells of each change, under HEADS, as plain text."""
    return [
        (
            label,
            outcome_words(change),
            more_leakage(change),
            wording.with_bounds(change.a.estimate, change.unit),
            wording.with_bounds(change.b.estimate, change.unit),
            verdicts(change),
        )
        for label, change in zip(labels(changes), changes, strict=True)
    ]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _slug(of: Change | Lone) -> str:
    return of.slug if isinstance(of, Change) else of.finding.rpartition(".")[2]


def _system(of: Change | Lone) -> str:
    if isinstance(of, Lone):
        return wording.plain(of.system)
    both = dict.fromkeys((wording.plain(of.a.system), wording.plain(of.b.system)))
    return " and ".join(both)


def _told_apart(short: Sequence[str], long: Sequence[str]) -> list[str]:
    counts = Counter(short)
    return [b if counts[a] > 1 else a for a, b in zip(short, long, strict=True)]


def _listed(lone: tuple[Lone, ...], most: int = 12) -> str:
    names = labels(lone[:most])
    left = len(lone) - len(names)
    return "; ".join(names) + (f"; and {left} more" if left else "")
