"""The smallest attack family: is an utterance's nearest neighbour of the same speaker? Its seed draws the features."""

import os
import time
from collections.abc import Mapping

import numpy as np

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.comparisons import RatioComparison
from esrt_privacy.attacks.drafts import UNDECIDED, Draft
from esrt_privacy.attacks.families import Family
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.pictures import length_pairs
from esrt_privacy.attacks.trials import TrialList, draw_trials
from esrt_privacy.corpora.corpus import speakers_of
from esrt_privacy.errors import AttackError
from esrt_privacy.findings import BudgetPoint, Finding, Interval, Lengths
from esrt_privacy.measures.intervals import speaker_bootstrap_ratio
from esrt_privacy.progress import Reporter

FAMILY = Family(
    "tiny",
    "Is the nearest tensor of the same speaker?",
    needs=("speaker",),
    taps=("mel",),
    attackers=("semi-informed", "ignorant"),
)
PAUSE = "ESRT_PRIVACY_TINY_PAUSE"  # seconds that a part takes longer, for tests that interrupt it


def measure(inputs: Inputs, tap: str, seed: int, report: Reporter) -> Answers:
    utterances = list(inputs.test)
    if len(utterances) < 3:
        raise AttackError(f"{inputs.test.name}: {len(utterances)} utterances are too few")
    capture = inputs.captures[tap]
    report("reading", 0, len(utterances))
    time.sleep(float(os.environ.get(PAUSE, "0")))
    pooled = np.stack([capture.tensor(u).float().numpy().mean(axis=0) for u in utterances])
    kept = np.random.default_rng(seed).permutation(pooled.shape[1])[: max(2, pooled.shape[1] // 2)]
    distance = np.linalg.norm(pooled[:, None, kept] - pooled[None, :, kept], axis=2)
    np.fill_diagonal(distance, np.inf)
    speakers = np.array(speakers_of(utterances))
    hits = speakers[distance.argmin(axis=1)] == speakers
    report("reading", len(utterances), len(utterances))
    return Answers({"hits": hits}, {"utterances": tuple(u.id for u in utterances)})


def drafts(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> tuple[Draft, ...]:
    return tuple(_draft(inputs, answers, tap) for tap in dict.fromkeys(tap for tap, _ in answers))


def budget(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> list[BudgetPoint]:
    share = float(np.mean([a.arrays["hits"].mean() for a in answers.values()]))
    return [BudgetPoint(tap="all", amount=1, amount_unit="steps", metric="hits", value=share)]


def lengths(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> tuple[Lengths, ...]:
    true = np.array([u.duration or 0.0 for u in inputs.test])
    return tuple(
        length_pairs(
            *(f"tiny.{tap}.nearest", inputs.system, tap, true, 1.5 * true),
            np.random.default_rng(0),
        )
        for tap in dict.fromkeys(tap for tap, _ in answers)
    )


def lists(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> tuple[TrialList, ...]:
    return (draw_trials(inputs.test, inputs.seed, "mixed"),)


def _draft(inputs: Inputs, answers: Mapping[tuple[str, int], Answers], tap: str) -> Draft:
    utterances = list(inputs.test)
    seeds = tuple(seed for at, seed in answers if at == tap)
    values = np.mean([answers[tap, seed].arrays["hits"] for seed in seeds], axis=0).tolist()
    clusters, ones = speakers_of(utterances), [1.0] * len(utterances)
    chance = [
        (sum(other == own for other in clusters) - 1) / (len(clusters) - 1) for own in clusters
    ]
    rng = np.random.default_rng(inputs.seed)
    finding = Finding(
        id=f"tiny.{tap}.nearest",
        question=FAMILY.question,
        system=inputs.system,
        system_fingerprint=inputs.captures[tap].system_fingerprint,
        corpus=inputs.test.name,
        tap=tap,
        attacker="semi-informed" if tap == "qformer" else "ignorant",
        position="network plaintext",
        attack="tiny",
        metric="speaker cosine",
        leaks_when="higher",
        estimate=Interval.of(speaker_bootstrap_ratio(values, ones, clusters, rng)),
        floors={"chance": Interval(value=float(np.mean(chance)))},
        verdict="untested",
        reason=UNDECIDED,
        utterances=len(utterances),
        speakers=len(inputs.test.speakers),
        seeds=seeds,
    )
    floor = RatioComparison("chance", (values, ones), (chance, ones), clusters)
    return Draft(finding, (floor,), 1.0, inputs.seed, True, "always")
