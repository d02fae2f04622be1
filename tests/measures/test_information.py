import math

import numpy as np
import pytest
from sklearn.metrics import log_loss

from esrt_privacy.measures.information import (
    at_least_zero,
    entropy_bits,
    fano_information,
    information_bound,
    information_gains,
    information_speaker_bootstrap,
    residual_risk,
)


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def test_entropy_matches_hand_computed_values():
    assert entropy_bits(["a", "b", "c", "d"]) == pytest.approx(2.0)
    assert entropy_bits(["a", "a"]) == 0.0
    # 1/4 and 3/4: 0.25·2 + 0.75·0.4150
    assert entropy_bits(["a", "b"], [1, 3]) == pytest.approx(0.8113, abs=1e-4)
    assert math.isnan(entropy_bits([]))


def test_information_of_certain_and_of_useless_predictions():
    certain = [[1.0, 0.0], [0.0, 1.0]]
    assert information_bound(certain, [0, 1]) == pytest.approx(1.0)
    assert information_bound([[0.5, 0.5]] * 2, [0, 1]) == 0.0
    # log2(0.9 / 0.5) and log2(0.2 / 0.5)
    gains = information_gains([[0.9, 0.1], [0.8, 0.2]], [0, 1])
    assert gains == pytest.approx([math.log2(1.8), math.log2(0.4)])
    assert information_bound([[0.9, 0.1], [0.8, 0.2]], [0, 1]) == pytest.approx(gains.mean())
    assert information_bound(certain, [1, 0]) == -np.inf


def test_information_is_entropy_less_the_log_loss_of_scikit_learn(rng):
    table = rng.dirichlet([1, 1, 1], 200)
    truth, weights = rng.integers(0, 3, 200), rng.random(200)
    loss = log_loss(truth, table, sample_weight=weights) / math.log(2)
    found = information_bound(table, truth, weights)
    assert found == pytest.approx(entropy_bits(truth, weights) - loss)
    assert found < 0 and at_least_zero(found) == 0.0
    assert math.isnan(at_least_zero(float("nan")))


def test_information_stays_below_what_a_known_channel_carries(rng):
    # A bit that is flipped with chance 0.1 carries 1 - h(0.1) = 0.5310 bits.
    truth = rng.integers(0, 2, 40_000)
    seen = np.where(rng.random(40_000) < 0.1, 1 - truth, truth)
    sure = np.where(seen[:, None] == [0, 1], 0.9, 0.1)
    rash = np.where(seen[:, None] == [0, 1], 0.99, 0.01)
    assert information_bound(sure, truth) == pytest.approx(0.5310, abs=0.02)
    assert information_bound(rash, truth) < 0.5
    assert fano_information(0.9, 2) == pytest.approx(0.5310, abs=1e-4)


def test_information_has_an_interval_over_speakers_that_may_fall_below_zero(rng):
    who = np.repeat(np.arange(8), 6)
    truth = who % 2
    table = rng.dirichlet([2, 2], 48)
    found = information_speaker_bootstrap(table, truth, who, rng, draws=200)
    assert found.value == pytest.approx(information_bound(table, truth))
    assert found.low < found.value < found.high
    assert found.low < 0 and found.n == 8
    with pytest.raises(ValueError, match="probability 0"):
        information_speaker_bootstrap([[1.0, 0.0]], [1], ["a"], rng)


def test_predictions_that_are_no_distributions_are_refused():
    with pytest.raises(ValueError, match="distribution"):
        information_bound([[0.9, 0.9]], [0])
    with pytest.raises(ValueError, match="distribution"):
        information_bound([[np.nan, 0.5]], [0])
    with pytest.raises(ValueError, match="no column"):
        information_bound([[0.5, 0.5]], [2])
    with pytest.raises(ValueError, match="shape"):
        information_bound([[0.5, 0.5]], [0, 1])
    with pytest.raises(ValueError, match="weights"):
        information_bound([[0.5, 0.5]], [0], [1, 1])


def test_fano_matches_hand_computed_values():
    # Chance tells nothing: log2 4 - h(3/4) - 3/4·log2 3 = 2 - 0.8113 - 1.1887 = 0.
    assert fano_information(0.25, 4) == pytest.approx(0.0, abs=1e-12)
    assert fano_information(1.0, 4) == pytest.approx(2.0)
    assert fano_information(1.0, 4, entropy=1.5) == pytest.approx(1.5)
    with pytest.raises(ValueError, match="no accuracy"):
        fano_information(1.1, 4)
    with pytest.raises(ValueError, match="1 labels"):
        fano_information(0.5, 1)


def test_residual_risk_matches_hand_computed_values():
    found = residual_risk([0.6, 0.5, 1.0, 0.4], [0.5, 0.5, 0.2, 0.5])
    assert found == pytest.approx([0.2, 0.0, 1.0, -0.2])
    assert math.isnan(residual_risk(1.0, 1.0))
    with pytest.raises(ValueError, match="success rate"):
        residual_risk(1.2, 0.5)
