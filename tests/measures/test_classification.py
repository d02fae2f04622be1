import math

import numpy as np
import pytest
from sklearn import metrics

from esrt_privacy.measures.classification import (
    accuracy,
    accuracy_of,
    balanced_accuracy,
    balanced_accuracy_difference,
    balanced_accuracy_of,
    balanced_accuracy_speaker_bootstrap,
    balanced_cross_entropy,
    classification_replicates,
    confusion,
    macro_f1,
    macro_f1_of,
)

TRUTH = ["f", "f", "f", "m"]
GUESS = ["f", "f", "m", "m"]


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def test_figures_match_a_case_worked_by_hand():
    assert confusion(TRUTH, GUESS).tolist() == [[2, 1], [0, 1]]
    assert accuracy(TRUTH, GUESS) == 0.75
    assert balanced_accuracy(TRUTH, GUESS) == pytest.approx((2 / 3 + 1) / 2)
    # F1 of f: 2·2/(3 + 2) = 4/5, of m: 2·1/(1 + 2) = 2/3.
    assert macro_f1(TRUTH, GUESS) == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert confusion(TRUTH, GUESS, weights=[0, 1, 2, 3], labels=["m", "f"]).tolist() == [
        [3, 0],
        [2, 1],
    ]


def test_figures_agree_with_scikit_learn(rng):
    truth, guess = rng.integers(0, 5, 300), rng.integers(0, 6, 300)
    weights = rng.random(300)
    kept = np.isin(guess, truth)  # theirs warns of a label that is only guessed
    truth, guess, weights = truth[kept], guess[kept], weights[kept]
    given = {"sample_weight": weights}
    assert confusion(truth, guess, weights) == pytest.approx(
        metrics.confusion_matrix(truth, guess, **given)
    )
    assert accuracy(truth, guess, weights) == pytest.approx(
        metrics.accuracy_score(truth, guess, **given)
    )
    assert balanced_accuracy(truth, guess, weights) == pytest.approx(
        metrics.balanced_accuracy_score(truth, guess, **given)
    )
    assert macro_f1(truth, guess, weights) == pytest.approx(
        metrics.f1_score(truth, guess, average="macro", **given)
    )


def test_nothing_to_judge_is_undefined():
    assert math.isnan(accuracy([], []))
    assert math.isnan(balanced_accuracy([], []))
    assert math.isnan(macro_f1([], []))


def test_mistaken_input_is_refused(rng):
    with pytest.raises(ValueError, match="2 labels, 1 guesses"):
        accuracy(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="negative"):
        accuracy(["a"], ["a"], [-1])
    with pytest.raises(ValueError, match="not among"):
        confusion(["a"], ["b"], labels=["a"])
    with pytest.raises(ValueError, match="at most 1000"):
        accuracy(np.arange(1001), np.arange(1001))
    with pytest.raises(ValueError, match="speaker labels"):
        balanced_accuracy_speaker_bootstrap(TRUTH, GUESS, ["a"], rng)


@pytest.mark.parametrize("figure", [accuracy_of, balanced_accuracy_of, macro_f1_of])
def test_replicates_are_figures_of_the_utterances_of_the_speakers_drawn(figure, rng):
    who = np.repeat(np.arange(6), 5)
    truth, guess = rng.integers(0, 3, 30), rng.integers(0, 3, 30)
    found = classification_replicates(figure, truth, guess, who, np.random.default_rng(1), 50)
    counts = np.random.default_rng(1).multinomial(6, np.full(6, 1 / 6), size=50)

    def of(times):
        rows = np.concatenate([np.flatnonzero(who == i) for i in np.repeat(np.arange(6), times)])
        return float(figure(confusion(truth[rows], guess[rows])))

    assert found.resampled == pytest.approx([of(times) for times in counts])
    assert found.jackknife == pytest.approx([of(times) for times in 1 - np.eye(6, dtype=int)])
    assert found.value == pytest.approx(of(np.ones(6, dtype=int)))


def test_speakers_who_are_all_right_give_the_exact_binomial_interval(rng):
    found = balanced_accuracy_speaker_bootstrap(TRUTH, TRUTH, ["a", "b", "c", "d"], rng)
    # 0.025^(1/4)
    assert found[:3] == pytest.approx((1.0, 0.3976, 1.0), abs=1e-4)


def test_one_speaker_gives_no_interval(rng):
    found = balanced_accuracy_speaker_bootstrap(TRUTH, GUESS, ["a"] * 4, rng)
    assert found.value == pytest.approx(5 / 6)
    assert math.isnan(found.low) and "1 speakers" in found.method


def test_difference_pairs_what_is_hard_for_both(rng):
    who = np.repeat(np.arange(20), 10)
    truth = who % 2
    right = rng.random(200) < np.repeat(rng.uniform(0.3, 0.9, 20), 10)
    other = right.copy()
    worse = rng.choice(np.flatnonzero(right), 20, replace=False)
    other[worse] = False
    a, b = np.where(right, truth, 1 - truth), np.where(other, truth, 1 - truth)
    found = balanced_accuracy_difference(truth, a, b, who, rng, draws=300)
    assert found.value == pytest.approx(balanced_accuracy(truth, a) - balanced_accuracy(truth, b))
    assert 0 < found.low < found.high
    alone = balanced_accuracy_speaker_bootstrap(truth, a, who, rng, draws=300)
    assert found.high - found.low < alone.high - alone.low
    assert balanced_accuracy_difference(truth, a, a, who, rng).value == 0.0


def test_cross_entropy_counts_every_class_alike():
    logs = np.log([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.75, 0.25]])
    value = balanced_cross_entropy(logs, ["a", "a", "a", "b"], ["a", "b"])
    assert value == pytest.approx((np.log(2) + np.log(4)) / 2)
