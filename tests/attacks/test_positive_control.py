"""When a positive control bears on a verdict."""

import pytest

from esrt_privacy.attacks.base import CONTROL_RULE
from esrt_privacy.attacks.positive_control import below_chance, control_tap, judge_control
from esrt_privacy.findings import Interval
from esrt_privacy.measures.intervals import Estimate
from tests.attacks.planted import people, planted

LEAST = CONTROL_RULE["language"][0]
NAN = float("nan")


def reached(value: float, low: float) -> Estimate:
    return Estimate(value, low, value, 9, "made")


@pytest.mark.parametrize(
    ("value", "low", "passed"),
    [
        (LEAST, 0.01, True),
        (LEAST - 0.01, 0.01, False),
        (LEAST, 0.0, False),
        (LEAST, NAN, True),
        (NAN, NAN, False),
    ],
)
def test_a_control_passes_at_its_rule_with_a_bound_above_the_floor(value, low, passed):
    assert judge_control("transparent", "language", reached(value, low)).passed is passed


def test_a_figure_is_held_against_the_rule_of_its_control():
    failed = judge_control("transparent", "language", reached(0.0, -0.1))
    assert failed.passed_by(reached(LEAST, 0.1))
    assert not failed.passed_by(reached(LEAST / 2, 0.1))
    assert not failed.passed_by(reached(LEAST, -0.1))
    none = judge_control(None, "language", None)
    assert none.passed is None and none.words == "no control was run"
    assert not none.passed_by(reached(1.0, 0.9))  # there is no rule to pass


def test_a_rate_below_chance_turns_its_interval_round():
    assert below_chance(Estimate(0.2, 0.1, 0.4, 9, "made")) == pytest.approx(
        (0.3, 0.1, 0.4, 9, "made")
    )


def test_the_control_is_shown_everywhere_but_at_itself():
    failed = judge_control("transparent", "language", reached(0.0, -0.1))
    figure = Interval(value=50.0)
    assert failed.shown("qformer", figure)["control_passed"] is False
    assert failed.shown("transparent", figure) == {} == failed.shown("qformer", None)


def test_the_control_has_the_shape_of_the_tap_or_is_the_mel():
    corpus = people(speakers=2, each=1)
    captures = {
        "qformer": planted(corpus, "qformer", {}),
        "encoder": planted(corpus, "encoder", {}, (9, 4)),
        "transparent": planted(corpus, "transparent", {}),
    }
    assert control_tap(captures, "qformer") == "transparent"
    assert control_tap(captures, "encoder") is None
    captures["mel"] = planted(corpus, "mel", {}, (30, 4))
    assert control_tap(captures, "encoder") == "mel"
    assert control_tap(captures, "qformer") == "transparent"
