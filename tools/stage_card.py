"""What the model card says of the three stages: curves, options, and scores beside their floors."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from esrt_privacy.findings import Interval
from esrt_privacy.reports import wording

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


def record_of(training: dict[str, Any], metrics: Path) -> dict[str, Any]:
    """What the package keeps of a run: options, what was trained on what, curves (means of SMOOTHED steps)."""
    kept = ("options", "rows_a_step", "softmax_tokens", "languages", "left_out", "stages")
    return {name: training[name] for name in kept} | {"curve": _smoothed(metrics)}


def _smoothed(metrics: Path) -> list[dict[str, Any]]:
    rows: dict[tuple[int, str], list[tuple[int, float]]] = defaultdict(list)
    with open(metrics, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            key = (int(row["stage"]), row["task"])
            rows[key].append((int(row["step"]), float(row["loss"])))
    points = []
    for (stage, task), pairs in sorted(rows.items()):
        for start in range(0, len(pairs), SMOOTHED):
            steps, losses = zip(*pairs[start : start + SMOOTHED], strict=True)
            mean = round(float(np.mean(losses)), 4)
            points.append({"stage": stage, "task": task, "step": steps[-1], "loss": mean})
    return points


def curve_picture(curve: Sequence[dict[str, Any]], path: Path) -> None:
    """Loss of each task over the steps of each stage."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "esrt-privacy"
    from matplotlib import pyplot

    stages = sorted({row["stage"] for row in curve})
    figure, panels = pyplot.subplots(
        1, len(stages), figsize=(3.4 * len(stages), 3.2), layout="constrained", sharey=True
    )
    styles = {"asr": "-", "smt": ":", "srt": "--"}
    for panel, stage in zip(np.atleast_1d(panels), stages, strict=True):
        for task in sorted({row["task"] for row in curve if row["stage"] == stage}):
            points = [r for r in curve if (r["stage"], r["task"]) == (stage, task)]
            steps, losses = [r["step"] for r in points], [r["loss"] for r in points]
            panel.plot(steps, losses, styles[task], label=task.upper())
        panel.set(title=f"stage {'I' * stage}", xlabel="steps", yscale="log")
        panel.grid(alpha=0.3)
        panel.legend(frameon=False)
    np.atleast_1d(panels)[0].set_ylabel("loss, a token")
    figure.savefig(path, metadata={"Date": None})


def stages_in_words(record: dict[str, Any]) -> str:
    """One line a stage: steps, tasks and their weights, what was trained, the loss at its end, minutes."""
    lines = []
    for stage in record["stages"]:
        tasks = ", ".join(
            f"{name.upper()} {task['weight']:g} (loss at the end {task['loss_of_last_steps']:.2f})"
            for name, task in stage["tasks"].items()
        )
        trained = ", ".join(
            f"{name} {count / 1e6:.3g} M" for name, count in stage["trained"].items()
        )
        minutes = stage["seconds"] / 60
        lines.append(
            f"- Stage {'I' * stage['stage']}: {stage['steps']} steps of {record['rows_a_step']} rows, {tasks};"
            f" trained: {trained}; {minutes:.0f} minutes on two cores."
        )
    return "\n".join(lines)


def scores_table(path: Path) -> str:
    """The scores of reference_scores.py as a Markdown table."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return "\n".join([HEAD, *(_line(row) for row in _tabled(rows))])


def _tabled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that a table of the card has: shares of answers in the wrong language stay in the file."""
    return [row for row in rows if row["measure"] != "wrong-language"]


def _line(row: dict[str, Any]) -> str:
    between = f" ({_shown(row, 'low')} to {_shown(row, 'high')})" if row["low"] is not None else ""
    cells = [
        TESTS[row["corpus"]],
        *_what(row),
        _shown(row, "value") + between,
        _shown(row, "floor"),
        _shown(row, "nearest"),
        str(row["utterances"]),
        str(row["speakers"]),
    ]
    return f"| {' | '.join(cells)} |"


def _what(row: dict[str, Any]) -> tuple[str, str]:
    unit = {"chrf": "chrF", "spbleu": "spBLEU", "wer": "WER, %", "cer": "CER, %"}[row["measure"]]
    return f"{row['source']} → {row['target']}" if row["target"] else row["source"], unit


def _shown(row: dict[str, Any], name: str) -> str:
    percent = 1 if row["measure"] in ("chrf", "spbleu") else 100
    return "" if row[name] is None else f"{percent * row[name]:.1f}"


def warm_up_tables(path: Path, scores: Path) -> str:
    """What without_warm_up.py found, as text and Markdown tables; `scores` are the reference's."""
    found = json.loads(path.read_text(encoding="utf-8"))
    steps = ", ".join(str(stage["steps"]) for stage in found["stages"])
    warm, cold = found["attacker_error"]
    lines = [
        f"The other adapter went through the stages alone ({steps} steps) from random weights. The attackers learned",
        f"for {found['attacker_steps']} steps each, to a development error of {warm:.3f} (reference) and {cold:.3f}.",
        "",
        "| measure | reference | floor | without warm-up | floor |",
        "|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        unit = f", {row['unit']}" if row["unit"] else ""
        cells = [f"{row['metric']}{unit}"]
        for name in ("warm", "cold"):
            found_in = row[name]
            estimate = Interval.model_validate(found_in["estimate"])
            cells.append(f"{wording.with_bounds(estimate)}, {found_in['verdict']}")
            cells.append(wording.figure(found_in["floor"]))
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "What both recognise and translate of held-out sentences, as in the table above:",
        "",
        "| direction | measure | reference | without warm-up | its answers swapped |",
        "|---|---|---|---|---|",
    ]
    reference = {_key(row): row for row in json.loads(scores.read_text(encoding="utf-8"))}
    for row in _tabled(found["scores"]):
        values = (_shown(reference[_key(row)], "value"), _shown(row, "value"), _shown(row, "floor"))
        lines.append(f"| {' | '.join((*_what(row), *values))} |")
    return "\n".join(lines)


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("corpus", "source", "target", "measure"))
