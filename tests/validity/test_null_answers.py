"""Simulated nulls must be null, go through each family's own figures, and show a broken statistic."""

from dataclasses import replace

import numpy as np
import pytest

from esrt_privacy.attacks.comparisons import AccuracyComparison
from esrt_privacy.attacks.families import MODULES
from esrt_privacy.measures.intervals import Estimate, wilson
from esrt_privacy.measures.verification import eer
from esrt_privacy.validity import simulated
from esrt_privacy.validity.null_answers import NULLS, Crowd, chance_hits
from esrt_privacy.validity.record import FalseAlarms
from esrt_privacy.validity.tallies import simulated_alarms


def test_every_attack_family_has_a_null() -> None:
    assert set(NULLS) == set(MODULES)


def test_every_metric_of_the_families_is_judged(rng: np.random.Generator) -> None:
    found = simulated.judged_null(12, rng)
    for name in (
        *("speaker.semi-informed-eer", "speaker.semi-informed-eer-mixed", "linkage.same-person"),
        *("linkage.recording-top-1", "linkage.recording-top-10", "language.balanced-accuracy"),
        *("language.macro-f1", "language.bits", "language.open-set-auroc", "duration.mae"),
        *("duration.r2", "duration.within-5-percent", "duration.frame-error"),
        *("duration.onset-error", "duration.offset-error", "attributes.sex-bits"),
        *("structure.speaker-nmi", "structure.sex-purity", "reconstruction.wer"),
    ):
        assert name in found.alone
    assert set(found.alone) == set(found.together)


def test_the_same_generator_gives_the_same_verdicts() -> None:
    first, second = (simulated.judged_null(8, np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_null_voices_have_an_eer_of_one_half(rng: np.random.Generator) -> None:
    found = NULLS["speaker"](Crowd.drawn(100, rng), rng)
    target = found.arrays["target"]
    scores = found.arrays["semi-informed"]
    assert eer(scores[target], scores[~target]) == pytest.approx(0.5, abs=0.03)


def test_null_searches_hit_as_often_as_chance(rng: np.random.Generator) -> None:
    for chance in (0.01, 0.1):
        hits = chance_hits(Crowd.drawn(20_000, rng), chance, rng)
        assert hits.mean() == pytest.approx(chance, rel=0.1)


def test_null_lengths_are_as_wrong_as_the_median(rng: np.random.Generator) -> None:
    found = NULLS["duration"](Crowd.drawn(2000, rng), rng).arrays
    truth = found["duration.truth"]
    own = np.abs(found["duration.predicted"] - truth).mean()
    floor = np.abs(found["duration.median"] - truth).mean()
    assert own == pytest.approx(floor, rel=0.05)


def test_utterances_taken_as_independent_are_caught_by_false_alarms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A speaker's guesses go together: an interval over utterances is far too sure of itself."""
    name = "attributes.sex-balanced-accuracy"
    monkeypatch.setattr(simulated, "NULLS", {"attributes": NULLS["attributes"]})

    def alarms() -> FalseAlarms:
        sets = [simulated.judged_null(10, np.random.default_rng([1, i])) for i in range(80)]
        rows = [{"alone": s.alone, "together": s.together} for s in sets]
        return next(r for r in simulated_alarms(rows, 10) if r.statistic == name)

    honest = alarms()

    def by_utterances(self: AccuracyComparison, level: float, rng: np.random.Generator) -> Estimate:
        truth, own = np.asarray(self.truth), np.asarray(self.own)
        found = wilson(float((truth == own).sum()), len(truth), level)
        return found._replace(value=found.value - 0.5, low=found.low - 0.5, high=found.high - 0.5)

    monkeypatch.setattr(AccuracyComparison, "difference", by_utterances)
    broken = alarms()
    assert honest.standing != "fails"
    assert broken.standing == "fails"


def test_whole_audits_are_judged_together(rng: np.random.Generator) -> None:
    """One certain leak among many tests stands alone and together; a weak one only alone."""
    sure = _draft("sure", 1.0, 0.9)
    weak = [_draft(f"weak-{i}", 0.1, 0.001) for i in range(20)]
    found = simulated.judged_drafts({d.finding.id: d for d in (sure, *weak)})
    assert all(v == "leaks" for v in found.alone.values())
    assert found.together["speaker.tap.sure"] == "leaks"
    assert "leaks" not in [v for name, v in found.together.items() if "weak" in name]


class _Fixed:
    """A difference whose interval widens with the level."""

    floor = "chance"
    speakers = ()

    def __init__(self, value: float, low: float) -> None:
        self.value, self.at_95 = value, low

    def difference(self, level: float, rng: np.random.Generator) -> Estimate:
        low = self.at_95 - (level - 0.95) * 10 * (self.value - self.at_95)
        return Estimate(self.value, low, 2 * self.value - low, 10, "fixed")

    def leakage(self, rng: np.random.Generator) -> None:
        raise AssertionError("not asked for")


def _draft(name: str, value: float, low: float) -> simulated.Draft:
    rng = np.random.default_rng(0)
    draft = simulated._by_ear(Crowd.drawn(5, rng), rng)[0]
    finding = draft.finding.model_copy(update={"id": f"speaker.tap.{name}"})
    return replace(draft, finding=finding, comparisons=(_Fixed(value, low),))
