"""DET curves: misses against false alarms on normal-deviate axes, where Gaussian scores give straight lines."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from esrt_privacy.findings import DetCurve
from esrt_privacy.reports.figures.style import (
    GRID,
    MOST_LINES,
    MUTED,
    Line,
    inline_svg,
    line_styles,
    plot_axes,
    shortened,
    styled,
)
from esrt_privacy.reports.wording import figure as in_words
from esrt_privacy.reports.wording import plain

COARSE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9)  # shares, from end to end
FINE = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9)
FINE_BELOW = 0.05  # an EER under which false alarms of a few in a thousand matter
HEIGHT = 3.65  # inches, without the legend: the axes are about as high as wide


def det_groups(curves: Sequence[DetCurve]) -> list[tuple[DetCurve, ...]]:
    """The curves that stand in one picture: of one system, question and attacker, a line a tap."""
    gathered: dict[tuple[str, str, str], list[DetCurve]] = {}
    for curve in curves:
        gathered.setdefault((curve.system, curve.asked, curve.attacker), []).append(curve)
    return [tuple(group) for group in gathered.values()]


def det_title(curves: Sequence[DetCurve]) -> str:
    """What one picture shows, in a line."""
    attackers = ", ".join(dict.fromkeys(curve.attacker for curve in curves))
    systems = ", ".join(dict.fromkeys(plain(curve.system) for curve in curves))
    asked = ", ".join(dict.fromkeys(plain(curve.asked) for curve in curves if curve.asked))
    asked = asked[:1].upper() + asked[1:] if asked else "Trials"
    return f"{asked}: {systems}, {attackers} attacker"


def det_alt(curves: Sequence[DetCurve]) -> str:
    """The same for a reader who cannot see it: the EER of each curve."""
    each = "; ".join(
        f"{label}: equal error rate {_eer_words(curve)}, {plain(curve.trials)}"
        for label, curve in zip(_labels(curves), curves, strict=True)
    )
    return f"Miss rate against false-alarm rate. {each}."


@styled
def det_svg(curves: Sequence[DetCurve], name: str = "det") -> str:
    """Misses against false alarms in %, a line a curve, each with its EER marked, as inline SVG.

    The dotted line is chance: misses and false alarms add up to 100%. Curves beyond MOST_LINES are left out, and the
    picture says so.
    """
    from scipy.special import ndtri

    shown = curves[:MOST_LINES]
    known = [curve.eer for curve in shown if curve.eer is not None]
    ticks = FINE if known and min(known) < FINE_BELOW else COARSE
    lines = line_styles(len(shown))
    figure, axes = plot_axes(height=HEIGHT + 0.19 * (len(shown) + 1))
    low, high = float(ndtri(ticks[0])), float(ndtri(ticks[-1]))
    edge = np.array([low, high])
    axes.plot(edge, -edge, color=MUTED, linewidth=1.2, linestyle=":", label="chance")
    axes.plot(edge, edge, color=GRID, linewidth=1)
    for label, line, curve in zip(_labels(shown), lines, shown, strict=True):
        _draw(axes, line, curve, f"{shortened(label, 26)}, EER {_eer_words(curve)}")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    words = [f"{100 * tick:g}" for tick in ticks]
    axes.set_xticks(ndtri(ticks), words, fontsize=8)
    axes.set_yticks(ndtri(ticks), words, fontsize=8)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    left_out = len(curves) - len(shown)
    axes.set_xlabel("false alarms (%)" + (f"; {left_out} more not drawn" if left_out else ""))
    axes.set_ylabel("misses (%)")
    figure.legend(loc="outside upper left", frameon=False, fontsize=8)
    return inline_svg(figure, name, det_alt(shown), det_title(shown))


def _draw(axes: Any, line: Line, curve: DetCurve, label: str) -> None:
    from scipy.special import ndtri

    # A rate of 0 or 1 lies infinitely far out.
    points = [(x, y) for x, y in zip(curve.false_alarm, curve.miss, strict=True) if _on_axes(x, y)]
    places = ndtri(np.array(points).reshape(-1, 2))
    colour = line.kind.colour
    style = {
        "color": colour,
        "marker": line.kind.marker,
        "markerfacecolor": colour if line.kind.filled else "white",
        "markersize": 7,
    }
    axes.plot(places[:, 0], places[:, 1], color=colour, linestyle=line.dashes, linewidth=1.5)
    # Not drawn by itself: the legend shows the line and its mark together.
    axes.plot([], [], linestyle=line.dashes, linewidth=1.5, label=label, **style)
    if curve.eer is not None and 0 < curve.eer < 1:
        place = [float(ndtri(curve.eer))]
        axes.plot(place, place, linestyle="none", zorder=4, **style)


def _on_axes(false_alarm: float, miss: float) -> bool:
    return 0 < false_alarm < 1 and 0 < miss < 1


def _eer_words(curve: DetCurve) -> str:
    words = in_words(None if curve.eer is None else 100 * curve.eer, "%")
    return words if curve.miss else f"{words} (off the axes)"


def _labels(curves: Sequence[DetCurve]) -> list[str]:
    """What tells the curves apart: the tap, and what else is not the same for all."""
    attackers = len({curve.attacker for curve in curves}) > 1
    systems = len({curve.system for curve in curves}) > 1
    return [
        ", ".join(
            [
                plain(curve.tap),
                *([curve.attacker] if attackers else []),
                *([plain(curve.system)] if systems else []),
            ]
        )
        for curve in curves
    ]
