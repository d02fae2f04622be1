import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from esrt_privacy.measures.intervals import Estimate
from esrt_privacy.measures.multiplicity import holm, significance


def normal(value):
    """A difference with a standard error of 1."""

    def difference(level):
        width = float(stats.norm.ppf((1 + level) / 2))
        return Estimate(value, value - width, value + width, 10, "normal")

    return difference


@pytest.mark.parametrize("value", [0.5, 1.5, 2.5, 4.0])
def test_significance_of_a_normal_difference_is_its_two_sided_p_value(value):
    found = significance(normal(value))
    wanted = 2 * stats.norm.sf(value)
    assert wanted <= found <= 1.011 * wanted


def test_significance_ends_at_one_and_at_the_smallest():
    assert significance(normal(-1.0)) == 1.0
    assert significance(normal(50.0)) == 1e-6
    assert significance(normal(50.0), smallest=0.001) == 0.001
    undefined = Estimate(1.0, float("nan"), float("nan"), 1, "one speaker")
    assert significance(lambda level: undefined) == 1.0


def test_holm_matches_a_case_worked_by_hand():
    # 0.010·4 = 0.040; 0.013·3 = 0.039, raised to 0.040; 0.030·2 = 0.060; 0.040, raised to 0.060.
    assert holm([0.030, 0.010, 0.040, 0.013]) == pytest.approx([0.060, 0.040, 0.060, 0.040])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([np.nan, 0.01]) == pytest.approx([1.0, 0.02])
    assert len(holm([])) == 0
    with pytest.raises(ValueError, match="not in"):
        holm([1.5])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.5))
def test_holm_rejects_what_the_step_down_procedure_rejects(alphas, size):
    # The procedure itself: go up the sorted values while each is at most size / those left.
    rejected = set()
    for rank, i in enumerate(np.argsort(alphas, kind="stable")):
        # Nearer than rounding to the limit either answer is right.
        limit = size / (len(alphas) - rank)
        if abs(alphas[i] - limit) < 1e-12:
            return
        if alphas[i] > limit:
            break
        rejected.add(i)
    assert set(np.flatnonzero(holm(alphas) <= size)) == rejected
