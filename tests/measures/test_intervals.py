import math

import numpy as np
import pytest

from esrt_privacy.measures.intervals import (
    bounded_ends,
    exact_binomial,
    expanded_level,
    jackknife_error,
    paired_difference,
    speaker_bootstrap_ratio,
    wilson,
)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_wilson_matches_hand_computed_values():
    # p = 0.8, n = 10, z = 1.96: centre 0.9921/1.38416, half-width 0.2852/1.38416 (by hand)
    found = wilson(8, 10)
    assert found.value == 0.8
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    # With no success the upper bound is z²/(n + z²).
    assert wilson(0, 10).low == 0.0
    assert wilson(0, 10).high == pytest.approx(3.8415 / 13.8415, abs=1e-4)
    assert wilson(10, 10).high == 1.0


def test_wilson_of_nothing_is_undefined_and_of_nonsense_an_error():
    assert math.isnan(wilson(0, 0).low)
    with pytest.raises(ValueError, match="no proportion"):
        wilson(11, 10)


def test_exact_binomial_of_no_success_is_known():
    # 1 - 0.025^(1/5)
    assert exact_binomial(0.0, 5) == pytest.approx((0.0, 0.5218), abs=1e-4)
    assert exact_binomial(1.0, 5) == pytest.approx((0.4782, 1.0), abs=1e-4)


def test_jackknife_error_of_a_plain_mean_is_its_standard_error():
    # Values 1, 2, 6 have mean 3, deviation sqrt(7), standard error sqrt(7/3).
    assert jackknife_error(np.array([4.0, 3.5, 1.5]), 3.0) == pytest.approx(math.sqrt(7 / 3))


def test_ends_on_a_scale_that_suits_the_bounds_are_known():
    # Share 1/2, margin 0.1: sin²(pi/4 ± 0.1) = 1/2 ± sin(0.2)/2.
    assert bounded_ends(0.5, 0.1, (0, 1), 10) == pytest.approx([0.4007, 0.5993], abs=1e-4)
    # The same share of (-1, 1): twice as wide about 0.
    assert bounded_ends(0.0, 0.2, (-1, 1), 10) == pytest.approx([-0.1987, 0.1987], abs=1e-4)
    # Never beyond the bounds.
    assert bounded_ends(0.9, 0.5, (0, 1), 10)[1] == pytest.approx(1.0)
    # 2·exp(±1/2)
    assert bounded_ends(2.0, 1.0, (0, np.inf), 5) == pytest.approx([1.2131, 3.2974], abs=1e-4)
    assert bounded_ends(2.0, 1.0, (0, np.inf), 4) == []
    assert bounded_ends(2.0, 1.0, None, 10) == bounded_ends(1.0, 1.0, (0, 1), 10) == []


def test_expanded_level_tends_to_the_plain_tail():
    assert expanded_level(0.95, 5) < 0.002
    assert expanded_level(0.95, 100_000) == pytest.approx(0.025, abs=1e-4)


def test_ratio_is_that_of_sums_and_two_speakers_get_the_t_interval(rng):
    # Two speakers, one mean each, 1 and 2: mean 1.5, standard error 0.5, t(1) = 12.706.
    found = speaker_bootstrap_ratio([1.0, 2.0], [1, 1], ["a", "b"], rng)
    assert found.value == 1.5
    assert (found.low, found.high) == pytest.approx((1.5 - 6.353, 1.5 + 6.353), abs=1e-3)
    assert found.n == 2
    # 3 errors of 4 words and 0 of 8: 25%, not the mean of rates.
    assert speaker_bootstrap_ratio([3, 0], [4, 8], ["a", "b"], rng).value == 0.25


def test_one_speaker_gives_no_interval_however_many_utterances(rng):
    found = speaker_bootstrap_ratio(np.arange(500.0), np.ones(500), ["a"] * 500, rng)
    assert found.value == 249.5
    assert math.isnan(found.low) and math.isnan(found.high)
    assert "one speaker" in found.method


def test_speakers_without_spread_never_give_a_width_of_zero(rng):
    right = speaker_bootstrap_ratio(
        np.ones(50), np.ones(50), np.repeat(range(5), 10), rng, clip=(0, 1)
    )
    assert (right.low, right.high) == pytest.approx((0.4782, 1.0), abs=1e-4)
    flat = speaker_bootstrap_ratio(np.ones(50) * 0.3, np.ones(50), np.repeat(range(5), 10), rng)
    assert math.isnan(flat.low) and "same value" in flat.method


def test_undefined_values_are_left_out_and_counted(rng):
    values = [1.0, np.nan, 2.0, np.inf]
    found = speaker_bootstrap_ratio(values, np.ones(4), ["a", "a", "b", "b"], rng)
    assert found.value == 1.5
    assert "2 without a value left out" in found.method
    assert math.isnan(speaker_bootstrap_ratio([np.nan], [1], ["a"], rng).value)
    assert math.isnan(speaker_bootstrap_ratio([], [], [], rng).value)


def test_clip_bounds_the_interval(rng):
    values, speakers = [1, 1, 0, 1, 1, 1.0], [0, 0, 1, 1, 2, 2]
    found = speaker_bootstrap_ratio(values, np.ones(6), speakers, rng, clip=(0, 1))
    assert found.low >= 0 and found.high == 1
    assert speaker_bootstrap_ratio(values, np.ones(6), speakers, rng).high > 1


def test_same_seed_gives_the_same_interval():
    def draw(seed):
        values = np.random.default_rng(0).exponential(size=60)
        speakers = np.repeat(range(6), 10)
        return speaker_bootstrap_ratio(values, np.ones(60), speakers, np.random.default_rng(seed))

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_mistaken_input_is_refused(rng):
    with pytest.raises(ValueError, match="speaker labels"):
        speaker_bootstrap_ratio([1, 2], [1, 1], ["a"], rng)
    with pytest.raises(ValueError, match="negative"):
        speaker_bootstrap_ratio([1, 2], [1, -1], ["a", "b"], rng)


def test_paired_difference_cancels_what_speakers_share(rng):
    speakers = np.repeat(np.arange(10), 8)
    hard = rng.normal(0, 5, 10)[speakers]
    a = hard + 1 + rng.normal(0, 0.1, 80)
    b = hard + rng.normal(0, 0.1, 80)
    ones = np.ones(80)
    found = paired_difference(a, ones, b, ones, speakers, rng)
    assert found.low < 1 < found.high
    assert found.high - found.low < 0.3
    alone = speaker_bootstrap_ratio(a, ones, speakers, rng)
    assert alone.high - alone.low > 2


def test_paired_difference_leaves_an_utterance_out_on_both_sides(rng):
    found = paired_difference(
        [1, 2, np.nan], [1, 1, 1], [0, 1, 9], [1, 1, 1], ["a", "b", "b"], rng, clip=(-2, 2)
    )
    assert found.value == 1.0
    assert found.low < 1 < found.high
    assert "1 without a value" in found.method


@pytest.mark.parametrize("speakers", [5, 10, 30])
@pytest.mark.parametrize("kind", ["mean", "skewed errors", "accuracy"])
def test_speaker_bootstrap_covers_the_truth(speakers, kind):
    rng = np.random.default_rng(speakers)
    runs, covered = 400, 0
    labels = np.arange(speakers)
    for _ in range(runs):
        sizes = rng.integers(2, 30, speakers)
        if kind == "mean":
            values = sizes * rng.normal(0, 1, speakers) + rng.normal(0, 2, speakers) * sizes**0.5
            truth = 0.0
        elif kind == "skewed errors":
            sizes = sizes * 12
            values = rng.poisson(sizes * rng.lognormal(math.log(0.15), 0.7, speakers))
            truth = 0.15 * math.exp(0.7**2 / 2)
        else:
            values = rng.binomial(sizes, rng.beta(1.5, 0.8, speakers))
            truth = 1.5 / 2.3
        found = speaker_bootstrap_ratio(values, sizes, labels, rng, draws=300)
        covered += found.low <= truth <= found.high
    # 400 runs: a true coverage of 95% shows as 92.8 to 97.2%.
    assert 0.91 <= covered / runs <= 0.99


def test_paired_difference_covers_the_truth():
    rng = np.random.default_rng(3)
    runs, covered = 300, 0
    for _ in range(runs):
        sizes = rng.integers(2, 30, 8)
        shared = rng.normal(0, 2, 8)
        a = sizes * (shared + rng.normal(0.5, 1, 8))
        found = paired_difference(a, sizes, sizes * shared, sizes, np.arange(8), rng, draws=300)
        covered += found.low <= 0.5 <= found.high
    assert 0.91 <= covered / runs <= 0.99
