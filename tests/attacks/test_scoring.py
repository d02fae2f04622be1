"""Scores by hand."""

import numpy as np
import pytest

from esrt_privacy.attacks.scoring import adaptive_s_norm, models, pairs_eer, unit_length


def test_a_model_is_the_direction_of_its_utterances_mean():
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    np.testing.assert_allclose(models(rows, [[0, 1], [2]]), [[0.5**0.5, 0.5**0.5], [0, 1]])


def test_zeros_stay_zeros():
    assert unit_length(np.zeros((1, 3))).tolist() == [[0, 0, 0]]


def test_s_norm_by_hand():
    cohort = unit_length(np.array([[1.0, n] for n in range(1, 17)]))
    enrolled, tested = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    by_model = np.sort(cohort[:, 0])[-8:]
    by_test = np.sort(cohort[:, 1])[-8:]
    wanted = 0.5 * (-by_model.mean() / by_model.std() - by_test.mean() / by_test.std())
    assert adaptive_s_norm(enrolled, tested, cohort)[0, 0] == pytest.approx(wanted)


def test_a_handful_of_strangers_normalises_nothing():
    enrolled, tested = np.array([[1.0, 0.0]]), np.array([[0.6, 0.8]])
    assert adaptive_s_norm(enrolled, tested, np.eye(2))[0, 0] == pytest.approx(0.6)


def test_enrolment_of_another_kind_has_strangers_of_its_own():
    rng = np.random.default_rng(0)
    cohort, other = (unit_length(rng.standard_normal((20, 4))) for _ in range(2))
    enrolled, tested = (unit_length(rng.standard_normal((n, 4))) for n in (2, 3))
    both = adaptive_s_norm(enrolled, tested, cohort, other)
    assert not np.allclose(both, adaptive_s_norm(enrolled, tested, cohort))
    # Turned round, each side meets the strangers of the other.
    np.testing.assert_allclose(both.T, adaptive_s_norm(tested, enrolled, other, cohort))


def test_pairs_of_one_kind_have_no_eer():
    assert pairs_eer(np.eye(3), np.array(["a", "a", "a"])) == np.inf
    assert pairs_eer(np.array([[1.0, 0], [1, 0], [0, 1]]), np.array(["a", "a", "b"])) == 0
