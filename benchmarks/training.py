"""What cached encoder features save: steps a second with them, and with the encoder in the loop, side by side.

    python benchmarks/training.py [--speech FOLDER] [--steps 6] [--batch 16] [--rounds 2]

Each round runs, in turn, the CTC warm-up and each of the stages I to III (Gemma-3-270M), for a few steps each way, on
the same recordings in the same order. Printed: seconds a step, and the ratio (median over rounds).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from esrt_privacy.corpora import Corpus, load_corpus
from esrt_privacy.esrt.config import REFERENCE
from esrt_privacy.esrt.edge import Edge
from esrt_privacy.esrt.model import EsrtModel
from esrt_privacy.esrt.model_config import model_preset
from esrt_privacy.esrt.qformer import QFormer
from esrt_privacy.esrt.training.curriculum import Stage, planned
from esrt_privacy.esrt.training.frames import Frames, LiveFrames, StoredFrames
from esrt_privacy.esrt.training.options import TrainingOptions
from esrt_privacy.esrt.training.run import train_model
from esrt_privacy.esrt.training.selection import selected

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

import ctc


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", default="demo", help="demo, or a corpus by path")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    corpus = load_corpus(options.speech).filter(lambda u: bool(u.text))
    corpus = replace(corpus, utterances=corpus.utterances[: 4 * options.batch])
    model = EsrtModel.create(model_preset("reference"))
    assert model.edge is not None
    live = LiveFrames(model.edge.encoder)
    stored = _stored(model.edge, corpus)
    ways: dict[str, Frames] = {"cached": StoredFrames(stored.__getitem__), "in the loop": live}
    runs: dict[str, Callable[[Frames], float]] = {
        "CTC warm-up": lambda frames: _warm_up(corpus, frames, options.steps, options.batch)
    }
    for stage in planned([1, 2, 3]):
        runs[f"stage {stage.number}"] = lambda frames, stage=stage: _stage(
            corpus, frames, stage, options.steps, options.batch
        )
    times = {name: {way: [] for way in ways} for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            for way, frames in ways.items():
                times[name][way].append(run(frames))
    print(f"batch {options.batch}, {options.steps} steps, {torch.get_num_threads()} threads")
    for name, found in times.items():
        cached, loop = found.values()
        ratio = statistics.median(b / a for a, b in zip(cached, loop, strict=True))
        print(
            f"{name:12s} cached {statistics.median(cached):.2f} s a step, encoder in the loop"
            f" {statistics.median(loop):.2f} s, ratio {ratio:.2f}"
        )


def _stored(edge: Edge, corpus: Corpus) -> dict[str, Tensor]:
    frames = LiveFrames(edge.encoder)
    found = {}
    for start in range(0, len(corpus), 8):
        batch = corpus.utterances[start : start + 8]
        pairs = zip(batch, frames(batch), strict=True)
        found.update({u.fingerprint: f.to(torch.float16) for u, f in pairs})
    return found


def _warm_up(corpus: Corpus, frames: Frames, steps: int, batch: int) -> float:
    examples, _ = ctc.targets(ctc.examples(corpus))
    utterances = {u.fingerprint: u for u in corpus}
    qformer = QFormer(REFERENCE.qformer, REFERENCE.encoder)
    head = ctc.Head(REFERENCE.qformer.hidden, REFERENCE.qformer.query_sets)
    last: dict[str, Tensor] = {}

    def frames_of(key: str) -> Tensor:
        if key not in last:
            last.clear()
            last[key] = frames([utterances[key]])[0]
        return last[key]

    schedule = ctc.Options(steps, full_steps=0, batch=batch)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        ctc.train(qformer, head, examples, frames_of, schedule, Path(folder), lambda _: {})
        return (time.perf_counter() - began) / steps


def _stage(corpus: Corpus, frames: Frames, stage: Stage, steps: int, batch: int) -> float:
    """Seconds a step; the demo corpus has no translations, so that its texts stand in for them."""
    rows: Sequence = [
        replace(u, translations=u.translations or {"deu": u.text or ""}) for u in corpus
    ]
    options = TrainingOptions(
        steps=(steps,), batch=batch, warm_up=1, restrict_vocabulary=True, thin_padding=1.0
    )
    model = EsrtModel.create(model_preset("reference"))
    marks = []
    with tempfile.TemporaryDirectory() as folder:
        train_model(
            model,
            selected(rows, None, 0),
            frames,
            options,
            Path(folder) / "out",
            [stage],
            report=lambda *_: marks.append(time.perf_counter()),
        )
    # The first step warms up.
    return (marks[-1] - marks[0]) / (len(marks) - 1)


if __name__ == "__main__":
    main()
