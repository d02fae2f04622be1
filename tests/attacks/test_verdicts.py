"""From figures to verdicts: the rules, and Holm's procedure over a run."""

import pytest
from scipy import stats

from esrt_privacy.attacks.base import SMALLEST_EFFECT, Evidence, decide
from esrt_privacy.attacks.reconstruction_findings import (
    LENGTH,
    METRICS,
    _Draft,
    _with_verdicts,
)
from esrt_privacy.measures.intervals import Estimate

STRONG = Evidence(0.4, 0.3, 0.5, 0.25)
WEAK = Evidence(0.1, -0.05, 0.25, None)
NOTHING = Evidence(0.0, -0.03, 0.03, None)


@pytest.mark.parametrize("evidence", [STRONG, WEAK, NOTHING, Evidence(None, None, None, None)])
def test_a_failed_control_makes_any_figure_invalid(evidence):
    verdict, reason = decide("STOI", evidence, False, "transparent tensor: STOI 0.20")
    assert verdict == "invalid"
    assert "STOI 0.20" in reason


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


def normal(value: float) -> _Draft:
    """A difference with a standard error of 1, so that p = P(|Z| > value)."""

    def difference(level: float) -> Estimate:
        width = float(stats.norm.ppf((1 + level) / 2))
        return Estimate(value, value - width, value + width, 10, "normal")

    return _Draft(lambda evidence: (value, evidence), difference)


def test_holm_agrees_with_a_case_worked_by_hand():
    # p = 0.010, 0.013, 0.030, 0.040 against 0.05/4 = 0.0125, 0.05/3 = 0.0167, 0.05/2 = 0.025, 0.05:
    # the first two fall; the third stays, and the fourth stays with it though 0.040 < 0.05.
    p_values = {"a": 0.030, "b": 0.010, "c": 0.040, "d": 0.013}
    drafts = [normal(float(stats.norm.isf(p / 2))) for p in p_values.values()]
    found = {
        name: evidence for name, (_, evidence) in zip(p_values, _with_verdicts(drafts), strict=True)
    }
    assert {name for name, e in found.items() if e.corrected_low is not None} == {"b", "d"}
    assert all(e.low > 0 for e in found.values())  # uncorrected, all four would have fallen
    assert found["b"].corrected_low == pytest.approx(
        stats.norm.isf(0.005) - stats.norm.ppf(1 - 0.0125 / 2), abs=1e-6
    )


def test_a_figure_without_an_interval_does_not_stop_the_others():
    unknown = _Draft(lambda evidence: (0.0, evidence), lambda level: None)
    undefined = _Draft(
        lambda evidence: (0.0, evidence),
        lambda level: Estimate(1.0, float("nan"), float("nan"), 1, "one speaker"),
    )
    found = _with_verdicts([unknown, normal(5.0), undefined])
    assert [evidence.corrected_low is not None for _, evidence in found] == [False, True, False]
    assert found[0][1] == Evidence(None, None, None, None)


def test_no_findings_are_no_error():
    assert _with_verdicts([]) == ()
