"""Clustering without labels: planted groups are found, absent ones are not, and shuffled labels are the floor."""

from dataclasses import replace

import numpy as np
import pytest

from esrt_privacy.attacks import structure
from esrt_privacy.attacks.clustering_comparisons import (
    ClusteringComparison,
    PermutationComparison,
    agreement,
    agreement_estimate,
)
from esrt_privacy.attacks.clusterings import strongest_clustering
from esrt_privacy.attacks.drafts import judged
from esrt_privacy.attacks.structure_findings import DURATION_ONLY, SHUFFLED
from esrt_privacy.errors import AttackError
from esrt_privacy.findings import Finding
from esrt_privacy.measures.clustering import (
    normalised_mutual_information,
    normalised_mutual_information_of,
    permutation_floor,
    permuted_agreements,
    purity,
    purity_of,
)
from tests.attacks.planted import inputs, people

LEAKY = {"sex": 6.0, "language": 3.0}


def found(material, taps=None, seeds=(0,)) -> dict[str, Finding]:
    answers = {
        (tap, seed): structure.measure(material, tap, seed)
        for tap in taps or material.captures
        for seed in seeds
    }
    return {f.id: f for f in judged(structure.drafts(material, answers))}


# --- measures of tables


def test_agreement_of_tables_is_that_of_labels_one_by_one():
    rng = np.random.default_rng(0)
    for _ in range(20):
        truth, clusters = rng.integers(0, 4, 30), rng.integers(0, 3, 30)
        assert agreement(normalised_mutual_information_of, truth, clusters) == pytest.approx(
            normalised_mutual_information(truth, clusters)
        )
        assert agreement(purity_of, truth, clusters) == pytest.approx(purity(truth, clusters))


def test_agreement_of_four_utterances_by_hand():
    # Clusters {a, a, b} and {b}: joint entropy 1.5 bits, labels 1 bit, clusters 0.8113 bits.
    value = agreement(normalised_mutual_information_of, list("aabb"), [0, 0, 0, 1])
    assert value == pytest.approx((1 + 0.811278 - 1.5) / ((1 + 0.811278) / 2), abs=1e-5)
    assert agreement(purity_of, list("aabb"), [0, 0, 0, 1]) == 0.75


def test_permutations_at_once_are_distributed_as_one_by_one():
    rng = np.random.default_rng(1)
    speakers = np.repeat(np.arange(12), 4)
    truth, clusters = np.where(speakers % 2, "F", "M"), rng.integers(0, 3, 48)
    many = permuted_agreements(truth, clusters, rng, permutations=4000, groups=speakers)
    floor = permutation_floor(truth, clusters, rng, permutations=2000, groups=speakers)
    assert many.mean() == pytest.approx(floor.mean, rel=0.1)
    assert np.quantile(many, 0.975) == pytest.approx(floor.high, rel=0.15)
    with pytest.raises(ValueError, match="two labels"):
        permuted_agreements(truth, clusters, rng, groups=np.repeat(np.arange(6), 8))


# --- comparisons


def test_shuffled_labels_exceed_their_own_floor_as_often_as_the_level_says():
    rng = np.random.default_rng(2)
    speakers = [f"s{i // 4}" for i in range(48)]
    beaten = 0
    for _ in range(200):
        sex = rng.permutation(["F", "M"] * 6)
        labels = [sex[i // 4] for i in range(48)]
        clusters = np.repeat(rng.integers(0, 2, 12), 4)  # every voice a cluster of its own
        comparison = PermutationComparison(
            "x", normalised_mutual_information_of, labels, clusters, speakers, speakers
        )
        beaten += comparison.difference(0.9, np.random.default_rng(0)).low > 0
    # One-sided 5% of 200 are 10; 19 are exceeded once in 300 times.
    assert beaten <= 19


def test_a_level_that_no_permutation_could_reach_gives_no_interval():
    labels, clusters = ["a", "b"] * 20, [0, 1] * 20
    speakers = [f"s{i}" for i in range(40)]
    comparison = PermutationComparison("x", purity_of, labels, clusters, None, speakers)
    assert comparison.difference(0.999, np.random.default_rng(0)).low > 0
    assert np.isnan(comparison.difference(1 - 1e-7, np.random.default_rng(0)).low)


def test_two_like_clusterings_do_not_differ_and_a_better_one_does():
    rng = np.random.default_rng(3)
    speakers = [f"s{i // 5}" for i in range(100)]
    labels = ["FM"[i // 5 % 2] for i in range(100)]
    good = [int(x == "F") if rng.random() > 0.1 else int(rng.integers(2)) for x in labels]
    poor = rng.integers(0, 2, 100)
    better = ClusteringComparison("x", purity_of, labels, good, poor, speakers)
    worse = ClusteringComparison("x", purity_of, labels, poor, good, speakers)
    assert better.difference(0.95, rng).low > 0 > worse.difference(0.95, rng).high
    same = ClusteringComparison("x", purity_of, labels, good, good, speakers)
    assert np.isnan(same.difference(0.95, rng).low)
    estimate = agreement_estimate(purity_of, labels, good, speakers)
    assert estimate.low < estimate.value == agreement(purity_of, labels, good) < estimate.high


# --- the clustering


def test_the_stable_clustering_is_chosen_without_labels():
    rng = np.random.default_rng(4)
    groups = np.repeat([0, 1, 2], 30)
    centres = np.random.default_rng(5).normal(size=(3, 10)) * 6
    rows = centres[groups] + rng.normal(size=(90, 10))
    noise = rng.normal(size=(90, 10))
    chosen = strongest_clustering({"noise": noise, "signal": rows}, 3, np.random.default_rng(0))
    assert "signal" in chosen.method and chosen.stability > 0.95
    assert agreement(normalised_mutual_information_of, groups, chosen.assignment) > 0.95
    again = strongest_clustering({"noise": noise, "signal": rows}, 3, np.random.default_rng(0))
    assert (again.assignment == chosen.assignment).all() and again.method == chosen.method


def test_tensors_that_are_all_alike_are_clustered_without_complaint():
    chosen = strongest_clustering({"flat": np.ones((20, 4))}, 2, np.random.default_rng(0))
    assert chosen.assignment.shape == (20,)
    with pytest.raises(ValueError, match="clusters of"):
        strongest_clustering({"flat": np.ones((20, 4))}, 20, np.random.default_rng(0))


# --- the family


def test_planted_groups_leak_and_absent_ones_are_not_called_so():
    material = inputs(people(), {"transparent": LEAKY, "qformer": {"sex": 6.0}})
    findings = found(material)
    assert findings["structure.qformer.sex-nmi"].verdict == "leaks"
    assert findings["structure.qformer.sex-nmi"].estimate.value > 0.8
    assert findings["structure.qformer.sex-purity"].verdict == "leaks"
    assert findings["structure.qformer.language-nmi"].verdict != "leaks"
    for finding in findings.values():
        assert set(finding.floors) >= {SHUFFLED}


def test_a_control_without_groups_makes_the_silence_of_the_tap_invalid():
    material = inputs(people(), {"transparent": {}, "qformer": {}})
    findings = found(material)
    assert findings["structure.qformer.sex-nmi"].verdict == "invalid"
    assert "transparent" in findings["structure.qformer.sex-nmi"].reason


def test_groups_of_voices_are_no_groups_of_a_sex():
    # Eight voices fall into two groups at random: utterances by the dozen, yet eight independent ones.
    corpus = people(speakers=8, each=12)
    beaten = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        order = rng.permutation(8)
        clusters = [int(order[int(u.speaker.removeprefix("planted"))] >= 4) for u in corpus]
        comparison = PermutationComparison(
            "x",
            normalised_mutual_information_of,
            [u.sex for u in corpus],
            clusters,
            [u.speaker for u in corpus],
            [u.speaker for u in corpus],
        )
        beaten += comparison.difference(0.95, rng).low > 0
    assert beaten <= 3


def test_one_session_a_speaker_is_a_caution_and_no_leak():
    single = people(speakers=8, each=6)
    single = replace(single, utterances=tuple(replace(u, session=None) for u in single))
    material = inputs(single, {"transparent": {"speaker": 8.0}, "qformer": {"speaker": 8.0}})
    finding = found(material)["structure.qformer.speaker-nmi"]
    assert finding.estimate.value > 0.5 and finding.verdict == "inconclusive"
    assert "microphone" in finding.reason
    material = inputs(
        people(speakers=8, each=6), {"transparent": {"speaker": 8.0}, "qformer": {"speaker": 8.0}}
    )
    assert found(material)["structure.qformer.speaker-nmi"].verdict == "leaks"


def test_a_length_that_shows_is_found_and_taken_off_other_labels():
    corpus = people()
    longer = tuple(
        replace(u, duration=(u.duration or 0) * (3.0 if u.sex == "F" else 1.0)) for u in corpus
    )
    material = inputs(
        replace(corpus, utterances=longer),
        {"transparent": {"sex": 6.0, "duration": 2.0}, "qformer": {"duration": 3.0}},
    )
    findings = found(material)
    assert findings["structure.qformer.duration-nmi"].verdict == "leaks"
    sex = findings["structure.qformer.sex-nmi"]
    assert sex.floors[DURATION_ONLY].value > 0.1 and sex.verdict != "leaks"


def test_what_cannot_be_compared_is_said_in_a_line():
    corpus = people(speakers=1, each=6)
    bare = replace(corpus, utterances=tuple(replace(u, duration=None) for u in corpus))
    material = inputs(bare, {"qformer": {}})
    with pytest.raises(AttackError, match="nothing to compare") as error:
        structure.measure(material, "qformer", 0)
    assert "all utterances have one sex" in str(error.value) and "\n" not in str(error.value)
    once = people(speakers=12, each=1)
    answers = structure.measure(inputs(once, {"qformer": {}}), "qformer", 0)
    assert "speaker.clusters" not in answers.arrays
    assert any("fewer than two values of speaker" in note for note in answers.notes)


def test_numbers_that_are_none_are_left_out_with_a_note():
    material = inputs(people(), {"qformer": LEAKY})
    first = next(iter(material.test))
    material.captures["qformer"].store.tensors[first.fingerprint][0, 0] = float("nan")
    answers = structure.measure(material, "qformer", 0)
    assert first.id not in answers.rows["ids"] and any(first.id in n for n in answers.notes)


def test_one_seed_gives_one_answer_and_the_stabler_of_two_seeds_counts():
    material = inputs(people(speakers=10), {"qformer": {"sex": 3.0}})
    one, two = (structure.measure(material, "qformer", 0) for _ in range(2))
    assert all((one.arrays[k] == two.arrays[k]).all() for k in one.arrays)
    other = structure.measure(material, "qformer", 1)
    drafts = structure.drafts(material, {("qformer", 0): one, ("qformer", 1): other})
    stable = max((one, other), key=lambda a: float(a.arrays["sex.stability"][0]))
    expected = agreement(purity_of, stable.rows["sex.truth"], stable.arrays["sex.clusters"])
    draft = next(d for d in drafts if d.finding.id.endswith("sex-purity"))
    assert draft.finding.estimate.value == pytest.approx(100 * expected)
    assert draft.finding.seeds == (0, 1)
