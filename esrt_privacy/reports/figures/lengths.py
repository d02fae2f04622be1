"""True against inferred lengths of utterances."""

import numpy as np

from esrt_privacy.findings import Lengths
from esrt_privacy.reports.figures.style import (
    ATTACK,
    CONTROL,
    GRID,
    INK,
    MUTED,
    few_ticks,
    inline_svg,
    plot_axes,
    styled,
)
from esrt_privacy.reports.wording import plain

TOLERANCE = 0.05  # of the true length: the band that the duration attack counts
HEIGHT = 3.7  # inches


def lengths_title(lengths: Lengths) -> str:
    """What the picture shows, in a line."""
    return f"True and inferred length, {plain(lengths.tap)} of {plain(lengths.system)}"


def lengths_alt(lengths: Lengths) -> str:
    """The same for a reader who cannot see it."""
    if not lengths.true:
        return "No utterance has both lengths."
    true, inferred = np.array(lengths.true), np.array(lengths.inferred)
    words = (
        f"Inferred against true length of {len(true)} utterances of {true.min():.1f} to {true.max():.1f} s."
        f" {100 * _near(lengths):.0f}% lie within 5% of the true length;"
        f" the mean absolute error is {np.abs(true - inferred).mean():.2f} s."
    )
    return words + (f" {plain(lengths.thinning)}." if lengths.thinning else "")


@styled
def lengths_svg(lengths: Lengths, name: str = "lengths") -> str:
    """A point an utterance, in seconds, with the identity and the band of 5% around it, as inline SVG."""
    figure, axes = plot_axes(height=HEIGHT)
    axes.spines["left"].set_visible(True)
    most = max([*lengths.true, *lengths.inferred, 1.0]) * 1.04
    ends = np.array([0.0, most])
    axes.fill_between(
        *(ends, ends * (1 - TOLERANCE), ends * (1 + TOLERANCE)),
        color=CONTROL.colour,
        alpha=0.18,
        linewidth=0,
        label="within 5%",
    )
    axes.plot(ends, ends, color=CONTROL.colour, linewidth=1.2, label="the true length")
    axes.plot(
        *(lengths.true, lengths.inferred),
        linestyle="none",
        marker="o",
        markersize=3.2 if len(lengths.true) > 100 else 4.5,
        markerfacecolor="none",
        markeredgecolor=ATTACK.colour,
        markeredgewidth=0.7,
        alpha=0.75,
        label="an utterance",
    )
    axes.set_xlim(0, most)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    few_ticks(axes)
    axes.set_yticks(axes.get_xticks())
    axes.set_ylim(0, most)
    axes.set_xlim(0, most)
    axes.set_xlabel("true length (s)")
    axes.set_ylabel("inferred length (s)")
    if lengths.true:
        axes.text(
            *(0.97, 0.04, f"{100 * _near(lengths):.0f}% of {len(lengths.true):,} within 5%"),
            transform=axes.transAxes,
            ha="right",
            fontsize=8.5,
            color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
        )
    if lengths.thinning:
        axes.text(
            *(0.97, 0.11, f"drawn of {lengths.utterances:,} utterances"),
            transform=axes.transAxes,
            ha="right",
            fontsize=7.5,
            color=MUTED,
        )
    figure.legend(loc="outside upper left", frameon=False, ncols=3, fontsize=7.5, columnspacing=1.2)
    return inline_svg(figure, name, lengths_alt(lengths), lengths_title(lengths))


def _near(lengths: Lengths) -> float:
    true, inferred = np.array(lengths.true), np.array(lengths.inferred)
    # A guess at exactly the tolerance counts, whatever floating point makes of it.
    return float((np.abs(inferred - true) <= TOLERANCE * true * (1 + 1e-9)).mean())
