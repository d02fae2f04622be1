"""Curves, tables and pairs from an attack's answers: what they say is what the findings say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esrt_privacy.attacks import duration, speaker_findings
from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.comparisons import AccuracyComparison, EerComparison, RatioComparison
from esrt_privacy.attacks.drafts import Draft
from esrt_privacy.attacks.heads import HEADS
from esrt_privacy.attacks.label_findings import label_budget
from esrt_privacy.attacks.pictures import confusion, det_curve, length_pairs, pictures
from esrt_privacy.measures.verification import eer
from tests.attacks import planted
from tests.attacks.planted import people
from tests.reports.fake_run import finding


def draft(comparison, **changes) -> Draft:
    fields = {"id": "speaker.qformer.semi-informed-eer", "attack": "speaker"}
    made = finding(**{**fields, "metric": "speaker EER", **changes})
    return Draft(made, (comparison,), 100.0, 0, True, "")


def scored(scores, target) -> EerComparison:
    names = [f"p{i % 4}" for i in range(len(scores))]
    return EerComparison("chance", np.array(scores), None, np.array(target), names, names)


def answered(truth, own) -> Draft:
    comparison = AccuracyComparison("chance", np.array(truth), np.array(own), 0.5, truth)
    slug = "sex-balanced-accuracy"
    changes = {"attack": "attributes", "metric": "balanced accuracy"}
    return draft(comparison, id=f"attributes.qformer.{slug}", **changes)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(-1, 3), st.integers(2, 300), st.integers(2, 3000))
def test_a_curve_meets_its_equal_error_rate(seed, apart, targets, nontargets):
    rng = np.random.default_rng(seed)
    scores = np.r_[rng.normal(apart, 1, targets), rng.normal(0, 1, nontargets)]
    curve = det_curve(draft(scored(scores, np.arange(len(scores)) < targets)))
    assert curve is not None and len(curve.miss) <= 200
    assert curve.eer == eer(scores[:targets], scores[targets:])
    if curve.miss and 0 < curve.eer < 0.5:
        gap = np.array(curve.miss) - np.array(curve.false_alarm)
        at = np.interp(0.0, gap, curve.miss)
        assert at == pytest.approx(curve.eer, abs=0.02)


def test_a_curve_says_whose_it_is_and_leaves_unscored_trials_out():
    scores = [3.0, 1.0, np.nan, 2.0, 0.0, np.nan]
    curve = det_curve(draft(scored(scores, [True, True, True, False, False, False]), tap="mel"))
    assert curve is not None
    assert (curve.finding, curve.tap) == ("speaker.qformer.semi-informed-eer", "mel")
    assert curve.trials == "2 target and 2 non-target trials"
    assert curve.asked == "same speaker, one sex"
    # On the hull from (1, 0) by (0, 0.5) to (0, 1) and along (0.5, 0): the EER is a quarter.
    assert curve.eer == 0.25


@pytest.mark.parametrize(
    ("attack", "slug", "asked"),
    [
        ("speaker", "lazy-informed-eer-mixed", "same speaker, sexes mixed"),
        ("linkage", "same-recording", "same recording"),
        ("reconstruction", "speaker-eer", "same voice in reconstructed speech"),
    ],
)
def test_a_curve_says_what_is_told_apart(attack, slug, asked):
    made = draft(scored([1.0, 0.0], [True, False]), attack=attack, id=f"{attack}.mel.{slug}")
    curve = det_curve(made)
    assert curve is not None and curve.asked == asked


def test_scores_that_part_the_trials_have_no_point_on_the_axes():
    curve = det_curve(draft(scored([3.0, 2.5, 1.0, 0.0], [True, True, False, False])))
    assert curve is not None
    assert (curve.false_alarm, curve.miss, curve.eer) == ((), (), 0.0)


def test_a_table_counts_answers_by_true_label():
    table = confusion(answered(["F", "F", "M", "M", "M"], ["F", "M", "M", "M", "X"]))
    assert table is not None
    assert (table.asked, table.labels) == ("sex", ("F", "M", "X"))
    assert table.counts == ((1, 1, 0), (0, 2, 1), (0, 0, 0))


def test_a_family_whose_own_question_is_the_label_gives_it_its_name():
    made = answered(["a", "b"], ["a", "b"])
    own = made.finding.model_copy(
        update={"attack": "language", "id": "r.language.mel.balanced-accuracy"}
    )
    table = confusion(Draft(own, made.comparisons, 100.0, 0, True, ""))
    assert table is not None and table.asked == "language"


def test_endless_labels_are_cut_and_stay_apart():
    table = confusion(answered(["x" * 300 + "a", "x" * 300 + "b"], ["x" * 300 + "a"] * 2))
    assert table is not None
    assert len(set(table.labels)) == 2 and max(map(len, table.labels)) <= 200


def test_more_labels_than_a_picture_holds_give_none():
    names = [f"l{i}" for i in range(201)]
    assert confusion(answered(names, names)) is None
    assert confusion(answered(names[:200], names[:200])) is not None


def test_other_figures_have_no_picture():
    ratio = RatioComparison("floor", ([1.0], [1.0]), ([0.0], [1.0]), ["a"])
    drawn = pictures([draft(ratio), answered(["F", "M"], ["F", "M"])])
    assert (len(drawn.det_curves), len(drawn.confusions)) == (0, 1)


def test_many_lengths_are_drawn_by_the_seed_and_said_so():
    true = np.linspace(1, 25, 5_000)
    true[7] = np.nan

    def drawn(seed: int):
        return length_pairs("d.q.mae", "s", "q", true, true + 0.5, np.random.default_rng(seed))

    one = drawn(1)
    assert (len(one.true), one.utterances) == (2_000, 4_999)
    assert one.thinning == "2,000 of 4,999 utterances, drawn by the audit's seed"
    assert np.allclose(np.array(one.inferred) - one.true, 0.5)
    assert one == drawn(1) != drawn(2)


def test_few_lengths_are_all_kept_but_those_without_an_answer():
    true, inferred = np.array([1.0, 2.0, 3.0]), np.array([1.25, np.nan, 2.5])
    pairs = length_pairs("d.q.mae", "s", "q", true, inferred, np.random.default_rng(0))
    assert (pairs.true, pairs.inferred) == ((1.0, 3.0), (1.25, 2.5))
    assert (pairs.utterances, pairs.thinning) == (2, "")


def test_the_duration_attack_gives_the_seconds_of_its_findings():
    corpus = people(speakers=3, each=2)
    given = planted.inputs(corpus, {"qformer": {}})
    truth = np.array([2.0, 4.0, 6.0, 3.0, 5.0, 7.0])

    def heard(error: float) -> Answers:
        arrays = {"truth": truth, "predicted": truth + error, "median": np.full(6, 4.5)}
        rows = {"speakers": tuple(str(u.speaker) for u in corpus), "heads": ("linear",)}
        return Answers(
            {f"duration.{k}": v for k, v in arrays.items()},
            {f"duration.{k}": v for k, v in rows.items()},
        )

    found = duration.lengths(given, {("qformer", 0): heard(0.5), ("qformer", 1): heard(0.1)})
    assert [pairs.finding for pairs in found] == ["duration.qformer.mae"]
    assert found[0].true == tuple(truth)
    assert np.allclose(np.array(found[0].inferred) - truth, 0.3)


# --- training curves that end too early


@pytest.mark.parametrize(("last", "bound"), [(0.30, True), (0.395, False)])
def test_a_speaker_curve_that_still_fell_ends_in_a_bound(last, bound):
    place = HEADS.index("attentive")
    looks = ((100, 0.5), (200, 0.4), (300, 0.4), (400, last))
    rows = [(fold, place, steps, error) for fold in range(3) for steps, error in looks]
    given = planted.inputs(people(speakers=3, each=2), {"qformer": {}})
    points = speaker_findings.budget(given, {("qformer", 0): Answers({"curve": np.array(rows)})})
    assert [(point.amount, point.bound) for point in points] == [
        *((100, False), (200, False), (300, False)),
        (400, bound),
    ]


@pytest.mark.parametrize(("last", "bound"), [(1.0, True), (1.39, False)])
def test_a_label_curve_that_still_fell_ends_in_a_bound(last, bound):
    def answers(end: float) -> Answers:
        looks = ((100, 2.0), (200, 1.5), (300, 1.4), (400, end))
        rows = [(fold, steps, error) for fold in range(3) for steps, error in looks]
        names = {"truth": ("a", "b"), "classes": ("a", "b"), "speakers": ("x", "y")}
        names |= {"heads": ("attentive",) * 3, "notes": ()}
        return Answers(
            {
                "sex.curve": np.array(rows),
                "sex.log_probabilities": np.log([[0.6, 0.4], [0.3, 0.7]]),
            },
            {f"sex.{key}": value for key, value in names.items()},
        )

    points = label_budget({("mel", 0): answers(1.4), ("qformer", 0): answers(last)}, "sex")
    assert [p.bound for p in points if p.tap == "mel"] == [False] * 4
    assert [p.bound for p in points if p.tap == "qformer"] == [False, False, False, bound]
