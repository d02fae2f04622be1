"""Replicates of a finding: about its value, in its unit, and drawn by the speakers alone."""

from collections.abc import Sequence

import numpy as np
import pytest

from esrt_privacy.attacks.clustering_comparisons import (
    ClusteringComparison,
    PermutationComparison,
    agreement,
)
from esrt_privacy.attacks.comparisons import (
    AccuracyComparison,
    Comparison,
    EerComparison,
    RatioComparison,
)
from esrt_privacy.attacks.draft_replicates import kept_replicates, speakers_fingerprint
from esrt_privacy.attacks.drafts import Draft
from esrt_privacy.attacks.open_set import AurocComparison
from esrt_privacy.findings import Interval
from esrt_privacy.measures.clustering import purity_of
from esrt_privacy.measures.verification import eer
from tests.reports.fake_run import finding

SPEAKERS = [f"s{n:02}" for n in range(9)]
CLUSTERS = [s for s in SPEAKERS for _ in range(4)]


def draft(
    comparisons: Sequence[Comparison],
    value: float | None,
    metric: str,
    leaks_when: str,
    scale: float,
) -> Draft:
    figure = finding(
        id="one", metric=metric, leaks_when=leaks_when, estimate=Interval(value=value), floors={}
    )
    return Draft(figure, tuple(comparisons), scale, 0, True, "always")


def words(seed: int) -> tuple[list[float], list[float]]:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 9, len(CLUSTERS))
    return rng.binomial(counts, 0.4).astype(float).tolist(), counts.astype(float).tolist()


def test_a_word_error_rate_keeps_its_own_unit_and_direction():
    own = words(1)
    value = 100 * sum(own[0]) / sum(own[1])
    less_is_more = RatioComparison("mean mel", own, words(2), CLUSTERS, -1.0)
    kept = kept_replicates([draft([less_is_more], value, "WER", "lower", 100.0)])["one"]
    without_first = 100 * sum(own[0][4:]) / sum(own[1][4:])
    assert kept.jackknife[0] == pytest.approx(without_first)
    assert len(kept.jackknife) == len(SPEAKERS) and len(kept.draws) == 2000
    assert kept.draws.mean() == pytest.approx(value, abs=1.0)
    assert kept.speakers == speakers_fingerprint(SPEAKERS)


def test_two_runs_over_the_same_speakers_draw_the_same_ones():
    first, second = (
        kept_replicates(
            [
                draft(
                    [RatioComparison("mean mel", words(seed), words(9), CLUSTERS)],
                    40.0,
                    "WER",
                    "higher",
                    100.0,
                )
            ]
        )["one"]
        for seed in (1, 2)
    )
    assert first.pairs_with(second)
    # How often a speaker is drawn is seen where nobody else has anything: it is the same in both runs.
    share = [float(s == "s03") for s in CLUSTERS], [1.0] * len(CLUSTERS)
    twice = [2 * x for x in share[0]], share[1]
    one, two = (
        kept_replicates(
            [draft([RatioComparison("x", own, own, CLUSTERS)], 0.0, "STOI", "higher", 1.0)]
        )["one"].draws
        for own in (share, twice)
    )
    assert np.ptp(one) > 0
    np.testing.assert_allclose(two - two.mean(), 2 * (one - one.mean()), atol=1e-12)


def test_a_speaker_without_a_value_is_not_among_those_drawn():
    above, below = words(1)
    above = [np.nan if s == "s04" else x for s, x in zip(CLUSTERS, above, strict=True)]
    below = [0.0 if s == "s07" else x for s, x in zip(CLUSTERS, below, strict=True)]
    comparison = RatioComparison("mean mel", (above, below), words(2), CLUSTERS)
    left = [s for s in SPEAKERS if s not in ("s04", "s07")]
    assert list(comparison.speakers) == left
    assert len(comparison.leakage(np.random.default_rng(0)).jackknife) == len(left)


def test_explained_variance_is_kept_though_the_comparison_holds_the_unexplained():
    truth = np.random.default_rng(3).normal(size=len(CLUSTERS))
    guess = truth + 0.3 * np.random.default_rng(4).normal(size=len(CLUSTERS))
    errors, spread = (guess - truth) ** 2, (truth - truth.mean()) ** 2
    r2 = 1 - errors.sum() / spread.sum()
    own = (errors.tolist(), spread.tolist())
    kept = kept_replicates(
        [
            draft(
                [RatioComparison("median duration", own, own, CLUSTERS, -1.0)],
                r2,
                "duration R²",
                "higher",
                1.0,
            )
        ]
    )["one"]
    assert kept.jackknife[0] == pytest.approx(1 - errors[4:].sum() / spread[4:].sum())


def trials() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    pairs = [(a, b) for a in SPEAKERS for b in SPEAKERS for _ in range(3)]
    enrol, test = (np.array(side) for side in zip(*pairs, strict=True))
    target = enrol == test
    return np.random.default_rng(5).normal(size=len(pairs)) + 1.5 * target, target, enrol, test


def test_an_eer_is_kept_in_percent_and_lower_where_it_leaks_more():
    scores, target, enrol, test = trials()
    value = 100 * eer(scores[target], scores[~target])
    kept = kept_replicates(
        [
            draft(
                [EerComparison("chance", scores, None, target, enrol, test)],
                value,
                "speaker EER",
                "lower",
                100.0,
            )
        ]
    )["one"]
    rest = (enrol != "s00") & (test != "s00")
    assert kept.jackknife[0] == pytest.approx(
        100 * eer(scores[rest & target], scores[rest & ~target])
    )
    assert (np.nanmin(kept.draws) >= 0) and (np.nanmax(kept.draws) <= 50)


def test_every_comparison_says_whom_it_draws_and_measures_its_own_side():
    truth = np.array(["a", "b"] * (len(CLUSTERS) // 2))
    answers = np.where(np.random.default_rng(6).random(len(truth)) < 0.3, truth[::-1], truth)
    groups = (np.arange(len(truth)) // 6).astype(int)
    scores, target, enrol, test = trials()
    rng = np.random.default_rng(7)
    noise = rng.normal(size=len(CLUSTERS))
    comparisons: list[tuple[Comparison, float]] = [
        (AccuracyComparison("chance", truth, answers, 0.5, CLUSTERS), np.mean(
            [(answers[truth == label] == label).mean() for label in "ab"]
        )),
        (EerComparison("chance", scores, None, target, enrol, test), -eer(scores[target], scores[~target])),
        (AurocComparison("chance", noise, truth == "a", CLUSTERS), np.mean(
            noise[truth == "a"][:, None] > noise[truth == "b"][None]
        )),
        (PermutationComparison("shuffled", purity_of, truth.tolist(), groups, None, CLUSTERS),
         agreement(purity_of, truth, groups)),
        (ClusteringComparison("length", purity_of, truth.tolist(), groups, groups, CLUSTERS),
         agreement(purity_of, truth, groups)),
    ]  # fmt: skip
    for comparison, value in comparisons:
        leakage = comparison.leakage(np.random.default_rng(0))
        assert comparison.speakers == tuple(SPEAKERS)
        assert leakage.value == pytest.approx(value)
        assert leakage.speakers == len(leakage.jackknife) == len(SPEAKERS)


def test_a_finding_without_a_figure_or_with_one_speaker_keeps_nothing():
    own = words(1)
    alone = RatioComparison("mean mel", own, own, ["s0"] * len(CLUSTERS))
    many = RatioComparison("mean mel", own, own, CLUSTERS)
    assert kept_replicates([draft([many], None, "WER", "lower", 100.0)]) == {}
    assert kept_replicates([draft([], 40.0, "WER", "lower", 100.0)]) == {}
    assert kept_replicates([draft([alone], 40.0, "WER", "lower", 100.0)]) == {}
