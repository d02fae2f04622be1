"""Confusion matrices: which label was answered for which, as shares of each true label."""

import numpy as np

from esrt_privacy.findings import Confusion
from esrt_privacy.reports.figures.style import (
    FIGURE_WIDTH,
    INK,
    inline_svg,
    plot_axes,
    shortened,
    styled,
)
from esrt_privacy.reports.wording import plain

MOST_SHOWN = 24  # labels; the rarest beyond that are joined
LETTER = 0.0085  # inches that a letter is wide, at 1 point
SMALLEST, LARGEST = 5.0, 8.5  # points
TALLEST = 0.45  # inches of a row
LEAST_HEIGHT = 1.75  # inches, for the words at the side
SHADES = "Blues"


def confusion_title(confusion: Confusion) -> str:
    """What the picture shows, in a line."""
    return (
        f"{plain(confusion.asked).capitalize()} answered for each true {plain(confusion.asked)},"
        f" {plain(confusion.tap)} of {plain(confusion.system)}"
    )


def confusion_alt(confusion: Confusion) -> str:
    """The same for a reader who cannot see it: how often each label was found, and what it was taken for."""
    labels, counts = joined(confusion)
    said = []
    for i, label in enumerate(labels):
        total = counts[i].sum()
        if not total:
            said.append(f"{label}: no utterance")
            continue
        wrong = counts[i].copy()
        wrong[i] = 0
        words = f"{label}: {100 * counts[i, i] / total:.0f}% of {total} right"
        if wrong.any():
            words += f", most often taken for {labels[int(wrong.argmax())]}"
        said.append(words)
    return f"Answers by true {plain(confusion.asked)}. {'; '.join(said)}."


@styled
def confusion_svg(confusion: Confusion, name: str = "confusion") -> str:
    """True labels in rows, answered ones in columns, as inline SVG.

    The shade is the share of the row, the number printed is the count of utterances. Of more than MOST_SHOWN labels
    the rarest stand together as "others".
    """
    labels, counts = joined(confusion)
    size = len(labels)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    words = [shortened(label, 14) for label in labels]
    rows = [f"{word} ({total:,})" for word, total in zip(words, totals[:, 0], strict=True)]
    letters, cell = _sizes(size, max(map(len, rows)))
    upright = 1.15 * max(map(len, words)) * letters * LETTER > cell
    below = letters * LETTER * max(map(len, words)) if upright else 0.15
    figure, axes = plot_axes(height=max(min(cell, TALLEST) * size + below + 0.55, LEAST_HEIGHT))
    axes.pcolormesh(shares, cmap=SHADES, vmin=0, vmax=1, edgecolors="white", linewidth=0.4)
    inks = _inks(shares)
    for i, j in np.argwhere(counts > 0):
        number = _short(counts[i, j])
        axes.text(
            *(j + 0.5, i + 0.5, number),
            ha="center",
            va="center",
            fontsize=min(letters, cell / (len(number) * LETTER * 1.1)),
            color=inks[i][j],
        ).set_in_layout(
            False
        )  # it lies inside its cell: not measured, which takes most of the time
    edges = np.arange(size)
    corners_x = np.ravel([edges, edges + 1, edges + 1, edges, edges, edges + np.nan], order="F")
    corners_y = np.ravel([edges, edges, edges + 1, edges + 1, edges, edges + np.nan], order="F")
    axes.plot(corners_x, corners_y, color=INK, linewidth=0.7)
    axes.set_xticks(edges + 0.5, words, rotation=90 if upright else 0, fontsize=letters)
    axes.set_yticks(edges + 0.5, rows, fontsize=letters)
    axes.tick_params(axis="x", length=0, colors=INK)
    axes.set_xlim(0, size)
    axes.set_ylim(size, 0)
    for side in axes.spines.values():
        side.set_visible(False)
    asked = shortened(plain(confusion.asked), 16)
    axes.set_xlabel(f"answered {asked}", fontsize=8)
    axes.set_ylabel(f"true {asked}", fontsize=8)
    return inline_svg(figure, name, confusion_alt(confusion), confusion_title(confusion))


def _sizes(size: int, longest: int) -> tuple[float, float]:
    """Points of the letters, and inches of a cell: the columns share the width that the rows' names leave."""
    letters = LARGEST
    for _ in range(4):
        cell = (FIGURE_WIDTH - 0.4 - LETTER * letters * longest) / size
        letters = float(np.clip(54 * cell, SMALLEST, LARGEST))
    return letters, max(cell, 0.08)


def _inks(shares: np.ndarray) -> list[list[str]]:
    """Black or white for each share, whichever stands out more from its shade (WCAG 2.2, contrast at least 4.5)."""
    from matplotlib import colormaps

    channels = colormaps[SHADES](shares)[..., :3]
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    light = 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05
    return [["white" if white else "black" for white in row] for row in light]


def _short(count: int) -> str:
    return f"{count / 1000:.0f}k" if count >= 10_000 else str(count)


def joined(confusion: Confusion) -> tuple[list[str], np.ndarray]:
    """Labels and counts[true][answered] as drawn: the rarest of many labels added up as the last one."""
    labels = [plain(label) for label in confusion.labels]
    counts = np.array(confusion.counts, dtype=np.int64)
    if len(labels) <= MOST_SHOWN:
        return labels, counts
    often = np.argsort(-counts.sum(axis=1), kind="stable")[: MOST_SHOWN - 1]
    kept = np.sort(often)
    place = np.full(len(labels), len(kept))
    place[kept] = np.arange(len(kept))
    small = np.zeros((len(kept) + 1, len(kept) + 1), dtype=np.int64)
    np.add.at(small, (place[:, None], place[None, :]), counts)
    return [*(labels[i] for i in kept), f"{len(labels) - len(kept)} others"], small
