import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression

from esrt_privacy.measures.linkability import disclosure, linkability, linkability_corrected

scores = st.lists(st.integers(-5, 5), min_size=1, max_size=30)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_linkability_matches_a_case_worked_by_hand():
    # 20 mated scores make two bins over 0 .. 1. Mated 5 and 15, non-mated 15 and 5 of 20: only in
    # the upper bin is LR = 3 > 1, D = 2·3/4 - 1 = 1/2, and 3/4 of the mated scores lie there.
    mated, other = [0.0] * 5 + [1.0] * 15, [0.0] * 15 + [1.0] * 5
    assert linkability(mated, other) == pytest.approx(0.375)
    # With prior odds of 1/2, w·LR = 3/2: D = 2·(3/2)/(5/2) - 1 = 1/5.
    assert linkability(mated, other, prior_ratio=0.5) == pytest.approx(0.75 / 5)
    assert linkability(mated, other, np.r_[np.zeros(5), np.ones(15)]) == pytest.approx(0.6)


def test_linkability_ends_at_none_and_all():
    assert linkability([5.0] * 30, [5.0] * 30) == 0.0
    assert linkability([5.0] * 30, [4.0] * 30) == 1.0
    assert linkability([np.inf] * 3, [-np.inf] * 3) == 1.0
    assert math.isnan(linkability([], [1.0]))


def test_linkability_of_two_gaussians_is_the_integral_of_its_definition(rng):
    def integrand(s):
        ratio = norm.pdf(s, 2) / norm.pdf(s)
        return norm.pdf(s, 2) * max(0.0, 2 * ratio / (1 + ratio) - 1)

    wanted = integrate.quad(integrand, -8, 10, points=[1.0])[0]
    found = linkability(rng.normal(2, 1, 200_000), rng.normal(0, 1, 200_000))
    assert found == pytest.approx(wanted, abs=0.005)


def test_identical_distributions_are_linked_by_accident_and_the_correction_takes_it_off():
    plain, corrected = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sides = rng.normal(size=500), rng.normal(size=500)
        plain.append(linkability(*sides))
        corrected.append(linkability_corrected(*sides, rng, permutations=30))
    assert np.mean(plain) > 0.03
    assert abs(np.mean(corrected)) < 0.01


def test_the_correction_leaves_perfect_linking_alone(rng):
    assert linkability_corrected([2.0] * 50, [1.0] * 50, rng) == pytest.approx(1.0)
    assert math.isnan(linkability_corrected([1.0], [], rng))


def test_disclosure_of_nothing_and_of_everything():
    nothing = disclosure([1, 2, 3], [1, 2, 3])
    assert nothing == (0.0, 0.0, "0")
    everything = disclosure([2, 3], [0, 1])
    # 1/4 + 1/4 nats, the most there is.
    assert everything.expected == pytest.approx(0.5 / math.log(2))
    # With a trial of each kind added at both ends the order is 1 0 0 0 1 1 1 0: edges of shares
    # 1/4 and 3/4, ratios 1/3 and 3.
    assert everything.worst == pytest.approx(math.log10(3))
    assert everything.tag == "A"
    assert disclosure([], [1])[2] == ""


def test_worst_disclosure_has_the_class_of_its_power_of_ten():
    # n non-targets below n targets: the ratio is n + 1 or 1 / (n + 1).
    assert disclosure(range(99, 198), range(99)).worst == pytest.approx(2.0)
    assert disclosure(range(99, 198), range(99)).tag == "C"
    assert disclosure(range(98, 196), range(98)).tag == "B"


@settings(max_examples=40, deadline=None)
@given(scores, scores)
def test_expected_disclosure_is_the_area_between_both_entropies(target, nontarget):
    labels = np.r_[np.ones(len(target)), np.zeros(len(nontarget))]
    share = IsotonicRegression().fit_transform(np.r_[target, nontarget].astype(float), labels)
    odds = len(target) / len(nontarget)
    with np.errstate(divide="ignore"):
        ratios = share / (1 - share) / odds
    of_target, of_nontarget = ratios[: len(target)], ratios[len(target) :]
    priors = np.linspace(0, 1, 4001)[1:-1, None]
    prior_odds = priors / (1 - priors)
    with np.errstate(divide="ignore"):
        cross = priors * np.log2(1 + 1 / (of_target * prior_odds)).mean(axis=1, keepdims=True)
    cross += (1 - priors) * np.log2(1 + of_nontarget * prior_odds).mean(axis=1, keepdims=True)
    entropy = -(priors * np.log2(priors) + (1 - priors) * np.log2(1 - priors))
    area = integrate.trapezoid((entropy - cross).ravel(), priors.ravel())
    assert disclosure(target, nontarget).expected == pytest.approx(area, abs=2e-3)


def test_expected_disclosure_takes_a_weight_as_a_repetition():
    found = disclosure([1, 3], [0, 2], [2, 1], [1, 3])
    repeated = disclosure([1, 1, 3], [0, 2, 2, 2])
    assert found.expected == pytest.approx(repeated.expected)
    assert found.worst == pytest.approx(repeated.worst)
