import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esrt_privacy.measures.replicates import Replicates
from esrt_privacy.measures.roc import binning_bound, hull_eer, masses
from esrt_privacy.measures.trial_bootstrap import (
    eer_difference_replicates,
    eer_difference_speaker_bootstrap,
    eer_speaker_bootstrap,
    statistic_speaker_bootstrap,
)
from esrt_privacy.measures.trial_tally import tally
from esrt_privacy.measures.verification import eer, hull_min_cllr, min_cllr


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def trials(rng, speakers, utterances, between):
    """All pairs of unit vectors scattered (deviation 1) about speakers' means."""
    means = rng.normal(0, between, (speakers, 1, 8))
    vectors = (means + rng.normal(0, 1, (speakers, utterances, 8))).reshape(-1, 8)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    who = np.repeat(np.arange(speakers), utterances)
    i, j = np.triu_indices(len(who), 1)
    return (vectors[i] * vectors[j]).sum(axis=1), who[i] == who[j], who[i], who[j]


@pytest.mark.parametrize("between", [0.0, 1.0])
@pytest.mark.parametrize("speakers", [5, 12])
def test_eer_speaker_bootstrap_covers_the_truth(between, speakers):
    rng = np.random.default_rng(speakers)
    values, same, *_ = trials(rng, 400, 4, 1.0)
    truth = eer(values[same], values[~same]) if between else 0.5
    runs, covered = 60, 0
    for _ in range(runs):
        found = eer_speaker_bootstrap(*trials(rng, speakers, 5, between), rng, draws=100)
        covered += found.low <= truth <= found.high
    assert covered / runs >= 0.9


def test_eer_speaker_bootstrap_value_is_that_of_all_trials_and_seeded(rng):
    values, same, enrol, test = trials(rng, 8, 5, 1.0)
    first, again = (
        eer_speaker_bootstrap(values, same, enrol, test, np.random.default_rng(3), draws=100)
        for _ in range(2)
    )
    assert first == again
    assert first.value == eer(values[same], values[~same])
    assert first.n == 8
    assert first.low < first.value < first.high


def test_perfectly_told_apart_speakers_still_have_an_interval(rng):
    who = np.repeat(np.arange(6), 3)
    i, j = np.triu_indices(18, 1)
    same = who[i] == who[j]
    found = eer_speaker_bootstrap(same * 1.0, same, who[i], who[j], rng, draws=50)
    # 1 - 0.025^(1/6)
    assert found[:3] == pytest.approx((0.0, 0.0, 0.4593), abs=1e-4)


def test_two_speakers_give_no_interval(rng):
    found = eer_speaker_bootstrap([1, 1, 0.0], [1, 1, 0], list("aba"), list("abb"), rng)
    assert found.value == 0.0
    assert math.isnan(found.low) and math.isnan(found.high)
    assert "2 speakers" in found.method


def test_trials_without_a_score_are_left_out_and_counted(rng):
    values, same, enrol, test = trials(rng, 6, 4, 1.0)
    values[:3] = np.nan
    found = eer_speaker_bootstrap(values, same, enrol, test, rng, draws=50)
    assert "3 trials without a score" in found.method
    assert math.isfinite(found.low)


def test_a_target_trial_of_two_speakers_is_refused(rng):
    with pytest.raises(ValueError, match="two different speakers"):
        eer_speaker_bootstrap([1.0], [True], ["a"], ["b"], rng)


def weighted_eer(values, same, enrol, test, counts):
    """Straight from the definition: a target of i weighs c_i, a non-target of i and j c_i c_j."""
    single, double = counts[enrol], counts[enrol] * counts[test]
    return eer(values[same], values[~same], single[same], double[~same])


@pytest.mark.parametrize("decimals", [1, 6])
def test_masses_of_a_draw_are_those_of_weighted_trials(rng, decimals):
    values, same, enrol, test = trials(rng, 7, 4, 1.0)
    values = values.round(decimals)  # to one decimal most scores are tied
    found = tally(values, same, enrol, test)
    counts = rng.multinomial(7, np.full(7, 1 / 7), size=40).astype(float)
    wanted = [weighted_eer(values, same, enrol, test, c) for c in counts]
    assert found.drawn(counts, hull_eer) == pytest.approx(wanted, nan_ok=True)
    left_out = [weighted_eer(values, same, enrol, test, c) for c in 1 - np.eye(7)]
    assert found.without_each(hull_eer) == pytest.approx(left_out)
    assert found.bound == 0.0


def test_blocks_of_a_long_list_add_up_to_the_same_masses(rng, monkeypatch):
    values, same, enrol, test = trials(rng, 9, 6, 1.0)
    counts = rng.multinomial(9, np.full(9, 1 / 9), size=20)
    whole = tally(values, same, enrol, test, bins=30)
    monkeypatch.setattr("esrt_privacy.measures.trial_tally.ROWS_AT_ONCE", 50)
    monkeypatch.setattr("esrt_privacy.measures.trial_tally.CELLS_AT_ONCE", 64)
    parts = tally(values, same, enrol, test, bins=30)
    assert len(parts._blocks) > len(whole._blocks) == 1
    assert parts.drawn(counts, hull_eer) == pytest.approx(whole.drawn(counts, hull_eer))
    assert parts.without_each(hull_eer) == pytest.approx(whole.without_each(hull_eer))


scores = st.lists(st.integers(-20, 20), min_size=1, max_size=60)


@settings(max_examples=200)
@given(scores, scores, st.integers(1, 12))
def test_binned_and_exact_eer_differ_by_at_most_the_bound(target, nontarget, bins):
    values = np.r_[target, nontarget].astype(float)
    same = np.arange(len(values)) < len(target)
    enrol, test = np.zeros(len(values), dtype=int), np.where(same, 0, 1)
    found = tally(values, same, enrol, test, bins)
    excess = hull_eer(*found.value_masses) - eer(target, nontarget)
    assert -1e-12 <= excess <= found.bound + 1e-12
    assert found.bound <= 1 / bins


@settings(max_examples=200)
@given(scores, scores, st.lists(st.integers(0, 40), max_size=5))
def test_binning_bound_holds_for_any_way_to_add_scores_up(target, nontarget, cuts):
    fine = masses(target, nontarget)
    edges = np.unique([0, *(c for c in cuts if c < len(fine.scores))]).astype(int)
    coarse = [np.add.reduceat(side, edges) for side in (fine.targets, fine.nontargets)]
    excess = hull_eer(*coarse) - hull_eer(fine.targets, fine.nontargets)
    assert -1e-12 <= excess <= binning_bound(*coarse) + 1e-12


def test_binning_bound_of_untied_scores_is_half_a_bin(rng):
    values = rng.normal(size=20_000)
    same = rng.random(20_000) < 0.1
    found = tally(values, same, np.zeros(20_000), np.where(same, 0, 1), bins=100)
    assert found.bound == pytest.approx(1 / 200, rel=0.1)


def test_a_binned_list_keeps_its_value_and_nearly_its_interval(rng):
    values, same, enrol, test = trials(rng, 12, 5, 1.0)
    exact, binned, coarse = (
        eer_speaker_bootstrap(
            values, same, enrol, test, np.random.default_rng(5), draws=100, bins=bins
        )
        for bins in (None, 100, 20)
    )
    assert "too high" in binned.method and "bins" not in exact.method
    assert binned.value == coarse.value == exact.value == eer(values[same], values[~same])
    # Bins of 1/100 move an EER by at most 0.01.
    assert binned[1:3] == pytest.approx(exact[1:3], abs=0.02)
    assert coarse.low < coarse.value < coarse.high


def test_a_long_list_is_binned_by_itself(rng, monkeypatch):
    values, same, enrol, test = trials(rng, 12, 5, 1.0)
    monkeypatch.setattr("esrt_privacy.measures.trial_bootstrap.EXACT_UP_TO", 1000)
    monkeypatch.setattr("esrt_privacy.measures.trial_bootstrap.BINS", 50)
    found = eer_speaker_bootstrap(values, same, enrol, test, rng, draws=30)
    assert f"{tally(values, same, enrol, test, 50).bins} bins" in found.method


def test_bins_of_one_kind_only_cost_nothing(rng):
    # Few targets: each has a bin of its own, and the others hold non-targets alone.
    values, same, enrol, test = trials(rng, 12, 5, 1.0)
    found = tally(values, same, enrol, test, bins=500)
    assert found.bins < len(values) and found.bound == 0.0
    assert hull_eer(*found.value_masses) == pytest.approx(eer(values[same], values[~same]))


def test_eer_difference_of_one_score_set_with_itself_is_nothing(rng):
    values, same, enrol, test = trials(rng, 8, 4, 1.0)
    found = eer_difference_speaker_bootstrap(values, values, same, enrol, test, rng, draws=50)
    assert found.value == 0.0
    assert found.low <= 0 <= found.high


def test_eer_difference_is_that_of_both_eers_and_pairs_the_speakers(rng):
    values, same, enrol, test = trials(rng, 12, 5, 1.0)
    worse = values + rng.normal(0, 0.5, len(values))
    found = eer_difference_speaker_bootstrap(worse, values, same, enrol, test, rng, draws=200)
    alone = [eer(s[same], s[~same]) for s in (worse, values)]
    assert found.value == pytest.approx(alone[0] - alone[1])
    assert 0 < found.low < found.value < found.high
    other = eer_difference_speaker_bootstrap(
        values, worse, same, enrol, test, np.random.default_rng(0), draws=200
    )
    assert other.value == pytest.approx(-found.value)


def test_eer_difference_leaves_a_trial_out_on_both_sides(rng):
    values, same, enrol, test = trials(rng, 6, 4, 1.0)
    other = values.copy()
    values[0], other[1] = np.nan, np.nan
    found = eer_difference_speaker_bootstrap(values, other, same, enrol, test, rng, draws=30)
    assert found.value == 0.0
    assert "2 trials without a score" in found.method
    with pytest.raises(ValueError, match="same trials"):
        eer_difference_speaker_bootstrap(values[1:], other, same, enrol, test, rng)


def test_replicates_give_growing_intervals_at_growing_levels(rng):
    values, same, enrol, test = trials(rng, 8, 4, 1.0)
    noisy = values + rng.normal(0, 1, len(values))
    replicates = eer_difference_replicates(noisy, values, same, enrol, test, rng, draws=100)
    narrow, wide = replicates.estimate(0.8), replicates.estimate(0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_any_figure_of_a_trial_list_has_an_interval_over_speakers(rng):
    values, same, enrol, test = trials(rng, 12, 5, 1.0)
    found = statistic_speaker_bootstrap(hull_min_cllr, values, same, enrol, test, rng, draws=100)
    assert found.value == pytest.approx(min_cllr(values[same], values[~same]))
    assert 0 < found.low < found.value < found.high < 1
    assert found.n == 12
    assert math.isnan(
        statistic_speaker_bootstrap(hull_min_cllr, [1.0], [True], ["a"], ["a"], rng).low
    )


def test_degrees_of_freedom_fall_where_one_speaker_makes_the_error():
    def of(jackknife):
        values = np.array(jackknife)
        return Replicates(0.3, values, np.array([0.3]), len(values)).degrees

    # Deviations ±1: kurtosis 1, all speakers count. One of ten apart: deviations 0.9 and nine of
    # -0.1: fourth moment 0.0657, second 0.09, kurtosis 8.11, 2·10/7.11.
    assert of([0.1, 0.2] * 5) == 9
    assert of([1.0] + [0.0] * 9) == pytest.approx(20 / 7.1111, abs=1e-3)
