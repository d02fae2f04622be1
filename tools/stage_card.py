"""What the model card says of the three stages: curves, options, and scores beside their floors."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

SMOOTHED = 25  # steps of a task that a point of the curve averages
TESTS = {
    "phrasebook-test-sentences": "held-out sentences",
    "phrasebook-test-values": "held-out values",
    "phrasebook-test-templates": "held-out templates",
    "an4": "AN4, unseen speakers",
    "librispeech": "LibriSpeech, unseen speakers",
    "vctk": "VCTK",
}
HEAD = """| speech | direction | measure | value (95% interval) | swapped | nearest sentence | recordings | voices |
|---|---|---|---|---|---|---|---|"""


def curve_picture(metrics: Path, path: Path) -> None:
    """Loss of each task over the steps of each stage, smoothed."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "esrt-privacy"
    from matplotlib import pyplot

    rows: dict[int, dict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    with open(metrics, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows[int(row["stage"])][row["task"]].append((int(row["step"]), float(row["loss"])))
    figure, panels = pyplot.subplots(
        1, len(rows), figsize=(3.4 * len(rows), 3.2), layout="constrained", sharey=True
    )
    styles = {"asr": "-", "smt": ":", "srt": "--"}
    for panel, (stage, tasks) in zip(np.atleast_1d(panels), sorted(rows.items()), strict=True):
        for task, points in sorted(tasks.items()):
            steps, losses = map(np.array, zip(*points, strict=True))
            width = min(SMOOTHED, len(losses))
            smooth = np.convolve(losses, np.ones(width) / width, "valid")
            panel.plot(steps[width - 1 :], smooth, styles[task], label=task.upper())
        panel.set(title=f"stage {'I' * stage}", xlabel="steps", yscale="log")
        panel.grid(alpha=0.3)
        panel.legend(frameon=False)
    np.atleast_1d(panels)[0].set_ylabel("loss, a token")
    figure.savefig(path, metadata={"Date": None})


def scores_table(path: Path) -> str:
    """The scores of reference_scores.py as a Markdown table."""
    lines = [HEAD]
    for row in json.loads(path.read_text(encoding="utf-8")):
        if row["measure"] == "wrong-language":
            continue
        lines.append(_line(row))
    return "\n".join(lines)


def _line(row: dict[str, Any]) -> str:
    percent = 1 if row["measure"] in ("chrf", "spbleu") else 100
    unit = {"chrf": "chrF", "spbleu": "spBLEU", "wer": "WER, %", "cer": "CER, %"}[row["measure"]]

    def shown(value: float | None) -> str:
        return "" if value is None else f"{percent * value:.1f}"

    between = f" ({shown(row['low'])} to {shown(row['high'])})" if row["low"] is not None else ""
    direction = f"{row['source']} → {row['target']}" if row["target"] else row["source"]
    cells = [
        TESTS[row["corpus"]],
        direction,
        unit,
        shown(row["value"]) + between,
        shown(row["floor"]),
        shown(row["nearest"]),
        str(row["utterances"]),
        str(row["speakers"]),
    ]
    return f"| {' | '.join(cells)} |"
