import math

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from esrt_privacy.measures.identification import top_k_accuracy, top_k_hits

SCORES = [[0.9, 0.1, 0.5], [0.2, 0.3, 0.8], [0.4, 0.6, 0.5]]


def test_top_k_matches_a_case_counted_by_hand():
    # True columns 0, 1, 0: ranks 1, 2, 3.
    assert top_k_hits(SCORES, [0, 1, 0]).tolist() == [1, 0, 0]
    assert top_k_hits(SCORES, [0, 1, 0], k=2).tolist() == [1, 1, 0]
    assert top_k_accuracy(SCORES, [0, 1, 0], weights=[3, 1, 0]) == 0.75


def test_scores_that_know_nothing_give_chance_and_not_the_order_of_columns():
    hits = top_k_hits(np.zeros((2, 5)), [0, 4], k=2)
    assert hits == pytest.approx([0.4, 0.4])
    # One above, three tied for places 2 to 4: place 2 is the true one's with chance 1/3.
    assert top_k_hits([[5, 3, 3, 3]], [1], k=2) == pytest.approx([1 / 3])


def test_top_k_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    scores, truth = rng.normal(size=(200, 7)), rng.integers(0, 7, 200)
    for k in (1, 3):
        wanted = top_k_accuracy_score(truth, scores, k=k, labels=np.arange(7))
        assert top_k_accuracy(scores, truth, k) == pytest.approx(wanted)


def test_a_missing_score_never_wins_and_a_missing_own_score_is_no_test():
    assert top_k_hits([[np.nan, 1.0]], [1]).tolist() == [1]
    assert math.isnan(top_k_hits([[np.nan, 1.0]], [0])[0])
    assert top_k_accuracy([[np.nan, 1.0], [2.0, 1.0]], [0, 0]) == 1.0
    assert math.isnan(top_k_accuracy([[np.nan, 1.0]], [0]))


def test_mistaken_input_is_refused():
    with pytest.raises(ValueError, match="shape"):
        top_k_hits([[1.0, 2.0]], [0, 1])
    with pytest.raises(ValueError, match="not enrolled"):
        top_k_hits([[1.0, 2.0]], [2])
    with pytest.raises(ValueError, match="first 0"):
        top_k_hits([[1.0, 2.0]], [1], k=0)
    with pytest.raises(ValueError, match="weights"):
        top_k_accuracy([[1.0, 2.0]], [1], weights=[1, 1])
