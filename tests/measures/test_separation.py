"""The area under the ROC, by hand, against scikit-learn, and over speakers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from esrt_privacy.measures.separation import auroc, auroc_replicates


def test_area_by_hand_with_a_tie():
    # Pairs: 3 over 1, 3 over 2, 2 over 1 and one tie at 2: 3.5 of 4.
    assert auroc([3, 2, 1, 2], [True, True, False, False]) == 0.875
    assert auroc([3, 2, 1, 2], [True, True, False, False], [1, 1, 3, 1]) == 7.5 / 8
    assert np.isnan(auroc([1, 2], [True, True])) and np.isnan(auroc([], []))
    assert auroc([3, float("nan"), 1], [True, False, False]) == 1.0


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 3)), min_size=2, max_size=30
    )
)
def test_area_is_that_of_scikit_learn(rows):
    scores, positive, weights = (np.array(column) for column in zip(*rows, strict=True))
    held = weights > 0
    if len(set(positive[held].tolist())) < 2:
        assert np.isnan(auroc(scores, positive, weights))
    else:
        expected = roc_auc_score(positive, scores, sample_weight=weights)
        assert auroc(scores, positive, weights) == pytest.approx(expected)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="labels"):
        auroc([1.0], [True, False])
    with pytest.raises(ValueError, match="weights"):
        auroc([1.0, 2.0], [True, False], [1.0])
    with pytest.raises(ValueError, match="negative"):
        auroc([1.0, 2.0], [True, False], [1.0, -1.0])
    with pytest.raises(ValueError, match="speaker labels"):
        auroc_replicates([1.0, 2.0], [True, False], ["a"], np.random.default_rng(0))


def test_the_interval_over_speakers_covers_chance_and_tells_a_signal():
    rng = np.random.default_rng(0)
    speakers = np.repeat(np.arange(30), 6)
    known = speakers % 2 == 0
    noise = rng.normal(size=30)[speakers] + rng.normal(size=180)
    replicates = auroc_replicates(noise, known, speakers, rng)
    assert replicates.estimate(0.95).low < 0.5 < replicates.estimate(0.95).high
    signal = noise + 3 * known
    assert auroc_replicates(signal, known, speakers, rng).estimate(0.99).low > 0.5
    better = auroc_replicates(signal, known, speakers, rng, beside=noise)
    assert better.value == pytest.approx(auroc(signal, known) - auroc(noise, known))
    assert better.estimate(0.95).low > 0
    # Utterances of one speaker are one voice: ten times as many of them are no more certain.
    ten = auroc_replicates(np.tile(noise, 10), np.tile(known, 10), np.tile(speakers, 10), rng)
    width = replicates.estimate(0.95).high - replicates.estimate(0.95).low
    assert ten.estimate(0.95).high - ten.estimate(0.95).low > 0.8 * width
