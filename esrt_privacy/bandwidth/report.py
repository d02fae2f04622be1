"""A bandwidth run as files: one HTML page that opens offline, JSON with a published schema, CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from esrt_privacy.bandwidth.connection_tables import (
    Shown,
    deviation,
    languages_title,
    request_table,
    shaped_table,
    traffic_tables,
)
from esrt_privacy.bandwidth.figures import break_even_svg, quality_svg, sizes_svg
from esrt_privacy.bandwidth.record import Bandwidth, FormatRow, Statement, Transfer, write_record
from esrt_privacy.bandwidth.rows import BASELINE
from esrt_privacy.bandwidth.units import shown_bytes, shown_seconds
from esrt_privacy.findings import Interval
from esrt_privacy.reports import wording
from esrt_privacy.reports.page_templates import template_environment
from esrt_privacy.whole_file import write_whole

PAGE_NAME = "report.html"


@dataclass(frozen=True)
class TransferTable:
    """Seconds of every format over every link, for one number of languages."""

    title: str
    links: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...]  # of one recording, of all


def write_report(record: Bandwidth, folder: Path) -> Path:
    """Write bandwidth.json, its CSV tables and report.html into `folder`; the page's path.

    Raises ReportError when the folder cannot be written.
    """
    write_record(record, folder)
    for name, rows in csv_tables(record).items():
        write_whole(folder / name, _csv(rows).encode())
    path = folder / PAGE_NAME
    write_whole(path, render_page(record).encode())
    return path


def render_page(record: Bandwidth) -> str:
    """The page's HTML: no scripts, no requests, all inside."""
    environment = template_environment("bandwidth")
    environment.filters |= {
        "bytes": lambda value: "–" if value is None else shown_bytes(value),
        "seconds": shown_seconds,
        "value": statement_value,
        "published": published_value,
        "measured": measured,
        "unbroken": lambda text: re.sub(r"(?<=\d) |(?<=from|thin) ", "\u00a0", text),
    }
    return environment.get_template("bandwidth.html.j2").render(
        record=record,
        headline=headline(record),
        groups=statement_groups(record.statements),
        tensors=[row.name for row in record.formats if row.kind == "tensor"],
        audio=[row.name for row in record.formats if row.kind == "audio"],
        crossing={(row.audio, row.tensor): row.says for row in record.break_even},
        transfers=transfer_tables(record),
        connection=record.connection,
        protocols=protocols(record),
        crossed=connection_tables(record),
        shaped=shaped_table(record.shaped) if record.shaped and record.shaped.transfers else None,
        deviation=deviation(record.shaped.transfers) if record.shaped else None,
        break_even=break_even_svg(record, "breakeven"),
        sizes=sizes_svg(record, "sizes"),
        quality=quality_svg(record, "quality"),
        baseline=BASELINE,
        versions={"esrt-privacy": record.tool_version, **record.versions},
    )


def headline(record: Bandwidth) -> str:
    """The run in a sentence: the first bare tensor beside a cloud API's audio and the smallest."""
    rows = {row.name: row for row in record.formats if row.total_bytes}
    tensor = next((r for r in rows.values() if r.kind == "tensor" and _bare(r.name)), None)
    audio = [r for r in rows.values() if r.kind == "audio"]
    if tensor is None or not audio:
        return "Nothing was compared."
    least = min(audio, key=lambda row: row.total_bytes or 0.0)
    corpus = record.corpus
    return (
        f"For {corpus.samples:,} recordings of {corpus.seconds_mean:.1f} s on average"
        f" ({wording.plain(corpus.name)}), {tensor.says} takes {shown_bytes(tensor.total_bytes or 0)}:"
        f" {_beside(tensor, rows[BASELINE])}, and {_beside(tensor, least)}."
    )


def statement_groups(statements: Sequence[Statement]) -> list[tuple[str, list[Statement]]]:
    """Statements by group, in order."""
    return [(name, list(rows)) for name, rows in groupby(statements, lambda row: row.group)]


def statement_value(value: float | None, unit: str) -> str:
    """A computed figure with its unit: bytes whole, megabytes to a tenth, the rest to a hundredth,
    ratios with more where they end within four decimals."""
    if value is None:
        return "–"
    if unit == "B":
        digits = f"{value:,.0f}"
    elif unit in ("MB", "MiB"):
        digits = f"{value:,.1f}"
    elif unit in ("×", "%") and value == round(value, 4):
        digits = f"{value:g}"
    else:
        digits = f"{value:,.2f}"
    return _with_unit(digits, unit)


def published_value(value: float | None, unit: str) -> str:
    """A published figure as it was printed, with no digit more."""
    return "–" if value is None else _with_unit(f"{value:,g}", unit)


def _with_unit(digits: str, unit: str) -> str:
    digits = digits.replace("-", "\u2212")
    return f"{digits}{unit}" if unit in ("×", "%") else f"{digits} {unit}"


def measured(interval: Interval | None, kind: str) -> str:
    """A figure with its interval: `bytes`, `percent` (of a fraction) or `plain`."""
    if interval is None or interval.value is None:
        return "–"

    def shown(value: float) -> str:
        if kind == "bytes":
            return f"{value:,.0f}"
        return f"{100 * value:.1f}" if kind == "percent" else f"{value:.3f}"

    unit = {"bytes": " B", "percent": "%", "plain": ""}[kind]
    low, high = interval.low, interval.high
    if low is None or high is None or low == high:
        return shown(interval.value) + unit
    return f"{shown(interval.value)}{unit} ({shown(low)} to {shown(high)})"


def transfer_tables(record: Bandwidth) -> list[TransferTable]:
    """A table for each number of languages, without and with the cache."""
    asked = list(dict.fromkeys((row.languages, row.cached) for row in record.transfers))
    tables = []
    for languages, cached in asked:
        rows = [r for r in record.transfers if (r.languages, r.cached) == (languages, cached)]
        links = tuple(
            dict.fromkeys(f"{r.rate_mbit:g} Mbit/s, {r.round_trip_ms:g} ms" for r in rows)
        )
        by_name: dict[str, list[Transfer]] = {}
        for row in rows:
            by_name.setdefault(row.name, []).append(row)
        tables.append(
            TransferTable(
                title=languages_title(languages, cached),
                links=links,
                rows=tuple(
                    (
                        name,
                        shown_bytes(each[0].bytes_per_recording),
                        tuple(shown_seconds(row.seconds_per_recording) for row in each),
                        tuple(shown_seconds(row.seconds_of_all) for row in each),
                    )
                    for name, each in by_name.items()
                ),
            )
        )
    return tables


def connection_tables(record: Bandwidth) -> list[Shown]:
    """What crossed; nothing without a connection."""
    if record.connection is None:
        return []
    return [request_table(record.connection), *traffic_tables(record.connection)]


def protocols(record: Bandwidth) -> dict[str, list[str]]:
    """Formats by the protocol that carried them."""
    found: dict[str, list[str]] = {}
    for row in record.connection.crossings if record.connection else ():
        found.setdefault(row.protocol, []).append(row.name)
    return found


def csv_tables(record: Bandwidth) -> dict[str, list[dict[str, object]]]:
    """Rows of each CSV file by its name; a value that is not there is an empty cell."""
    formats = []
    heard = {row.name: row for row in record.quality}
    for row in record.formats:
        cells: dict[str, object] = row.model_dump(exclude={"bytes_per_recording"})
        cells |= _interval_cells("bytes_per_recording", row.bytes_per_recording)
        judged = heard.get(row.name)
        cells |= _interval_cells("stoi", judged.stoi if judged else None)
        cells |= _interval_cells("wer", judged.wer if judged else None)
        formats.append(cells)
    by_duration: list[dict[str, object]] = [
        {"name": curve.name, "kind": curve.kind, "seconds": seconds, "bytes": size}
        for curve in record.curves
        for seconds, size in zip(record.durations, curve.sizes, strict=True)
    ]
    tables: dict[str, list[dict[str, object]]] = {
        "arithmetic.csv": [row.model_dump() for row in record.statements],
        "formats.csv": formats,
        "durations.csv": by_duration,
        "break_even.csv": [row.model_dump() for row in record.break_even],
        "transfers.csv": [row.model_dump() for row in record.transfers],
    }
    if record.connection is not None:
        tables["connection.csv"] = [
            {**row.model_dump(exclude={"up"}), **_interval_cells("up", row.up)}
            for row in record.connection.crossings
        ]
        tables["traffic.csv"] = [row.model_dump() for row in record.connection.traffic]
    if record.shaped is not None and record.shaped.transfers:
        tables["shaped.csv"] = [
            {**row.model_dump(exclude={"measured"}), "measured": seconds}
            for row in record.shaped.transfers
            for seconds in row.measured or (None,)
        ]
    return tables


def _interval_cells(name: str, interval: Interval | None) -> Mapping[str, object]:
    if interval is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _csv(rows: Sequence[Mapping[str, object]]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def _bare(name: str) -> bool:
    return name.endswith("bf16")


def _beside(tensor: FormatRow, other: FormatRow) -> str:
    """ "2.1 times less than FLAC", "13.0 times as much as Opus", "about as much as WAV"."""
    ratio = (tensor.total_bytes or 0.0) / (other.total_bytes or 1.0)
    if 0.95 < ratio < 1.05:
        return f"about as much as {other.says}"
    if ratio < 1:
        return f"{1 / ratio:.1f} times less than {other.says}"
    return f"{ratio:.1f} times as much as {other.says}"
