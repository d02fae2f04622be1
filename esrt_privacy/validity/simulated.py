"""Nulls judged as an audit judges: one finding at a time, and all of an audit's findings together with Holm's rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from esrt_privacy.attacks.comparisons import Comparison, RatioComparison
from esrt_privacy.attacks.drafts import Draft, judged, undecided
from esrt_privacy.attacks.families import RECONSTRUCTION, family_module
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.findings import Interval, Verdict
from esrt_privacy.measures.intervals import Estimate
from esrt_privacy.measures.replicates import Replicates
from esrt_privacy.validity.null_answers import NULLS, TAP, Crowd, simulated_capture

SIMULATED_CONTROL = "a simulation needs none"


@dataclass(frozen=True)
class Judged:
    """One null set: the verdict of each figure alone, and of each as part of an audit of all of them."""

    alone: dict[str, Verdict]  # by family and metric
    together: dict[str, Verdict]


def judged_null(speakers: int, rng: np.random.Generator) -> Judged:
    """Draw one null of every family and judge it."""
    drafts: dict[str, Draft] = {}
    for family, answer in NULLS.items():
        crowd = Crowd.drawn(speakers, rng)
        corpus = crowd.corpus()
        inputs = Inputs(
            "simulated", {TAP: simulated_capture(corpus)}, corpus, None, int(rng.integers(2**31))
        )
        found = answer(crowd, rng)
        for draft in family_module(family).drafts(inputs, {(TAP, 0): found}):
            drafts[statistic_name(draft)] = believed(draft)
    for draft in _by_ear(Crowd.drawn(speakers, rng), rng):
        drafts[statistic_name(draft)] = believed(draft)
    return judged_drafts(drafts)


def judged_drafts(drafts: dict[str, Draft]) -> Judged:
    """Verdicts of drafts by name, alone and together."""
    remembered = {
        name: replace(draft, comparisons=tuple(_Remembered(c) for c in draft.comparisons))
        for name, draft in drafts.items()
    }
    alone = {name: judged([draft])[0].verdict for name, draft in remembered.items()}
    findings = judged(tuple(remembered.values()))
    together = {name: f.verdict for name, f in zip(remembered, findings, strict=True)}
    return Judged(alone, together)


def statistic_name(draft: Draft) -> str:
    """A figure's name without its tap: speaker.semi-informed-eer."""
    attack, _, slug = draft.finding.id.split(".", 2)
    return f"{attack}.{slug}"


def believed(draft: Draft) -> Draft:
    """As if its control had passed and nothing stood against a verdict, so that only the statistics speak."""
    return replace(draft, control_passed=True, control_words=SIMULATED_CONTROL, caution="")


@dataclass(frozen=True)
class _Remembered:
    """A comparison that is made once a level: alone and together ask for the same ones."""

    inner: Comparison
    _kept: dict[float, Estimate] = field(default_factory=dict, compare=False)

    @property
    def floor(self) -> str:
        return self.inner.floor

    @property
    def speakers(self) -> tuple[str, ...]:
        return self.inner.speakers

    def difference(self, level: float, rng: np.random.Generator) -> Estimate:
        # A draft's draws are those of its seed at every level, so the generator is always the same one.
        if level not in self._kept:
            self._kept[level] = self.inner.difference(level, rng)
        return self._kept[level]

    def leakage(self, rng: np.random.Generator) -> Replicates:
        return self.inner.leakage(rng)


def _by_ear(crowd: Crowd, rng: np.random.Generator) -> Sequence[Draft]:
    """The comparisons that reconstruction is judged by: errors over words, and a mean over utterances."""
    corpus = crowd.corpus()
    inputs = Inputs("simulated", {TAP: simulated_capture(corpus)}, corpus, None, 0)
    words = rng.integers(3, 15, len(crowd.who))
    rates = 1 / (1 + np.exp(-(1.0 + crowd.spread(rng, 0.7))))
    wrong = [rng.binomial(words, rates).astype(float) for _ in range(2)]
    heard = [0.3 + 0.1 * crowd.spread(rng) + 0.1 * rng.normal(size=len(words)) for _ in range(2)]
    ones = [1.0] * len(words)
    made = (
        ("WER", "wer", "%", 100.0, -1.0, wrong, words.astype(float).tolist()),
        ("STOI", "stoi", "", 1.0, 1.0, heard, ones),
    )
    drafts = []
    for metric, slug, unit, scale, sign, (own, other), below in made:
        comparison = RatioComparison(
            "another utterance", (own.tolist(), below), (other.tolist(), below), crowd.names, sign
        )
        finding = undecided(
            inputs,
            TAP,
            RECONSTRUCTION,
            slug,
            question="Is what was heard nearer to the truth than another utterance?",
            metric=metric,
            unit=unit,
            leaks_when="lower" if sign < 0 else "higher",
            estimate=Interval(value=scale * float(np.sum(own) / np.sum(below))),
            utterances=len(words),
            speakers=crowd.speakers,
        )
        drafts.append(
            Draft(finding, (comparison,), scale, int(rng.integers(2**31)), True, SIMULATED_CONTROL)
        )
    return drafts
