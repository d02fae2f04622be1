"""Pictures of a report: forest plots and budget curves as SVG, spectrograms as PNG.

matplotlib draws without pyplot: no display is needed, and its settings are put back afterwards.
The same input gives the same bytes. Colours are Okabe and Ito's, and every kind of point has its
own marker as well (M. Okabe, K. Ito, "Color Universal Design", 2008).
"""

import functools
import html
import io
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from esrt_privacy.findings import BudgetPoint, Finding, Interval
from esrt_privacy.reports.wording import plain, scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_WIDTH = 3.6  # inches; drawn at about this size on a desktop and on a phone alike
LINE_HEIGHT = 0.155  # inches, of one line of a label
SPECTROGRAM_SIZE = (4.0, 1.75)  # inches
SPECTROGRAM_DPI = 130
FRAME_SECONDS = 0.025
HOP_SECONDS = 0.010
DYNAMIC_RANGE_DB = 70.0
TOP_HERTZ = 8_000.0

INK = "#1f2933"
MUTED = "#5b6673"
GRID = "#dfe3e8"
STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a corpus or metric may hold a dollar sign
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "ytick.major.size": 0,
    "svg.fonttype": "none",
}


P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Kind:
    """How one kind of point is drawn."""

    colour: str
    marker: str
    filled: bool


ATTACK = Kind("#b54700", "o", True)
FLOOR = Kind("#5b6673", "s", False)
CONTROL = Kind("#0072b2", "D", True)
CEILING = Kind("#00795a", "^", False)
CURVES = (ATTACK, CONTROL, CEILING, FLOOR, Kind("#7d4380", "v", True), Kind(INK, "P", True))


@dataclass(frozen=True)
class ForestRow:
    """One line of a forest plot."""

    label: str
    interval: Interval
    kind: Kind


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Runs a drawing function under STYLE: texts take their settings when they are made."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def forest_rows(findings: Sequence[Finding]) -> list[ForestRow]:
    """The lines of one metric's plot: each attack, then the references, each said once."""
    labels = attack_labels(findings)
    rows = [ForestRow(label, f.estimate, ATTACK) for label, f in zip(labels, findings, strict=True)]
    references: list[ForestRow] = []
    for finding in findings:
        if finding.control is not None:
            name = f"control: {plain(finding.control_name)}"
            references.append(ForestRow(name, finding.control, CONTROL))
    for finding in findings:
        if finding.ceiling is not None:
            name = f"ceiling: {plain(finding.ceiling_name)}"
            references.append(ForestRow(name, finding.ceiling, CEILING))
    for finding in findings:
        references += [
            ForestRow(f"floor: {plain(name)}", floor, FLOOR)
            for name, floor in finding.floors.items()
        ]
    for row in references:
        if row not in rows:
            rows.append(row)
    return rows


def attack_labels(findings: Sequence[Finding]) -> list[str]:
    """What tells findings of one metric apart: the tap, then the attacker, then the end of the id."""
    labels = [f"attack on {plain(f.tap)}" for f in findings]
    more = [f"{f.attacker} attack on {plain(f.tap)}" for f in findings]
    labels = [b if labels.count(a) > 1 else a for a, b in zip(labels, more, strict=True)]
    ends = [
        f"{label}, {f.id.rpartition('.')[2]}" for label, f in zip(labels, findings, strict=True)
    ]
    return [b if labels.count(a) > 1 else a for a, b in zip(labels, ends, strict=True)]


@styled
def forest_svg(findings: Sequence[Finding], name: str, alt: str) -> str:
    """One metric's attacks, controls, ceiling and floors with their intervals, as inline SVG.

    All findings must share metric and unit. `name` makes the ids inside the page
    unique; `alt` is what a reader who cannot see it is told.
    """
    rows = [row for row in forest_rows(findings) if row.interval.value is not None]
    labels = [_wrapped(row.label) for row in rows]
    heights = [1.2 + label.count("\n") for label in labels]
    places = [sum(heights[:number]) + height / 2 for number, height in enumerate(heights)]
    figure, axes = _axes(height=LINE_HEIGHT * sum(heights) + 0.55)
    for place, row in zip(places, rows, strict=True):
        interval, kind = row.interval, row.kind
        if interval.low is not None and interval.high is not None:
            axes.plot(
                [interval.low, interval.high],
                [place, place],
                color=kind.colour,
                linewidth=2,
                solid_capstyle="butt",
            )
        axes.plot(
            [interval.value],
            [place],
            marker=kind.marker,
            markersize=6,
            color=kind.colour,
            markerfacecolor=kind.colour if kind.filled else "white",
            markeredgewidth=1.5,
        )
    axes.set_yticks(places, labels)
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        if row.kind is ATTACK:
            label.set_fontweight("bold")
    axes.set_ylim(sum(heights) + 0.2, -0.2)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.06)
    _few_ticks(axes)
    if findings[0].leaks_when == "lower":
        axes.set_xlabel("← more leakage", loc="left")
    else:
        axes.set_xlabel("more leakage →", loc="right")
    return inline_svg(figure, name, alt)


@styled
def budget_svg(points: Sequence[BudgetPoint], name: str, alt: str) -> str:
    """One metric against the attacker's training, a line a tap, as inline SVG.

    All points must share metric, unit and kind of amount.
    """
    figure, axes = _axes(height=2.6)
    axes.spines["left"].set_visible(True)
    taps = list(dict.fromkeys(point.tap for point in points))
    for number, tap in enumerate(taps):
        kind = CURVES[number % len(CURVES)]
        measured = sorted(
            (point.amount, point.value)
            for point in points
            if point.tap == tap and point.value is not None
        )
        if not measured:
            continue
        axes.plot(
            [amount for amount, _ in measured],
            [value for _, value in measured],
            color=kind.colour,
            marker=kind.marker,
            markerfacecolor=kind.colour if kind.filled else "white",
            linestyle="-" if number < len(CURVES) else "--",
            label=_shortened(plain(tap)),
        )
    amounts = [point.amount for point in points]
    if min(amounts) > 0 and max(amounts) / min(amounts) > 20:
        axes.set_xscale("log")
    else:
        _few_ticks(axes)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    first = points[0]
    axes.set_xlabel(f"training ({first.amount_unit})")
    axes.set_ylabel(_shortened(scale(first.metric, first.unit)))
    figure.legend(loc="outside upper left", frameon=False, ncols=2, fontsize=8.5)
    return inline_svg(figure, name, alt)


def spectrogram_db(wave: np.ndarray, rate: int) -> np.ndarray:
    """Short-time power spectrum in dB below its own peak, (frequencies, frames), float32.

    Hann window of 25 ms every 10 ms; floored at -70 dB. Silence is all floor.
    """
    size = max(round(FRAME_SECONDS * rate), 2)
    hop = max(round(HOP_SECONDS * rate), 1)
    padded = np.pad(wave.astype(np.float64), (size // 2, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(size), n=2 * size, axis=1)) ** 2
    peak = power.max()
    if not peak > 0:
        return np.full(power.T.shape, -DYNAMIC_RANGE_DB, dtype=np.float32)
    decibels = 10 * np.log10(np.maximum(power / peak, 10 ** (-DYNAMIC_RANGE_DB / 10)))
    return decibels.T.astype(np.float32)


@styled
def spectrogram_png(wave: np.ndarray, rate: int, seconds: float) -> bytes:
    """Picture of a waveform (samples,) from 0 to `seconds`, so that several share one time axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=SPECTROGRAM_SIZE)
    axes = figure.add_axes((0.085, 0.215, 0.9, 0.745))
    axes.imshow(
        spectrogram_db(wave, rate),
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=-DYNAMIC_RANGE_DB,
        vmax=0,
        extent=(0, len(wave) / rate, 0, rate / 2000),
        interpolation="bilinear",
    )
    axes.set_xlim(0, max(seconds, HOP_SECONDS))
    axes.set_ylim(0, min(TOP_HERTZ, rate / 2) / 1000)
    axes.set_facecolor("#f1f3f5")  # after the sound's end there is nothing, not silence
    axes.set_yticks([0, 2, 4, 6, 8])
    axes.tick_params(labelsize=8)
    axes.set_xlabel("seconds", fontsize=8, labelpad=1)
    axes.set_ylabel("kHz", fontsize=8, labelpad=1)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=SPECTROGRAM_DPI, metadata={"Software": None})
    return _fewer_colours(picture.getvalue())


def _fewer_colours(png: bytes) -> bytes:
    """The same picture with 192 colours of the map and 64 greys, at about a third of the size."""
    from matplotlib import colormaps
    from PIL import Image

    shades = (255 * colormaps["magma"](np.linspace(0, 1, 192))[:, :3]).round().astype(np.uint8)
    greys = np.repeat(np.linspace(0, 255, 64).round().astype(np.uint8)[:, None], 3, axis=1)
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([shades, greys]).tobytes())
    small = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        reduced = picture.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE)
        reduced.save(small, format="png", optimize=True)
    return small.getvalue()


def _axes(height: float) -> "tuple[Figure, Any]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(FIGURE_WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def _few_ticks(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(5))


def _wrapped(label: str) -> str:
    return "\n".join(textwrap.wrap(_shortened(label, 60), width=21))


def _shortened(label: str, limit: int = 34) -> str:
    return label if len(label) <= limit else label[: limit - 1] + "…"


def inline_svg(figure: "Figure", name: str, alt: str) -> str:
    """The figure as an <svg> element that may stand in a page beside others of its kind.

    Ids are prefixed with `name`; the XML prologue, the metadata and the fixed size go, and so
    does the style element, which would apply to the whole page.
    """
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(
            text,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.S)
    # The root holds the only clock and the only outside names; the rest refers to ids.
    root, rest = svg.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', root)
    rest = re.sub(r'(?<= )id="', f'id="{name}-', rest)
    rest = re.sub(r'(xlink:)?href="#', f'href="#{name}-', rest)
    rest = rest.replace("url(#", f"url(#{name}-")
    rest = rest.replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans', sans-serif")
    view = box.group(0) if box else ""
    said = html.escape(alt, quote=True)
    return f'<svg class="chart" {view} role="img" aria-label="{said}">{rest}'.strip()
