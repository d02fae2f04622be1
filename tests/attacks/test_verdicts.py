"""From figures to verdicts: the rules, and Holm's procedure over a run."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from esrt_privacy.attacks.base import OVERRULED, SMALLEST_EFFECT, Evidence, decide
from esrt_privacy.attacks.comparisons import Comparison
from esrt_privacy.attacks.drafts import Draft, judged
from esrt_privacy.attacks.reconstruction_findings import LENGTH, METRICS
from esrt_privacy.attacks.training_curves import STILL_FALLING
from esrt_privacy.findings import Finding, Interval
from esrt_privacy.measures.intervals import Estimate

STRONG = Evidence(0.4, 0.3, 0.5, 0.25)
WEAK = Evidence(0.1, -0.05, 0.25, None)
NOTHING = Evidence(0.0, -0.03, 0.03, None)


@pytest.mark.parametrize("evidence", [STRONG, WEAK, NOTHING, Evidence(None, None, None, None)])
def test_a_failed_control_makes_any_figure_invalid(evidence):
    verdict, reason = decide("STOI", evidence, False, "transparent tensor: STOI 0.20")
    assert verdict == "invalid"
    assert "STOI 0.20" in reason


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [(STRONG, "leaks"), (WEAK, "inconclusive"), (NOTHING, "inconclusive")],
)
def test_a_failed_control_silences_no_leak_of_an_attack_that_passes_its_rule_at_the_tap(
    evidence, verdict
):
    found, reason = decide("STOI", evidence, False, "STOI 0.20", passes_itself=True)
    assert found == verdict
    if evidence is NOTHING:
        assert "the positive control failed (STOI 0.20)" in reason


@pytest.mark.parametrize("control", [True, None])
def test_a_corrected_bound_above_the_floor_leaks(control):
    verdict, reason = decide("STOI", STRONG, control, "")
    assert verdict == "leaks"
    assert "0.25" in reason


def test_a_bound_below_the_smallest_effect_is_not_detected_and_given():
    verdict, reason = decide("STOI", NOTHING, True, "")
    assert verdict == "not detected"
    assert "at most 0.03" in reason


def test_nothing_found_without_a_control_is_inconclusive():
    assert decide("STOI", NOTHING, None, "")[0] == "inconclusive"


def test_a_figure_worse_than_its_floor_is_bounded_by_zero():
    verdict, reason = decide("STOI", Evidence(-0.2, -0.3, -0.1, None), True, "")
    assert verdict == "not detected"
    assert "at most 0 better" in reason


def test_an_interval_around_both_is_inconclusive():
    assert decide("STOI", WEAK, True, "")[0] == "inconclusive"


def test_a_difference_that_only_the_correction_swallows_is_inconclusive():
    assert decide("STOI", Evidence(0.2, 0.01, 0.4, None), True, "")[0] == "inconclusive"


def test_no_interval_is_inconclusive():
    assert decide("STOI", Evidence(None, None, None, None), True, "")[0] == "inconclusive"


def test_every_metric_has_a_smallest_effect():
    for name in (
        *(metric.name for metric in METRICS),
        LENGTH.name,
        "speaker cosine",
        "speaker EER",
    ):
        assert SMALLEST_EFFECT[name][0] > 0


@dataclass(frozen=True)
class Normal:
    """A difference with a standard error of its own, so that p = P(|Z| > value / error)."""

    value: float
    error: float = 1.0
    floor: str = "chance"

    def difference(self, level: float, rng: np.random.Generator) -> Estimate:
        width = self.error * float(stats.norm.ppf((1 + level) / 2))
        return Estimate(self.value, self.value - width, self.value + width, 10, "normal")


@dataclass(frozen=True)
class Skewed:
    """An interval that is narrow below at 95%, and reaches below zero at any higher level."""

    value: float
    floor: str = "chance"

    def difference(self, level: float, rng: np.random.Generator) -> Estimate:
        low = 0.8 * self.value if level < 0.96 else -self.value
        return Estimate(self.value, low, 2 * self.value, 10, "skewed")


@dataclass(frozen=True)
class Undefined:
    floor: str = "nothing"

    def difference(self, level: float, rng: np.random.Generator) -> Estimate:
        return Estimate(1.0, float("nan"), float("nan"), 1, "one speaker")


def draft(*comparisons: Comparison, control: bool | None = True, **changes: Any) -> Draft:
    """A finding of STOI against the comparisons' floors."""
    finding = Finding(
        id="a",
        question="?",
        system="made-up",
        system_fingerprint="f",
        corpus="made",
        tap="qformer",
        attacker="semi-informed",
        position="network plaintext",
        attack="any",
        metric="STOI",
        leaks_when="higher",
        estimate=Interval(value=0.5),
        verdict="untested",
        reason="not yet judged",
        utterances=10,
        speakers=10,
    )
    return Draft(finding, comparisons, 1.0, 0, control, "control words", **changes)


def leaks(drafts: list[Draft]) -> list[bool]:
    return [finding.verdict == "leaks" for finding in judged(drafts)]


def test_holm_agrees_with_a_case_worked_by_hand():
    # p = 0.010, 0.013, 0.030, 0.040 against 0.05/4 = 0.0125, 0.05/3 = 0.0167, 0.05/2 = 0.025, 0.05:
    # the first two fall; the third stays, and the fourth stays with it though 0.040 < 0.05.
    p_values = [0.030, 0.010, 0.040, 0.013]
    drafts = [draft(Normal(float(stats.norm.isf(p / 2)))) for p in p_values]
    assert leaks(drafts) == [False, True, False, True]
    assert [leaks([alone])[0] for alone in drafts] == [True] * 4  # uncorrected, all four fall
    bound = stats.norm.isf(0.005) - stats.norm.ppf(1 - 0.0125 / 2)
    assert f"Holm-corrected bound {bound:.3g}" in judged(drafts)[1].reason


def test_a_figure_without_an_interval_does_not_stop_the_others():
    found = judged([draft(), draft(Normal(5.0)), draft(Undefined())])
    assert [f.verdict for f in found] == ["inconclusive", "leaks", "inconclusive"]
    assert "no interval exists" in found[0].reason


def test_no_findings_are_no_error():
    assert judged([]) == ()


def test_a_leak_beats_every_floor_not_only_the_strongest():
    strongest, noisy = Normal(3.0, 1.0, "chance"), Normal(4.0, 3.0, "text only")
    assert leaks([draft(strongest)]) == [True]
    (held,) = judged([draft(strongest, noisy)])
    assert held.verdict == "inconclusive"
    assert "the floor 'text only'" in held.reason  # the one that was not beaten
    (leak,) = judged([draft(strongest, Normal(9.0, 1.0, "duration only"))])
    assert leak.verdict == "leaks" and "beats the floor 'chance' by 3" in leak.reason


def test_a_floor_without_an_interval_is_not_beaten():
    assert leaks([draft(Normal(9.0), Undefined())]) == [False]


def test_a_leak_must_beat_each_floor_at_the_level_of_its_place_in_the_audit():
    # 2.2 standard errors: enough alone, not among ten.
    narrow = draft(Normal(5.0), Normal(2.2, 1.0, "session"))
    assert leaks([narrow]) == [True]
    assert leaks([narrow, *(draft(Normal(0.0)) for _ in range(9))])[0] is False


def test_a_finding_with_a_skewed_interval_does_not_stand_in_the_way():
    # At 95% the skewed one looks stronger, yet at Holm's first level only the other stands; then it stands itself.
    skewed, plain, nothing = draft(Skewed(1.0)), draft(Normal(3.0)), draft(Normal(0.0))
    assert leaks([skewed, plain]) == [True, True]
    assert leaks([skewed, plain, nothing]) == [False, True, False]


def test_a_failed_control_is_invalid_and_a_caution_inconclusive():
    assert judged([draft(Normal(9.0), control=False)])[0].verdict == "invalid"
    (bound,) = judged([draft(Normal(9.0), still_falling=True)])
    assert bound.verdict == "leaks" and "a bound" in bound.reason
    assert STILL_FALLING in bound.notes
    (leak,) = judged([draft(Normal(9.0), control=False, passes_itself=True)])
    assert leak.verdict == "leaks" and OVERRULED in leak.notes
    for control in (True, None):
        (usual,) = judged([draft(Normal(9.0), control=control, passes_itself=True)])
        assert usual.verdict == "leaks" and OVERRULED not in usual.notes
    (careful,) = judged([draft(Normal(9.0), caution="synthetic voices")])
    assert careful.verdict == "inconclusive"
    assert "synthetic voices (beats the floor" in careful.reason
    (open_,) = judged([draft(Normal(0.0), caution="synthetic voices")])
    assert open_.verdict == "inconclusive" and "synthetic" not in open_.reason


def test_a_difference_is_held_against_the_smallest_effect_in_the_findings_unit():
    percent = draft(Normal(0.0, 0.01)).finding.model_copy(update={"metric": "speaker EER"})
    (found,) = judged([Draft(percent, (Normal(0.0, 0.01),), 100.0, 0, True, "")])
    assert found.verdict == "not detected" and "at most 1.96 better" in found.reason
    (small,) = judged([Draft(percent, (Normal(0.0, 0.03),), 100.0, 0, True, "")])
    assert small.verdict == "inconclusive"  # 5.9 points could be there


def test_a_metric_without_a_declared_effect_is_no_draft():
    unknown = draft(Normal(1.0)).finding.model_copy(update={"metric": "aura"})
    with pytest.raises(ValueError, match="no smallest effect of 'aura'"):
        Draft(unknown, (), 1.0, 0, None, "")


def test_holm_holds_the_family_wise_error_over_audits_without_a_leak():
    rng = np.random.default_rng(0)
    audits = 400
    wrong = sum(
        any(leaks([draft(Normal(float(rng.normal()))) for _ in range(5)])) for _ in range(audits)
    )
    # One-sided false alarms of a two-sided 5%: 2.5% expected, with a standard error of 0.8 points over 400 audits.
    assert wrong / audits <= 0.045


@settings(max_examples=30)
@given(st.permutations(range(5)))
def test_the_order_of_findings_does_not_matter(order: list[int]) -> None:
    values = [0.0, 1.0, 2.2, 3.0, 6.0]
    straight = leaks([draft(Normal(v)) for v in values])
    turned = leaks([draft(Normal(values[i])) for i in order])
    assert turned == [straight[i] for i in order]
