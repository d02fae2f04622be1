"""What crossed a connection and what slow lines took, as the rows that page and terminal show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from esrt_privacy.bandwidth.record import Crossing, OnConnection, Shaped, ShapedTransfer, Traffic
from esrt_privacy.bandwidth.units import shown_bytes, shown_seconds


@dataclass(frozen=True)
class Shown:
    """A table: the first column is a format's name."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


REQUEST_HEADS = (
    "up, one recording",
    "beside its body",
    "down",
    "opening, up / down",
    "identifier, up",
    "crossed",
)


def request_table(connection: OnConnection) -> Shown:
    """TCP payload of one request in every format."""
    return Shown(
        "One request on an open connection: TCP payload",
        REQUEST_HEADS,
        tuple((row.name, *_request_cells(row)) for row in connection.crossings),
    )


def traffic_tables(connection: OnConnection) -> list[Shown]:
    """Bytes of all draws, a table for each number of languages, without and with the cache."""
    asked = dict.fromkeys((row.languages, row.cached) for row in connection.traffic)
    return [
        Shown(
            f"All recordings, {languages_title(languages, cached)}",
            ("up", "down", "TCP/IP headers up", "and down", "requests", "of them crossed"),
            tuple(
                (row.name, *_traffic_cells(row))
                for row in connection.traffic
                if (row.languages, row.cached) == (languages, cached)
            ),
        )
        for languages, cached in asked
    ]


def shaped_table(shaped: Shaped) -> Shown:
    """Computed beside measured seconds, a column for each line."""
    links = list(dict.fromkeys((r.rate_mbit, r.round_trip_ms) for r in shaped.transfers))
    kinds = dict.fromkeys((r.name, r.languages) for r in shaped.transfers)
    found = {(r.name, r.languages, r.rate_mbit, r.round_trip_ms): r for r in shaped.transfers}
    return Shown(
        "Computed → measured seconds, the fastest of the transfers",
        tuple(f"{rate:g} Mbit/s, {trip:g} ms" for rate, trip in links),
        tuple(
            (
                name if languages == 1 else f"{name}, {languages} languages",
                *(_shaped_cell(found[name, languages, *link]) for link in links),
            )
            for name, languages in kinds
        ),
    )


def languages_title(languages: int, cached: bool) -> str:
    """ "44 target languages, with the feature cache"."""
    if languages == 1:
        return "one target language"
    return f"{languages} target languages, {'with' if cached else 'without'} the feature cache"


def deviation(rows: Sequence[ShapedTransfer]) -> tuple[float, float] | None:
    """Least and most of measured over computed, of the fastest transfers; None where nothing was measured."""
    found = [row.measured[0] / row.computed for row in rows if row.measured]
    return (min(found), max(found)) if found else None


def _request_cells(row: Crossing) -> tuple[str, ...]:
    least, most = row.beside_least, row.beside_most
    identifier = "–" if row.identifier_up is None else shown_bytes(row.identifier_up)
    if row.identifier_up_most is not None:
        identifier += f" (at most {shown_bytes(row.identifier_up_most)})"
    return (
        "–" if row.up.value is None else shown_bytes(row.up.value),
        f"{least:,} B" if least == most else f"{least:,} to {most:,} B",
        shown_bytes(row.down),
        f"{row.opening_up:,} / {row.opening_down:,} B",
        identifier,
        f"{row.recordings_crossed:,} + {row.identifiers_crossed:,}",
    )


def _traffic_cells(row: Traffic) -> tuple[str, ...]:
    sizes = (row.up, row.down, row.headers_up, row.headers_down)
    return (*map(shown_bytes, sizes), f"{row.requests:,}", f"{row.crossed:,}")


def _shaped_cell(row: ShapedTransfer) -> str:
    measured = (
        shown_seconds(row.measured[0]) if row.measured else f"none ({row.failed or 'cut short'})"
    )
    return f"{shown_seconds(row.computed)} → {measured}"
