"""How often the 95% intervals contain the truth, on simulated corpora whose truth is known.

    python benchmarks/coverage.py OUT [--cells eer-10-0.05,mae ...] [--corpora 1000] [--draws 1000] [--list]

A cell is a figure, a number of speakers and a truth; `--cells` takes names, or their beginnings, apart by commas. OUT
gets one file a cell, a line a corpus: a killed run goes on where it stopped, and cells may run in several processes.
Printed: the share of intervals that contain the truth (wanted: 92 to 98%), how many lie wholly below or above it, the
median width and the mean figure.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np

from esrt_privacy.measures.coverage import Cell, Population, cells, coverage
from esrt_privacy.measures.intervals import Estimate

HEADER = "cell              truth  corpora  covered  below  above  undefined  median width  mean  CPU s a corpus"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cells", default="", help="names or their beginnings, apart by commas")
    parser.add_argument("--corpora", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="list the cells and stop")
    options = parser.parse_args()
    wanted = tuple(options.cells.split(","))
    chosen = [(i, c) for i, c in enumerate(cells()) if c.name.startswith(wanted)]
    if options.list:
        print("\n".join(cell.name for _, cell in chosen))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    print(HEADER)
    for number, cell in chosen:
        _run(
            options.out / f"{cell.name}-{options.draws}-{options.seed}.jsonl", number, cell, options
        )


def _run(path: Path, number: int, cell: Cell, options: argparse.Namespace) -> None:
    rows = _rows(path)
    if not rows:
        rows = [_line(path, {"population": cell.population()[1:]})]
    population = Population(cell, *rows[0]["population"])
    began, made = time.process_time(), 0
    for corpus in range(len(rows) - 1, options.corpora):
        rng = np.random.default_rng([options.seed, number, corpus])
        found = population.estimate(rng, options.draws)
        ends = [None if math.isnan(x) else x for x in found[:3]]
        rows.append(_line(path, {"corpus": corpus, "estimate": ends, "method": found.method}))
        made += 1
    seconds = (time.process_time() - began) / made if made else math.nan
    _show(population, rows[1 : options.corpora + 1], seconds)


def _show(population: Population, rows: list[dict], seconds: float) -> None:
    estimates = [
        Estimate(*(math.nan if x is None else x for x in row["estimate"]), 0, row["method"])
        for row in rows
    ]
    found = coverage(population.truth, estimates)
    print(
        f"{population.cell.name:16s} {population.truth:6.4f} {found.corpora:8d} {100 * found.share:7.1f}%"
        f" {found.below:6d} {found.above:6d} {found.undefined:10d} {found.median_width:13.4f}"
        f" {found.mean_value:6.4f} {seconds:8.3f}",
        flush=True,
    )


def _rows(path: Path) -> list[dict]:
    """Whole lines only: a kill may have cut the last one, which is then written anew."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def _line(path: Path, row: dict) -> dict:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    return row


if __name__ == "__main__":
    main()
