"""Pairs of runs as the audit writes them, over simulated speakers: no model is needed."""

from pathlib import Path

import numpy as np

from esrt_privacy.attacks.comparisons import Comparison, EerComparison, RatioComparison
from esrt_privacy.attacks.draft_replicates import kept_replicates
from esrt_privacy.attacks.drafts import UNDECIDED, Draft, judged
from esrt_privacy.findings import Interval, Run, write_run
from esrt_privacy.measures.intervals import Estimate, speaker_bootstrap_ratio
from esrt_privacy.measures.trial_bootstrap import eer_speaker_bootstrap
from esrt_privacy.replicates import write_replicates
from esrt_privacy.reports.compare import LoadedRun, compare_runs
from esrt_privacy.reports.compare_record import Comparison as RunComparison
from tests.reports.fake_run import fake_run, finding

SPEAKERS = tuple(f"s{n:02}" for n in range(16))
EACH = 6  # utterances


def hardness(seed: int = 0) -> np.ndarray:
    """(speakers,) what makes each hard to recognise, for whatever system."""
    return np.random.default_rng([seed, 100]).normal(0, 0.12, len(SPEAKERS))


def audited(
    folder: Path,
    errors: float = 0.5,
    strength: float = 1.0,
    system: str = "reference",
    seed: int = 0,
    people: int = 0,
    replicates: bool = True,
) -> Run:
    """A run in `folder` with a word error rate and an EER, and its replicates.

    `errors` is the share of wrong words, `strength` how far target scores lie from the others, `people` which speakers.
    """
    rng = np.random.default_rng([seed, 7])
    clusters = [s for s in SPEAKERS for _ in range(EACH)]
    words = np.full(len(clusters), 40.0)
    rates = np.clip(errors + np.repeat(hardness(people), EACH), 0.01, 0.99)
    wrong = rng.binomial(40, rates).astype(float)
    names = [f"{s}-{people}" for s in clusters]
    own, floor = (wrong.tolist(), words.tolist()), (words.tolist(), words.tolist())
    wer = speaker_bootstrap_ratio(*own, names, np.random.default_rng(0), clip=(0.0, np.inf))
    pairs = [(a, b) for a in SPEAKERS for b in SPEAKERS for _ in range(4)]
    enrol, test = (np.array([f"{x}-{people}" for x in side]) for side in zip(*pairs, strict=True))
    target = enrol == test
    clear = np.repeat(strength + 2 * hardness(people), len(SPEAKERS) * 4)
    scores = rng.normal(size=len(pairs)) + clear * target
    eer = eer_speaker_bootstrap(scores, target, enrol, test, np.random.default_rng(0))
    drafts = [
        _draft("reconstruction.qformer.wer", "reconstruction", "WER", wer, system,
               RatioComparison("mean mel", own, floor, names, -1.0)),
        _draft("speaker.qformer.semi-informed-eer", "speaker", "speaker EER", eer, system,
               EerComparison("chance", scores, None, target, enrol, test)),
    ]  # fmt: skip
    run = fake_run(folder).model_copy(
        update={"system": system, "findings": judged(drafts), "examples": (), "budget": ()}
    )
    if replicates:
        write_replicates(kept_replicates(drafts), folder)
    write_run(run, folder)
    return run


def _draft(
    name: str, attack: str, metric: str, estimate: Estimate, system: str, floor: Comparison
) -> Draft:
    figure = finding(
        id=name,
        system=system,
        attack=attack,
        metric=metric,
        estimate=Interval.of(estimate, 100.0),
        floors={floor.floor: Interval(value=100.0 if attack == "reconstruction" else 50.0)},
        ceiling=None,
        ceiling_name="",
        control=None,
        control_name="",
        control_rule="",
        control_passed=None,
        verdict="untested",
        reason=UNDECIDED,
        speakers=len(SPEAKERS),
    )
    return Draft(figure, (floor,), 100.0, 0, True, "always")


def compared(a: Path, b: Path) -> RunComparison:
    """Both runs held against each other."""
    return compare_runs(LoadedRun.read(a), LoadedRun.read(b), "esrt-privacy report compare a b")
