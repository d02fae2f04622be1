"""Pictures of a report, in one style: what a page needs of them."""

from esrt_privacy.reports.figures.budget import budget_svg
from esrt_privacy.reports.figures.confusion import confusion_alt, confusion_svg, confusion_title
from esrt_privacy.reports.figures.det import det_alt, det_groups, det_svg, det_title
from esrt_privacy.reports.figures.forest import ForestRow, attack_labels, forest_rows, forest_svg
from esrt_privacy.reports.figures.leakage import LeakagePanel, leakage_panels
from esrt_privacy.reports.figures.leakage_bars import leakage_svg
from esrt_privacy.reports.figures.lengths import lengths_alt, lengths_svg, lengths_title
from esrt_privacy.reports.figures.spectrogram import spectrogram_db, spectrogram_png
from esrt_privacy.reports.figures.style import (
    ATTACK,
    CEILING,
    CONTROL,
    FLOOR,
    GRID,
    INK,
    Kind,
    inline_svg,
    styled,
)

__all__ = [
    "ATTACK",
    "CEILING",
    "CONTROL",
    "FLOOR",
    "GRID",
    "INK",
    "ForestRow",
    "Kind",
    "LeakagePanel",
    "attack_labels",
    "budget_svg",
    "confusion_alt",
    "confusion_svg",
    "confusion_title",
    "det_alt",
    "det_groups",
    "det_svg",
    "det_title",
    "forest_rows",
    "forest_svg",
    "inline_svg",
    "leakage_panels",
    "leakage_svg",
    "lengths_alt",
    "lengths_svg",
    "lengths_title",
    "spectrogram_db",
    "spectrogram_png",
    "styled",
]
