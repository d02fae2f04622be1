"""Differences to a floor: positive where the attack beats it, whichever way its metric runs."""

import numpy as np
import pytest

from esrt_privacy.attacks.comparisons import (
    AccuracyComparison,
    Comparison,
    EerComparison,
    RatioComparison,
)
from esrt_privacy.measures.intervals import Estimate

SPEAKERS = [f"s{n}" for n in range(12)]
CLUSTERS = [s for s in SPEAKERS for _ in range(4)]


def difference(comparison: Comparison) -> Estimate:
    return comparison.difference(0.95, np.random.default_rng(0))


def test_a_ratio_is_compared_in_the_direction_of_leakage():
    noise = np.random.default_rng(1).normal(0, 0.05, (2, len(CLUSTERS)))
    ones = [1.0] * len(CLUSTERS)
    low, high = ((list(level + row), ones) for level, row in zip((0.2, 0.6), noise, strict=True))
    more = difference(RatioComparison("floor", high, low, CLUSTERS, 1.0))
    assert more.value == pytest.approx(np.mean(high[0]) - np.mean(low[0]))
    assert more.low > 0
    # Fewer errors than the floor is a leak too.
    fewer = difference(RatioComparison("floor", low, high, CLUSTERS, -1.0))
    assert fewer == more


def trials(strength: float, seed: int = 2) -> dict[str, np.ndarray]:
    """Scores of one test utterance a speaker against every enrolled one."""
    rng = np.random.default_rng(seed)
    pairs = [(a, b) for a in SPEAKERS for b in SPEAKERS for _ in range(3)]
    enrol, test = (np.array(side) for side in zip(*pairs, strict=True))
    target = enrol == test
    return {
        "own_scores": rng.normal(size=len(pairs)) + strength * target,
        "is_target": target,
        "enrol": enrol,
        "test": test,
    }


def test_an_eer_is_compared_with_chance():
    strong = difference(EerComparison("chance", **trials(4.0), other_scores=None))
    assert 0.4 < strong.value <= 0.5 and strong.low > 0
    nothing = [
        difference(EerComparison("chance", **trials(0.0, seed), other_scores=None))
        for seed in range(20)
    ]
    # Half of 5% lie above zero by chance: more than 3 of 20 in 0.14% of cases.
    assert sum(estimate.low > 0 for estimate in nothing) <= 3


def test_an_eer_is_compared_with_other_scores_of_the_same_trials():
    weak = trials(1.0, seed=3)["own_scores"]
    better = difference(EerComparison("text only", **trials(4.0), other_scores=weak))
    assert better.value > 0.2 and better.low > 0
    sides = trials(4.0)
    strong = sides.pop("own_scores")
    worse = difference(EerComparison("x", own_scores=weak, other_scores=strong, **sides))
    assert worse.value == pytest.approx(-better.value)


def test_a_balanced_accuracy_is_compared_with_chance_and_with_other_answers():
    truth = np.array(["F", "M"] * (len(CLUSTERS) // 2))
    wrong = np.where(truth == "F", "M", "F")
    flip = np.random.default_rng(4).random((2, len(CLUSTERS)))
    good, bad = (
        np.where(row < share, wrong, truth) for row, share in zip(flip, (0.1, 0.5), strict=True)
    )
    recall = [np.mean(good[truth == label] == label) for label in "FM"]
    chance = difference(AccuracyComparison("chance", truth, good, 0.5, CLUSTERS))
    assert chance.value == pytest.approx(np.mean(recall) - 0.5) and chance.low > 0
    other = difference(AccuracyComparison("duration only", truth, good, bad, CLUSTERS))
    assert other.value > 0.2 and other.low > 0
    same = difference(AccuracyComparison("itself", truth, good, good, CLUSTERS))
    assert same.value == 0 and not same.low > 0


def test_one_speaker_gives_no_interval():
    one = ["s0"] * 4
    column = ([1.0, 0.0, 1.0, 1.0], [1.0] * 4)
    assert np.isnan(difference(RatioComparison("floor", column, column, one)).low)
    truth = np.array(["F", "M", "F", "M"])
    assert np.isnan(difference(AccuracyComparison("chance", truth, truth, 0.5, one)).low)
