"""What 10 million speaker trials cost: EER, minCllr and a bootstrap over speakers; and SpeechBrain's EER beside ours.

    python benchmarks/trials.py [--trials 10000000] [--speakers 1000] [--draws 1000] [--beside 2000]

Printed: seconds of each figure (by the clock, and of processor time, which other programs disturb less), its value and
interval, the most memory the process has held, and, on the number of trials that SpeechBrain's loop over thresholds
can do (`--beside`, of each kind), the processor time of both and their ratio.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from esrt_privacy.measures.simulation import SpeakerModel, Trials, sampled_trials
from esrt_privacy.measures.trial_bootstrap import eer_speaker_bootstrap
from esrt_privacy.measures.verification import eer, min_cllr

Value = TypeVar("Value")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000_000)
    parser.add_argument("--speakers", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--beside", type=int, default=2000, help="trials of each kind")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    trials = sampled_trials(
        SpeakerModel(between=0.5), options.speakers, options.trials, rng, target_share=0.1
    )
    print(f"{len(trials.scores):,} trials of {options.speakers:,} speakers: {_held():.2f} GB held")
    began, spent = time.perf_counter(), time.process_time()
    _timed("EER", lambda: eer(*_sides(trials)))
    _timed("minCllr", lambda: min_cllr(*_sides(trials)))
    found = _timed(
        f"EER, {options.draws} draws", lambda: eer_speaker_bootstrap(*trials, rng, options.draws)
    )
    print(f"   {100 * found.low:.3f} to {100 * found.high:.3f}% ({found.method})")
    print(
        f"all: {time.perf_counter() - began:.1f} s ({time.process_time() - spent:.1f} s of processor);"
        f" most memory held: {_held():.2f} GB"
    )
    _beside(options.beside, options.rounds, rng)


def _sides(trials: Trials) -> tuple[np.ndarray, np.ndarray]:
    return trials.scores[trials.is_target], trials.scores[~trials.is_target]


def _beside(trials: int, rounds: int, rng: np.random.Generator) -> None:
    import torch
    from speechbrain.utils.metric_stats import EER

    target, nontarget = rng.normal(1.5, 1, trials), rng.normal(0, 1, trials)
    tensors = torch.from_numpy(target), torch.from_numpy(nontarget)
    ratios = []
    for _ in range(rounds):
        ours, seconds = _processor_time(lambda: eer(target, nontarget))
        theirs, loop = _processor_time(lambda: EER(*tensors)[0])
        ratios.append(loop / seconds)
    print(
        f"{2 * trials:,} trials: EER {100 * ours:.3f}% in {seconds:.4f} s of processor; SpeechBrain"
        f" {100 * theirs:.3f}% in {loop:.2f} s; ratio {statistics.median(ratios):.0f}"
        f" (median of {rounds})"
    )


def _processor_time(run: Callable[[], float]) -> tuple[float, float]:
    began = time.process_time()
    return run(), time.process_time() - began


def _timed(name: str, run: Callable[[], Value]) -> Value:
    began, spent = time.perf_counter(), time.process_time()
    found = run()
    wall, processor = time.perf_counter() - began, time.process_time() - spent
    value = getattr(found, "value", found)
    print(f"{name:20s} {value:.5f}  {wall:.2f} s ({processor:.2f} s of processor)", flush=True)
    return found


def _held() -> float:
    """GB: the most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
