"""A bandwidth run in the terminal: arithmetic, sizes with quality, break-even, the connection, transfer times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esrt_privacy.bandwidth.connection_tables import Shown, languages_title, shaped_table
from esrt_privacy.bandwidth.record import Bandwidth
from esrt_privacy.bandwidth.report import (
    connection_tables,
    headline,
    measured,
    published_value,
    statement_value,
)
from esrt_privacy.bandwidth.units import shown_bytes, shown_seconds
from esrt_privacy.findings import Interval
from esrt_privacy.reports.wording import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


def print_bandwidth(record: Bandwidth, console: Console) -> None:
    """Print every table and the headline."""
    from rich.text import Text

    console.print(arithmetic_table(record))
    console.print(sizes_table(record))
    console.print(break_even_table(record))
    for shown in connection_tables(record):
        console.print(_shown(shown))
    for table in seconds_tables(record):
        console.print(table)
    if record.shaped is not None and record.shaped.transfers:
        console.print(_shown(shaped_table(record.shaped)))
    console.print(Text(headline(record), style="bold"))
    console.print(Text(f"Counted: {record.counted}."))


def arithmetic_table(record: Bandwidth) -> Table:
    """Each figure computed, beside the published one."""
    table = _table("Arithmetic", ("", "formula"), ("computed", "published"))
    group = ""
    for row in record.statements:
        if row.group != group:
            group = row.group
            table.add_section()
            table.add_row(f"[bold]{group}[/bold]")
        published = published_value(row.published, row.unit)
        table.add_row(row.quantity, row.formula, statement_value(row.value, row.unit), published)
    return table


def sizes_table(record: Bandwidth) -> Table:
    """Bytes of every format, its STOI and WER where they were measured."""
    from rich.text import Text

    corpus = record.corpus
    title = (
        f"{corpus.samples} recordings of {plain(corpus.name)} ({corpus.distinct} distinct,"
        f" {corpus.seconds_mean:.1f} s on average)"
    )
    columns = ("total", "a recording", "kbit/s", "smaller", "STOI", "WER")
    table = _table(Text(title), ("format",), columns)
    heard = {row.name: row for row in record.quality}
    for row in record.formats:
        judged = heard.get(row.name)
        table.add_row(
            row.name,
            shown_bytes(row.total_bytes or 0.0),
            shown_bytes(row.bytes_per_recording.value or 0.0),
            f"{row.kbit_per_second or 0:.1f}",
            f"{row.times_smaller or 0:.3g}×",
            _value(judged.stoi if judged else None, "plain"),
            _value(judged.wer if judged else None, "percent"),
        )
    return table


def break_even_table(record: Bandwidth) -> Table:
    """From which duration each tensor is smaller than each audio format."""
    tensors = list(dict.fromkeys(row.tensor for row in record.break_even))
    plain_ones = [name for name in tensors if not name.endswith(("zstd", "json"))]
    says = {(row.audio, row.tensor): row.says for row in record.break_even}
    table = _table("The tensor is smaller …", ("than",), tuple(plain_ones))
    for audio in dict.fromkeys(row.audio for row in record.break_even):
        table.add_row(audio, *(says[audio, name] for name in plain_ones))
    return table


def seconds_tables(record: Bandwidth) -> list[Table]:
    """Computed seconds of one recording at the middle round trip; the report has all links."""
    trips = sorted({row.round_trip_ms for row in record.transfers})
    middle = trips[len(trips) // 2]
    rates = list(dict.fromkeys(row.rate_mbit for row in record.transfers))
    found = []
    for languages, cached in dict.fromkeys((r.languages, r.cached) for r in record.transfers):
        title = f"Seconds of one recording, {languages_title(languages, cached)}, {middle:g} ms round trip (computed)"
        table = _table(title, ("format",), tuple(f"{rate:g} Mbit/s" for rate in rates))
        cells: dict[str, list[str]] = {}
        for row in record.transfers:
            if (row.languages, row.cached, row.round_trip_ms) == (languages, cached, middle):
                seconds = shown_seconds(row.seconds_per_recording)
                cells.setdefault(row.name, []).append(seconds)
        for name, seconds_by_rate in cells.items():
            table.add_row(name, *seconds_by_rate)
        found.append(table)
    return found


def _shown(shown: Shown) -> Table:
    table = _table(shown.title, ("format",), shown.heads)
    for row in shown.rows:
        table.add_row(*row)
    return table


def _value(interval: Interval | None, kind: str) -> str:
    """The figure alone: the report has its interval."""
    if interval is None:
        return "–"
    return measured(interval.model_copy(update={"low": None, "high": None}), kind)


def _table(title: str | Text, left: tuple[str, ...], right: tuple[str, ...]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold")
    for place, head in enumerate(left):
        # a format's name is copied into options and scripts: never cut it
        table.add_column(head, no_wrap=place == 0 and head in ("format", "than"))
    for head in right:
        table.add_column(head, justify="right")
    return table
