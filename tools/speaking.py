"""Synthesise planned recordings with several processes: Ogg/Opus files and a manifest.

Each recording depends on its own row only, so the result does not depend on the number of workers, and a killed run
goes on with the recordings that are missing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from kokoro import Kokoro, fetch
from voices import Voice

OPUS_COMPRESSION = 0.95  # of libsndfile's scale from 0 to 1


@dataclass(frozen=True)
class Planned:
    """One recording: its row in the manifest, who says it, and what the synthesiser is given."""

    row: dict[str, Any]
    voice: Voice
    spoken: str


Plan = Callable[[dict[str, np.ndarray]], list[Planned]]  # from the synthesiser's styles


def main(plan: Plan, description: str, out: Path | None) -> None:
    """The command line of a tool that makes the recordings of `plan`; `out` is where they go unless told."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=out, required=out is None)
    parser.add_argument("--weights", type=Path, required=True, help="folder for Kokoro's files")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    speak_all(plan, options.out, options.weights, options.workers)


def speak_all(plan: Plan, out: Path, weights: Path, workers: int) -> None:
    """Make every recording of `plan`, a module's function, and write `out`/manifest.jsonl."""
    fetch(weights)  # once, before the workers look for it
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        jobs = [(plan, out, weights, i, workers) for i in range(workers)]
        for _ in pool.imap_unordered(_work, jobs):  # a worker's error ends the run at once
            pass
    with open(out / "manifest.jsonl", "w", encoding="utf-8") as file:
        for planned in plan(Kokoro(weights).styles):
            row = dict(planned.row)
            row["duration"] = round(soundfile.info(out / row["audio"]).duration, 3)
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_opus(path: Path, wave: np.ndarray) -> None:
    """Ogg/Opus at about 20 kbit/s, 16 kHz mono."""
    soundfile.write(
        path, wave, 16_000, format="OGG", subtype="OPUS", compression_level=OPUS_COMPRESSION
    )


def _work(arguments: tuple[Plan, Path, Path, int, int]) -> None:
    """Synthesise every `workers`-th recording that does not exist yet."""
    plan, out, weights, worker, workers = arguments
    kokoro = Kokoro(weights, threads=1)
    mine = plan(kokoro.styles)[worker::workers]
    for done, planned in enumerate(mine, 1):
        path = out / planned.row["audio"]
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            wave = planned.voice.render(kokoro, planned.spoken, planned.row["language"])
            partial = path.with_suffix(".part")
            write_opus(partial, wave)
            partial.replace(path)
        if done % 50 == 0:
            print(f"worker {worker}: {done}/{len(mine)}", flush=True)
