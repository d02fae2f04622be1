import math

import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score

from esrt_privacy.measures.clustering import (
    normalised_mutual_information,
    permutation_floor,
    purity,
)


@pytest.fixture
def rng():
    return np.random.default_rng(6)


def test_purity_matches_a_case_counted_by_hand():
    # Cluster x: 2 a, 1 b; cluster y: 1 a, 3 b. 2 + 3 of 7.
    truth, clusters = list("aababbb"), list("xxxyyyy")
    assert purity(truth, clusters) == pytest.approx(5 / 7)
    assert purity(truth, clusters, [0, 0, 1, 1, 1, 1, 1]) == pytest.approx(4 / 5)
    assert math.isnan(purity([], []))


def test_nmi_matches_hand_computed_values():
    assert normalised_mutual_information(list("aabb"), [1, 1, 0, 0]) == pytest.approx(1.0)
    assert normalised_mutual_information(list("aabb"), [0, 1, 0, 1]) == pytest.approx(0.0)
    assert normalised_mutual_information(list("aa"), [0, 0]) == 1.0
    # Labels aabb, clusters 0001: I = H(1/4) + 1 - H(1/2, 1/4, 1/4) = 0.8113 + 1 - 1.5 bits.
    found = normalised_mutual_information(list("aabb"), [0, 0, 0, 1])
    assert found == pytest.approx(0.3113 / ((0.8113 + 1) / 2), abs=1e-4)


def test_nmi_agrees_with_scikit_learn(rng):
    for _ in range(10):
        truth, clusters = rng.integers(0, 5, 100), rng.integers(0, 9, 100)
        wanted = normalized_mutual_info_score(truth, clusters)
        assert normalised_mutual_information(truth, clusters) == pytest.approx(wanted)


def test_a_weight_is_a_repetition(rng):
    truth, clusters = rng.integers(0, 3, 40), rng.integers(0, 4, 40)
    times = rng.integers(1, 4, 40)
    for measure in (purity, normalised_mutual_information):
        repeated = measure(np.repeat(truth, times), np.repeat(clusters, times))
        assert measure(truth, clusters, times) == pytest.approx(repeated)


def test_the_floor_of_useless_clusters_holds_them_and_that_of_true_ones_does_not(rng):
    truth = np.repeat(np.arange(4), 25)
    useless = permutation_floor(truth, rng.permutation(truth), rng, permutations=200)
    assert useless.low <= useless.mean <= useless.high
    assert useless.at_least > 0.01
    found = permutation_floor(truth, truth, rng, permutations=200)
    assert found.high < 0.2 and found.at_least == pytest.approx(1 / 201)
    pure = permutation_floor(truth, np.arange(100), rng, purity, permutations=20)
    assert pure.mean == 1.0 and pure.at_least == 1.0


def test_speakers_swap_labels_as_a_whole(rng):
    # Clusters are the speakers: any dealing of labels to whole speakers agrees as well.
    who = np.repeat(np.arange(6), 10)
    truth = who % 2
    by_speaker = permutation_floor(truth, who, rng, permutations=50, groups=who)
    assert by_speaker.low == pytest.approx(by_speaker.high)
    assert by_speaker.at_least == 1.0
    by_utterance = permutation_floor(truth, who, rng, permutations=50)
    assert by_utterance.at_least < 0.05


def test_mistaken_input_is_refused(rng):
    with pytest.raises(ValueError, match="2 labels, 1 clusters"):
        purity(["a", "b"], [0])
    with pytest.raises(ValueError, match="negative"):
        purity(["a"], [0], [-1])
    with pytest.raises(ValueError, match="two labels"):
        permutation_floor(["a", "b"], [0, 1], rng, groups=["s", "s"])
    with pytest.raises(ValueError, match="0 permutations"):
        permutation_floor(["a"], [0], rng, permutations=0)
