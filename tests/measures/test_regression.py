import math

import numpy as np
import pytest
from sklearn import metrics

from esrt_privacy.measures.regression import (
    mean_absolute_error,
    r_squared,
    r_squared_speaker_bootstrap,
    share_within,
)

TRUTH, GUESS = [1.0, 2.0, 3.0, 4.0], [1.0, 2.1, 2.7, 5.0]


@pytest.fixture
def rng():
    return np.random.default_rng(9)


def test_figures_match_a_case_worked_by_hand():
    assert mean_absolute_error(TRUTH, GUESS) == pytest.approx(1.4 / 4)
    # Off by 0, 5, 10 and 25%.
    assert share_within(TRUTH, GUESS) == 0.5
    assert share_within(TRUTH, GUESS, 0.25) == 1.0
    # Squared errors 0.01 + 0.09 + 1, variation 2.25·2 + 0.25·2 = 5.
    assert r_squared(TRUTH, GUESS) == pytest.approx(1 - 1.1 / 5)
    assert mean_absolute_error(TRUTH, GUESS, [0, 1, 1, 0]) == pytest.approx(0.2)


def test_figures_agree_with_scikit_learn(rng):
    truth = rng.uniform(1, 30, 200)
    guess, weights = truth + rng.normal(0, 3, 200), rng.random(200)
    given = {"sample_weight": weights}
    assert mean_absolute_error(truth, guess, weights) == pytest.approx(
        metrics.mean_absolute_error(truth, guess, **given)
    )
    assert r_squared(truth, guess, weights) == pytest.approx(
        metrics.r2_score(truth, guess, **given)
    )


def test_values_that_are_not_finite_are_left_out_and_nothing_is_undefined():
    assert mean_absolute_error([1, np.nan, 3], [2, 2, np.inf]) == 1.0
    assert math.isnan(mean_absolute_error([], []))
    assert math.isnan(r_squared([2, 2], [1, 3]))
    with pytest.raises(ValueError, match="2 true values"):
        r_squared([1, 2], [1])
    with pytest.raises(ValueError, match="negative"):
        share_within([1], [1], weights=[-1])


def test_r_squared_has_an_interval_over_speakers(rng):
    who = np.repeat(np.arange(10), 8)
    truth = rng.uniform(1000, 1030, 80)
    guess = truth + rng.normal(0, 4, 80)
    guess[0] = np.nan
    found = r_squared_speaker_bootstrap(truth, guess, who, rng, draws=300)
    assert found.value == pytest.approx(r_squared(truth, guess))
    assert found.low < found.value < found.high <= 1
    assert found.n == 10 and "1 without a value" in found.method
    with pytest.raises(ValueError, match="speaker labels"):
        r_squared_speaker_bootstrap(truth, guess, who[1:], rng)


def test_r_squared_of_one_speaker_has_no_interval(rng):
    found = r_squared_speaker_bootstrap(TRUTH, GUESS, ["a"] * 4, rng)
    assert found.value == pytest.approx(0.78)
    assert math.isnan(found.low)
    assert math.isnan(r_squared_speaker_bootstrap([], [], [], rng).value)
