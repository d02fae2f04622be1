import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import det_curve as sklearn_det
from sklearn.metrics import log_loss, roc_curve

from esrt_privacy.measures.verification import (
    cllr,
    det_curve,
    eer,
    hull_det_curve,
    min_cllr,
    tpr_at_fpr,
)

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


def test_eer_agrees_with_speechbrain(rng):
    target, nontarget = rng.normal(1.5, 1, 600), rng.normal(0, 1, 900)
    # In a process of its own: SpeechBrain's modules load others when looked at, which hypothesis
    # does to all modules, and then calls its own tests flaky.
    program = (
        "import json, sys, torch\n"
        "from speechbrain.utils.metric_stats import EER\n"
        "print(EER(*(torch.tensor(side) for side in json.load(sys.stdin)))[0])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps([target.tolist(), nontarget.tolist()]),
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = float(run.stdout.split()[-1])
    # Theirs takes the nearest threshold, ours the hull below it.
    assert theirs - 0.02 < eer(target, nontarget) <= theirs


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


def test_cllr_matches_hand_computed_values():
    # Scores of 0 say nothing: (log2 2 + log2 2) / 2 = 1. A ratio of 3 to 1, right each time:
    # log2(1 + 1/3) = 0.4150.
    assert cllr([0, 0], [0]) == pytest.approx(1.0)
    assert cllr([math.log(3)], [-math.log(3)]) == pytest.approx(math.log2(4 / 3))
    assert cllr([-np.inf], [0.0]) == np.inf
    assert cllr([np.inf], [-np.inf]) == 0.0
    assert math.isnan(cllr([], [1.0]))


def test_cllr_agrees_with_the_log_loss_of_scikit_learn(rng):
    target, nontarget = rng.normal(1, 2, 300), rng.normal(-1, 2, 500)
    labels = np.r_[np.ones(300), np.zeros(500)]
    weights = np.r_[np.full(300, 1 / 600), np.full(500, 1 / 1000)]
    loss = log_loss(labels, 1 / (1 + np.exp(-np.r_[target, nontarget])), sample_weight=weights)
    assert cllr(target, nontarget) == pytest.approx(loss / math.log(2))


def test_min_cllr_matches_hand_computed_values():
    assert min_cllr([2, 3], [0, 1]) == 0.0
    assert min_cllr([1, 2], [1, 2]) == pytest.approx(1.0)
    # Targets 1, 3 and non-targets 0, 2: edges {0}, {1, 2}, {3}; the middle one has half of each
    # kind, a ratio of 1, and costs (1/2 + 1/2) / 2 = 1/2.
    assert min_cllr([1, 3], [0, 2]) == pytest.approx(0.5)
    assert math.isnan(min_cllr([1], []))


@settings(max_examples=60)
@given(scores, scores)
def test_min_cllr_is_that_of_scores_calibrated_by_scikit_learn(target, nontarget):
    labels = np.r_[np.ones(len(target)), np.zeros(len(nontarget))]
    values = np.r_[target, nontarget].astype(float)
    share = IsotonicRegression().fit_transform(values, labels)
    with np.errstate(divide="ignore"):
        ratios = np.log(share / (1 - share)) - math.log(len(target) / len(nontarget))
    calibrated = cllr(ratios[: len(target)], ratios[len(target) :])
    assert min_cllr(target, nontarget) == pytest.approx(calibrated, abs=1e-6)


@settings(max_examples=60)
@given(scores, scores, st.randoms(use_true_random=False))
def test_every_measure_takes_a_weight_as_a_repetition(target, nontarget, random):
    times = [random.randint(1, 3) for _ in target]
    others = [random.randint(1, 3) for _ in nontarget]
    repeated = np.repeat(target, times), np.repeat(nontarget, others)
    for measure in (cllr, min_cllr):
        assert measure(target, nontarget, times, others) == pytest.approx(measure(*repeated))
    found = tpr_at_fpr(target, nontarget, 0.9, times, others)
    assert found == pytest.approx(tpr_at_fpr(*repeated, 0.9), nan_ok=True)


def test_tpr_at_fpr_is_that_of_the_best_allowed_threshold():
    # 10 non-targets of 1,000 may be accepted: all above 989 of 0 .. 999, with them the targets
    # above 989: two of four.
    found = tpr_at_fpr([5, 500, 990, 2000], range(1000), 0.01)
    assert found == (0.5, "")
    # A tie with the eleventh is no threshold.
    assert tpr_at_fpr([989, 989, 990, 2000], range(1000), 0.01).value == 0.5


def test_tpr_of_too_few_nontargets_is_undefined_with_a_reason():
    found = tpr_at_fpr([1.0], range(999), 0.01)
    assert math.isnan(found.value)
    assert found.reason == "999 non-target trials, 1000 are needed"
    assert tpr_at_fpr([2000], range(10_000), 0.001).value == 0.0
    assert tpr_at_fpr([20_000], range(10_000), 0.001).value == 1.0
    assert "no target" in tpr_at_fpr([], range(1000), 0.01).reason
    with pytest.raises(ValueError, match="false-alarm rate"):
        tpr_at_fpr([1], [0], 1.0)


def test_tpr_agrees_with_the_roc_of_scikit_learn(rng):
    target, nontarget = rng.normal(2, 1, 500), rng.normal(0, 1, 2000)
    false_alarm, hit, _ = roc_curve(
        np.r_[np.ones(500), np.zeros(2000)], np.r_[target, nontarget], drop_intermediate=False
    )
    assert tpr_at_fpr(target, nontarget, 0.01).value == hit[false_alarm <= 0.01].max()


def test_det_curve_of_two_gaussians_is_a_straight_line_on_its_axes(rng):
    found = det_curve(rng.normal(1.5, 1, 50_000), rng.normal(0, 1, 50_000), points=100)
    assert 50 < len(found.miss) <= 100
    middle = np.abs(found.false_alarm_probit) < 2
    # probit(miss) = -shift - probit(false alarm)
    assert found.miss_probit[middle] + found.false_alarm_probit[middle] == pytest.approx(
        -1.5, abs=0.08
    )
    assert norm.cdf(found.miss_probit) == pytest.approx(found.miss)
    assert (np.diff(found.thresholds) > 0).all() and (np.diff(found.miss) >= 0).all()


def test_det_curve_agrees_with_that_of_scikit_learn(rng):
    target, nontarget = rng.normal(1, 1, 40), rng.normal(0, 1, 60)
    found = det_curve(target, nontarget, points=200)
    theirs = sklearn_det(np.r_[np.ones(40), np.zeros(60)], np.r_[target, nontarget])
    points = {(round(x, 9), round(y, 9)) for x, y in zip(*theirs[:2], strict=True)}
    ours = list(zip(found.false_alarm.round(9), found.miss.round(9), strict=True))
    assert len(ours) > 50
    # Theirs leaves out points on straight lines of the curve, never one at a corner.
    inside = {p for p in points if 0 < p[0] < 1 and 0 < p[1] < 1}
    assert inside <= set(ours)


def test_hull_det_curve_lies_under_every_threshold_and_through_the_eer(rng):
    target, nontarget = rng.normal(1, 1, 60), rng.normal(0, 1, 300)
    found = hull_det_curve(target, nontarget, points=200)
    assert 100 < len(found.miss) <= 200
    assert (np.diff(found.miss) >= 0).all() and (np.diff(found.false_alarm) <= 0).all()
    steps = det_curve(target, nontarget)
    under = np.interp(steps.false_alarm, found.false_alarm[::-1], found.miss[::-1])
    assert (under <= steps.miss + 0.01).all()
    rate = eer(target, nontarget)
    gap = found.miss - found.false_alarm
    assert np.interp(0.0, gap, found.miss) == pytest.approx(rate, abs=1e-3)


def test_hull_det_curve_of_four_trials_by_hand():
    # From (false alarm, miss) = (1/2, 0) straight to (0, 1/2): they add up to a half all along.
    found = hull_det_curve([1, 3], [0, 2])
    assert len(found.miss) > 20
    assert found.miss + found.false_alarm == pytest.approx(0.5)
    assert norm.cdf(found.miss_probit) == pytest.approx(found.miss)
    assert len(hull_det_curve([2, 3], [0, 1]).miss) == len(hull_det_curve([], [1]).miss) == 0
    with pytest.raises(ValueError, match="points"):
        hull_det_curve([1], [0], points=1)


def test_det_curve_has_no_points_that_its_axes_cannot_show():
    assert len(det_curve([2, 3], [0, 1]).miss) == 0
    assert len(det_curve([], [1]).miss) == 0
    # Thresholds 1 and 2: (false alarm, miss) = (1/2, 0) and (1/2, 1/2).
    found = det_curve([1, 3], [0, 2])
    assert (found.thresholds, found.false_alarm, found.miss) == ([2.0], [0.5], [0.5])
    with pytest.raises(ValueError, match="points"):
        det_curve([1], [0], points=1)
