import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import zero_one_loss

from esrt_privacy.measures.speech_mask import boundary_errors, frame_error


def test_errors_match_a_case_counted_by_hand():
    truth = [0, 1, 1, 0, 1, 1, 0, 0]
    guess = [0, 0, 1, 1, 1, 1, 1, 1]
    assert frame_error(truth, guess) == 4 / 8
    # Padding at the end left out: 2 of 6.
    assert frame_error(truth, guess, [1, 1, 1, 1, 1, 1, 0, 0]) == pytest.approx(2 / 6)
    # First speech at frame 1 and 2, last at 5 and 7, of 20 ms.
    assert boundary_errors(truth, guess) == pytest.approx((0.02, 0.04))
    assert boundary_errors(truth, guess, frame_seconds=0.01).offset == pytest.approx(0.02)


def test_a_mask_without_speech_has_no_boundaries():
    assert all(math.isnan(x) for x in boundary_errors([0, 0], [0, 1]))
    assert frame_error([0, 0], [0, 1]) == 0.5
    assert math.isnan(frame_error([], []))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_frame_error_agrees_with_scikit_learn(pairs):
    truth, guess = np.array(pairs).T
    assert frame_error(truth, guess) == pytest.approx(zero_one_loss(truth, guess))


def test_mistaken_input_is_refused():
    with pytest.raises(ValueError, match="2 true frames"):
        frame_error([0, 1], [0])
    with pytest.raises(ValueError, match="weights"):
        frame_error([0, 1], [0, 1], [1])
    with pytest.raises(ValueError, match="negative"):
        frame_error([0, 1], [0, 1], [1, -1])
