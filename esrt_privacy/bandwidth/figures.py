"""Pictures of a bandwidth report, in the style of the audit report: break-even, sizes, quality.

Audio is drawn in blue and grey, tensors in orange; every format is named beside its mark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from esrt_privacy.bandwidth.record import Bandwidth, FormatRow
from esrt_privacy.bandwidth.units import shown_bytes
from esrt_privacy.reports.figures import ATTACK, CONTROL, GRID, INK, inline_svg, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE = (7.2, 4.4)  # inches
LABEL_GAP = 0.043  # of the axes' height, between two labels at the right edge
# A line for each kind; the tables hold all.
DRAWN_AUDIO = ("wav-16-json", "wav-16", "flac", "mp3-32", "opus-32", "opus-16", "opus-6")


@styled
def break_even_svg(record: Bandwidth, name: str) -> str:
    """Bytes of a recording against its duration, as inline SVG; tensors are level lines."""
    figure, axes = _axes(WIDE)
    ends: list[tuple[float, str, str]] = []
    for curve in record.curves:
        tensor = curve.kind == "tensor"
        if not tensor and curve.name not in DRAWN_AUDIO:
            continue
        if tensor and curve.name.endswith(("zstd", "json")):
            continue  # all but on top of the plain ones
        kind = ATTACK if tensor else CONTROL
        axes.plot(
            record.durations,
            curve.sizes,
            color=kind.colour,
            linestyle="--" if tensor else "-",
            linewidth=1.6,
            marker=None if tensor else "o",
            markersize=2.5,
        )
        ends.append((curve.sizes[-1], curve.name, kind.colour))
    axes.set_yscale("log")
    axes.set_xlim(0, record.durations[-1])
    axes.set_xlabel("seconds of speech")
    axes.set_ylabel("bytes of one recording")
    _byte_ticks(axes.yaxis)
    axes.set_ylim(*axes.get_ylim())  # labels are placed by it
    _end_labels(axes, ends)
    alt = "Bytes against duration. " + "; ".join(
        f"{row.audio} against {row.tensor}: tensor smaller {row.says}"
        for row in record.break_even
        if row.audio in DRAWN_AUDIO and not row.tensor.endswith(("zstd", "json"))
    )
    return inline_svg(figure, name, alt)


@styled
def sizes_svg(record: Bandwidth, name: str) -> str:
    """Mean bytes of a recording in every format, the largest on top, as inline SVG."""
    rows = sorted(_measured(record.formats), key=lambda pair: pair[1])
    figure, axes = _axes((WIDE[0], 0.23 * len(rows) + 0.6))
    colours = [(ATTACK if row.kind == "tensor" else CONTROL).colour for row, _ in rows]
    values = [value for _, value in rows]
    axes.barh(range(len(rows)), values, color=colours, height=0.68)
    axes.set_yticks(range(len(rows)), [row.name for row, _ in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xscale("log")
    axes.set_xlim(min(values) / 2, max(values) * 4)
    for place, value in enumerate(values):
        axes.annotate(
            shown_bytes(value), (value, place), (4, 0), textcoords="offset points",
            va="center", fontsize=8, color=INK,
        )  # fmt: skip
    axes.set_xlabel("bytes of one recording, mean of all draws")
    _byte_ticks(axes.xaxis)
    axes.grid(axis="y", visible=False)
    alt = "Mean bytes of a recording. " + "; ".join(f"{r.name}: {shown_bytes(v)}" for r, v in rows)
    return inline_svg(figure, name, alt)


@styled
def quality_svg(record: Bandwidth, name: str) -> str:
    """WER against mean bytes with its interval, as inline SVG; empty where no WER was measured."""
    points = [
        (row.name, row.bytes_per_recording, row.wer)
        for row in record.quality
        if row.wer is not None and row.wer.value is not None and row.bytes_per_recording
        if not row.name.endswith("json")  # the same sound as without
    ]
    if not points:
        return ""
    figure, axes = _axes(WIDE)
    for label, size, wer in points:
        tensor = label.startswith("tensor")
        kind = ATTACK if tensor else CONTROL
        value = 100 * (wer.value or 0.0)
        if wer.low is not None and wer.high is not None:
            axes.plot([size, size], [100 * wer.low, 100 * wer.high], color=kind.colour, alpha=0.45)
        axes.plot([size], [value], marker="D" if tensor else "o", markersize=5, color=kind.colour)
        axes.annotate(
            label, (size, value), (4, 4), textcoords="offset points", fontsize=7.5,
            color=kind.colour, rotation=35,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.margins(x=0.12, y=0.12)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("bytes of one recording, mean of all draws")
    axes.set_ylabel("WER (%)")
    _byte_ticks(axes.xaxis)
    alt = "Word error rate against bytes. " + "; ".join(
        f"{label}: {100 * (wer.value or 0):.1f}% at {shown_bytes(size)}"
        for label, size, wer in points
    )
    return inline_svg(figure, name, alt)


def _measured(rows: Sequence[FormatRow]) -> list[tuple[FormatRow, float]]:
    values = ((row, row.bytes_per_recording.value) for row in rows)
    return [(row, value) for row, value in values if value]


def _axes(size: tuple[float, float]) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _byte_ticks(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axis.set_minor_formatter(NullFormatter())


def _short(size: float) -> str:
    return f"{size / 1e6:g} MB" if size >= 1e6 else f"{size / 1e3:g} kB"


def _end_labels(axes: Any, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names at the lines' right ends of a logarithmic axis, moved apart where they would overlap."""
    ordered = sorted(ends)
    low, high = (math.log(bound) for bound in axes.get_ylim())
    wanted = [(math.log(size) - low) / (high - low) for size, _, _ in ordered]
    for (size, label, colour), place in zip(ordered, apart(wanted, LABEL_GAP), strict=True):
        start = (math.log(size) - low) / (high - low)
        axes.plot(
            [1.0, 1.03], [start, place], transform=axes.transAxes, clip_on=False,
            color=colour, linewidth=0.6,
        )  # fmt: skip
        axes.text(
            1.04, place, label, transform=axes.transAxes, va="center", fontsize=8, color=colour
        )


def apart(places: Sequence[float], gap: float) -> list[float]:
    """Rising places moved as little as needed for `gap` between neighbours, groups kept centred."""
    groups: list[list[float]] = []
    for place in places:
        groups.append([place])
        while len(groups) > 1 and _first(groups[-1], gap) - _last(groups[-2], gap) < gap:
            later = groups.pop()
            groups[-1] += later
    return [_first(group, gap) + gap * n for group in groups for n in range(len(group))]


def _first(group: Sequence[float], gap: float) -> float:
    return sum(group) / len(group) - gap * (len(group) - 1) / 2


def _last(group: Sequence[float], gap: float) -> float:
    return _first(group, gap) + gap * (len(group) - 1)
