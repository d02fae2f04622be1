import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_curve

from esrt_privacy.measures.verification import eer, eer_speaker_bootstrap

scores = st.lists(st.integers(-5, 5), min_size=1, max_size=30)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0, 3.0])
def test_eer_of_two_shifted_gaussians_is_known(rng, shift):
    found = eer(rng.normal(shift, 1, 100_000), rng.normal(0, 1, 100_000))
    assert found == pytest.approx(norm.cdf(-shift / 2), abs=0.004)


def test_eer_interpolates_on_the_hull():
    # Hull of (false alarm, miss): (1, 0), (1/2, 0), (0, 1/2), (0, 1); it meets the diagonal at 1/4.
    assert eer([1, 3], [0, 2]) == pytest.approx(0.25)


def test_eer_of_perfect_separation_is_zero_and_of_like_scores_one_half():
    assert eer([2, 3], [0, 1]) == 0.0
    assert eer([1, 2, 3], [1, 2, 3]) == pytest.approx(0.5)
    assert eer([5, 5], [5, 5, 5]) == pytest.approx(0.5)


def test_scores_the_wrong_way_round_give_one_half_and_no_more():
    assert eer([0, 1], [2, 3]) == pytest.approx(0.5)


def test_eer_agrees_with_the_roc_of_scikit_learn(rng):
    target, nontarget = rng.normal(1.2, 1, 40_000), rng.gumbel(0, 1, 60_000)
    false_alarm, hit, _ = roc_curve(
        np.r_[np.ones(40_000), np.zeros(60_000)], np.r_[target, nontarget]
    )
    nearest = np.argmin(np.abs(false_alarm - (1 - hit)))
    assert eer(target, nontarget) == pytest.approx(false_alarm[nearest], abs=0.003)


def test_without_scores_eer_is_undefined():
    assert math.isnan(eer([], [1.0]))
    assert math.isnan(eer([1.0], [2.0], target_weights=[0]))
    assert math.isnan(eer([np.nan], [2.0]))
    assert eer([2, np.nan, 3], [0, 1]) == 0.0


def test_mistaken_weights_are_refused():
    with pytest.raises(ValueError, match="weights"):
        eer([1, 2], [0], target_weights=[1])
    with pytest.raises(ValueError, match="negative"):
        eer([1, 2], [0], target_weights=[1, -1])


@settings(max_examples=60)
@given(scores, scores, st.randoms(use_true_random=False))
def test_a_weight_is_a_repetition(target, nontarget, random):
    times = [random.randint(0, 3) for _ in target]
    times[0] = 2
    others = [random.randint(1, 3) for _ in nontarget]
    weighted = eer(target, nontarget, times, others)
    repeated = eer(np.repeat(target, times), np.repeat(nontarget, others))
    assert weighted == pytest.approx(repeated, abs=1e-12)


@settings(max_examples=60)
@given(scores, scores)
def test_eer_is_the_worst_prior_of_the_best_threshold(target, nontarget):
    # The hull's EER is max over priors of the least error: an independent way to the same figure.
    edges = np.r_[-np.inf, np.unique(target + nontarget), np.inf]
    miss = np.array([(np.array(target) < edge).mean() for edge in edges])
    false_alarm = np.array([(np.array(nontarget) >= edge).mean() for edge in edges])
    priors = np.linspace(0, 1, 2001)[:, None]
    best = (priors * miss + (1 - priors) * false_alarm).min(axis=1)
    found = eer(target, nontarget)
    assert 0 <= found <= 0.5 + 1e-12
    assert found == pytest.approx(best.max(), abs=1e-3)


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
