"""Differences between two samples: paired over speakers, unpaired by MOVER, and many at once."""

import numpy as np
import pytest
from scipy import stats

from esrt_privacy.measures.differences import (
    holm,
    paired_difference_estimate,
    two_sided_p,
    unpaired_difference_estimate,
)
from esrt_privacy.measures.intervals import Estimate
from esrt_privacy.measures.replicates import Replicates, ratio_replicates


def means(values: np.ndarray, draws: int = 2000) -> Replicates:
    """Of one value a speaker, with draws that depend on the number of speakers only."""
    names = [f"s{i:02}" for i in range(len(values))]
    return ratio_replicates(values, np.ones(len(values)), names, np.random.default_rng(11), draws)


def test_mover_of_two_symmetric_intervals_is_pythagoras():
    first, second = Estimate(10.0, 7.0, 13.0, 9, "x"), Estimate(4.0, 0.0, 8.0, 12, "x")
    found = unpaired_difference_estimate(first, second)
    assert found[:4] == (6.0, 1.0, 11.0, 9)


def test_mover_keeps_what_is_lopsided():
    # Zou and Donner's way by hand: low 0.4 - 0.2 - hypot(0.1, 0.4), high 0.2 + hypot(0.3, 0.05).
    first, second = Estimate(0.4, 0.3, 0.7, 20, "x"), Estimate(0.2, 0.15, 0.6, 20, "x")
    found = unpaired_difference_estimate(first, second)
    assert found.low == pytest.approx(0.2 - (0.01 + 0.16) ** 0.5)
    assert found.high == pytest.approx(0.2 + (0.09 + 0.0025) ** 0.5)


def test_mover_without_an_interval_has_none():
    none = Estimate(1.0, float("nan"), float("nan"), 1, "one speaker")
    found = unpaired_difference_estimate(Estimate(2.0, 1.0, 3.0, 5, "x"), none)
    assert found.value == 1.0 and np.isnan(found.low) and np.isnan(found.high)
    assert found.method.startswith("undefined")


def test_a_paired_difference_of_means_without_draws_is_the_paired_t_test():
    rng = np.random.default_rng(1)
    hard = rng.normal(0, 5, 12)
    a, b = hard + rng.normal(1.5, 1, 12), hard + rng.normal(0, 1, 12)
    first, second = (Replicates(x.mean(), (x.sum() - x) / 11, np.empty(0), 12) for x in (a, b))
    found = paired_difference_estimate(first, second)
    expected = stats.ttest_rel(a, b)
    low, high = expected.confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert two_sided_p(found) == pytest.approx(expected.pvalue)


def test_pairing_takes_out_what_makes_a_speaker_hard_for_both():
    rng = np.random.default_rng(2)
    hard = rng.normal(0, 5, 20)
    first, second = (means(hard + rng.normal(shift, 1, 20)) for shift in (2.0, 0.0))
    paired = paired_difference_estimate(first, second)
    unpaired = unpaired_difference_estimate(first.estimate(), second.estimate())
    assert paired.value == pytest.approx(unpaired.value)
    assert paired.low > 0 > unpaired.low
    assert unpaired.high - unpaired.low > 3 * (paired.high - paired.low)


@pytest.mark.parametrize("shared", [0.0, 3.0])
def test_the_paired_interval_covers_the_truth(shared: float):
    rng, hits, runs = np.random.default_rng(3), 0, 400
    for _ in range(runs):
        hard = rng.normal(0, shared, 12) if shared else np.zeros(12)
        first, second = (means(hard + rng.gumbel(shift, 1, 12), 400) for shift in (1.0, 0.0))
        found = paired_difference_estimate(first, second)
        hits += found.low <= 1.0 <= found.high
    # 95% aimed at; fewer than 367 of 400 would happen in 0.2% of cases.
    assert hits >= 367


def test_speakers_of_other_corpora_with_the_same_names_lose_nothing_by_being_paired():
    rng, hits, runs = np.random.default_rng(4), 0, 400
    for _ in range(runs):
        first, second = (means(rng.normal(shift, 2, 12), 400) for shift in (1.0, 0.0))
        found = paired_difference_estimate(first, second)
        hits += found.low <= 1.0 <= found.high
    assert hits >= 367


def test_where_no_speaker_changes_the_difference_there_is_no_interval():
    values = np.random.default_rng(5).normal(3, 1, 8)
    same = paired_difference_estimate(means(values), means(values))
    assert same.value == 0 and np.isnan(same.low) and same.method.startswith("undefined")
    rounded = Replicates(33.3, np.full(8, 33.3, np.float32), np.full(100, 33.3, np.float32), 8)
    flat = paired_difference_estimate(
        rounded, Replicates(50.0, np.full(8, 50.0), np.full(100, 50.0), 8)
    )
    assert flat.value == pytest.approx(-16.7) and np.isnan(flat.low)


def test_replicates_of_other_speakers_are_no_pairs():
    with pytest.raises(ValueError, match="8 and 9 speakers are no pairs"):
        paired_difference_estimate(means(np.arange(8.0)), means(np.arange(9.0)))


def test_a_p_value_of_an_interval_is_that_of_the_test():
    half = float(stats.t.ppf(0.975, 9))
    assert two_sided_p(Estimate(half, 0.0, 2 * half, 10, "t")) == pytest.approx(0.05)
    assert two_sided_p(Estimate(-half, -9.0, 0.0, 10, "t")) == pytest.approx(0.05)
    assert two_sided_p(Estimate(0.0, -1.0, 1.0, 10, "t")) == 1.0
    assert np.isnan(two_sided_p(Estimate(1.0, float("nan"), float("nan"), 10, "none")))


def test_holm_by_hand():
    # 0.01 x 4, 0.02 x 3, 0.03 x 2 is not less than 0.06, 0.4 x 1.
    nan = float("nan")
    assert holm([0.03, nan, 0.01, 0.4, 0.02]) == [
        pytest.approx(0.06),
        pytest.approx(nan, nan_ok=True),
        pytest.approx(0.04),
        pytest.approx(0.4),
        pytest.approx(0.06),
    ]
    assert holm([0.6, 0.9]) == [1.0, 1.0]
