"""Language and attributes: planted labels are read, absent ones are not, a broken attack says nothing."""

from dataclasses import replace

import numpy as np
import pytest

from esrt_privacy.attacks import attributes, language
from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.attributes import age_group
from esrt_privacy.attacks.confounds import one_session_a_speaker, recorded_apart, synthetic_voices
from esrt_privacy.attacks.drafts import judged
from esrt_privacy.attacks.label_controls import duration_only, spread_over, text_only
from esrt_privacy.attacks.label_findings import _Bits, bit_bounds
from esrt_privacy.attacks.label_view import LabelView, label_view
from esrt_privacy.corpora import Corpus
from esrt_privacy.corpora.split import sentence_key
from esrt_privacy.errors import AttackError
from esrt_privacy.findings import Finding
from tests.attacks.planted import inputs, people

STRONG = {"language": 3.0, "sex": 3.0}


def found(family, material, seeds=(0,)) -> dict[str, Finding]:
    answers = {
        (tap, seed): family.measure(material, tap, seed)
        for tap in material.captures
        for seed in seeds
    }
    return {f.id: f for f in judged(family.drafts(material, answers))}


def relabelled(corpus: Corpus, /, **labels) -> Corpus:
    """Each label is a function of the utterance."""
    rows = (replace(u, **{k: f(u) for k, f in labels.items()}) for u in corpus)
    return replace(corpus, utterances=tuple(rows))


def number(u) -> int:
    return int(u.speaker.removeprefix("planted"))


# --- parts


def test_probabilities_of_known_classes_spread_over_all():
    logs = spread_over(["a", "b", "c", "d"], np.log([[0.9, 0.1]]), ["d", "b"])
    assert np.exp(logs[0]) == pytest.approx([0.0025, 0.0025 + 0.099, 0.0025, 0.0025 + 0.891])


def test_floors_read_lengths_and_words_and_nothing_else():
    corpus = relabelled(
        people(speakers=12),
        duration=lambda u: 2.0 if number(u) % 2 else 4.0,
        text=lambda u: f"zzz {u.id}" if number(u) % 2 else f"aaa {u.id}",
    )
    rows, labels = list(corpus), [u.sex for u in corpus]
    for floor in (duration_only, text_only):
        logs = floor(rows[:30], labels[:30], rows[30:], ["F", "M"])
        guesses = np.array(["F", "M"])[logs.argmax(axis=1)]
        assert (guesses == labels[30:]).all()
    bare = [replace(u, duration=None, text=None) for u in rows]
    assert duration_only(bare, labels, bare, ["F", "M"]) is None
    assert text_only(bare, labels, bare, ["F", "M"]) is None


@pytest.mark.parametrize(
    ("age", "group"),
    [("31", "30-39"), ("9 years", "0-9"), ("Twenties", "twenties"), ("", None), ("999", None)],
)
def test_ages_become_decades(age, group):
    (first, *_) = people()
    assert age_group(replace(first, age=age)) == group
    assert age_group(replace(first, age=None)) is None


def test_confounds_are_said_where_they_are_there():
    corpus = people()
    assert "no speaker and no session" in recorded_apart(corpus, "language")
    mixed = relabelled(corpus, language=lambda u: f"l{int(u.id[-1]) % 2}")
    assert recorded_apart(mixed, "language") == ""
    assert recorded_apart(corpus.with_channel(1), "language") == ""
    assert one_session_a_speaker(corpus) == ""
    single = relabelled(corpus, session=lambda u: u.speaker)
    assert "microphone" in one_session_a_speaker(single)
    assert one_session_a_speaker(single.with_channel(1)) == ""
    assert synthetic_voices(corpus) == ""
    for name in ("demo", "synth-joined", "phrasebook-test-values"):
        assert "synthetic" in synthetic_voices(relabelled(corpus, corpus=lambda u, n=name: n))
    assert synthetic_voices(relabelled(corpus, corpus=lambda u: None)) == ""


# --- language


def test_a_planted_language_leaks_and_its_figures_agree():
    material = inputs(people(), {"transparent": STRONG, "qformer": STRONG})
    findings = found(language, material)
    accuracy = findings["language.qformer.balanced-accuracy"]
    assert accuracy.verdict == "leaks" and accuracy.estimate.value > 90
    assert accuracy.floors["chance"].value == 50 and "duration only" in accuracy.floors
    assert "text only" not in accuracy.floors
    assert findings["language.qformer.macro-f1"].verdict == "leaks"
    bits = findings["language.qformer.bits"]
    assert bits.verdict == "leaks" and 0.5 < bits.estimate.value <= 1.0
    assert any("--channel" in note for note in accuracy.notes)
    assert any("open set: not asked" in note for note in accuracy.notes)
    assert accuracy.control is not None and accuracy.control_passed


def test_an_absent_language_is_no_leak_and_a_blind_attack_is_invalid():
    material = inputs(people(), {"transparent": STRONG, "qformer": {"sex": 3.0}})
    findings = found(language, material)
    for slug in ("balanced-accuracy", "macro-f1", "bits"):
        assert findings[f"language.qformer.{slug}"].verdict in ("not detected", "inconclusive")
    blind = inputs(people(), {"transparent": {}, "qformer": {}})
    finding = found(language, blind)["language.qformer.balanced-accuracy"]
    assert finding.verdict == "invalid" and "transparent" in finding.reason


def test_a_plain_leak_stands_where_the_control_fails_and_silence_beside_it_does_not():
    material = inputs(people(), {"transparent": {}, "qformer": {"language": 3.0}})
    findings = found(language, material)
    leak = findings["language.qformer.balanced-accuracy"]
    assert leak.verdict == "leaks" and leak.control_passed is False
    assert any("positive control failed" in note for note in leak.notes)
    assert findings["language.transparent.balanced-accuracy"].verdict == "invalid"


def test_a_weaker_leak_gives_fewer_bits():
    taps = {"transparent": STRONG, "qformer": {"language": 1.0}, "mel": {"language": 0.4}}
    material = inputs(people(), taps)
    findings = found(language, material)
    bits = [findings[f"language.{tap}.bits"].estimate.value for tap in taps]
    assert bits == sorted(bits, reverse=True)
    assert findings["language.qformer.bits"].ceiling.value == pytest.approx(bits[2])


@pytest.mark.parametrize("sure", [0.0, 1.0])
def test_bits_and_their_interval_lie_between_nothing_and_certainty(sure):
    """Few speakers of unequal size, mostly right or mostly wrong: where an unbounded interval runs away."""
    speakers = tuple(f"s{i}" for i in (0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5))
    truth = np.array(["a", "b"] * 5 + ["a"])
    right = np.array([1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1]) == sure
    own = np.where(right, 0.999, 0.001)
    first = np.where(truth == "a", own, 1 - own)
    logs = spread_over(["a", "b"], np.log(np.column_stack([first, 1 - first])), ["a", "b"])
    view = LabelView(truth, ("a", "b"), speakers, logs, {}, {0: 0.5}, ("linear",), False, ())
    bits = _Bits(0)
    estimate = bits.estimate(view)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    (comparison,) = bits.comparisons(view)
    difference = comparison.difference(0.999, np.random.default_rng(0))
    least, most = bit_bounds(2)
    assert least <= difference.low <= difference.high <= most
    assert (difference.value > 0) == (sure == 1.0)
    assert (least, most) == pytest.approx((np.log2(0.01), np.log2(1.99)))


def test_nobody_is_answered_for_by_an_attacker_who_met_them_or_their_sentence():
    # Each speaker is a direction of their own and languages are not in the tensor: to know the speaker is to know it.
    leaks = {"speaker": 6.0}
    material = inputs(people(each=8), {"transparent": leaks})
    # An attacker who had met the speakers would know all their languages.
    answers = language.measure(material, "transparent", 0)
    view = label_view({("transparent", 0): answers}, "transparent", "language")
    assert (view.answered == view.truth).mean() < 0.8
    assert len({sentence_key(u.text) for u in material.test}) == len(material.test)


def test_seeds_vote_are_told_apart_in_a_note_and_come_back_from_disk(tmp_path):
    material = inputs(people(speakers=12), {"transparent": {"language": 1.0}})
    answers = {("transparent", s): language.measure(material, "transparent", s) for s in (0, 1)}
    view = label_view(answers, "transparent", "language")
    assert np.exp(view.logs).sum(axis=1) == pytest.approx(1.0)
    alone = label_view({("transparent", 0): answers["transparent", 0]}, "transparent", "language")
    assert not np.allclose(alone.logs, view.logs)
    draft = language.drafts(material, answers)[0]
    assert draft.finding.seeds == (0, 1)
    assert any("each seed by itself" in note for note in draft.finding.notes)
    again = language.measure(material, "transparent", 0)
    again.save(tmp_path / "answers")
    again = Answers.load(tmp_path / "answers")
    for name, array in answers["transparent", 0].arrays.items():
        assert np.array_equal(array, again.arrays[name], equal_nan=True)
    points = language.budget(material, answers)
    assert points and all(point.value > 0 for point in points)


def test_the_open_set_tells_unknown_languages_where_known_ones_show():
    corpus = people(speakers=32, languages=4)
    material = inputs(
        corpus, {"transparent": {"language": 5.0}, "qformer": {"language": 5.0}, "mel": {}}
    )
    findings = found(language, material)
    known = findings["language.qformer.open-set-auroc"]
    assert known.verdict == "leaks" and known.estimate.value > 0.7
    assert findings["language.mel.open-set-auroc"].verdict != "leaks"
    assert any("EER of known against unknown" in note for note in known.notes)
    answers = language.measure(material, "qformer", 0)
    named = {name for row in answers.rows["open.left_out"] for name in row.split(", ")}
    assert named == {"l00", "l01", "l02", "l03"}
    of = {u.id: u.language for u in corpus}
    truth = [of[key] for key in answers.rows["open.ids"]]
    unknown = ~answers.arrays["open.known"]
    # Each language is unknown to about one fold of four.
    assert all(0.1 < unknown[np.array(truth) == name].mean() < 0.5 for name in named)


# --- bad input


def test_twelve_languages_with_one_clip_each_are_a_line():
    one = Corpus("many", tuple(next(iter(people(1, 1, name=f"p{i}"))) for i in range(12)))
    many = replace(
        one, utterances=tuple(replace(u, language=f"l{i:02d}") for i, u in enumerate(one))
    )
    with pytest.raises(AttackError, match="12 values of language, but fewer than two") as error:
        language.measure(inputs(many, {"qformer": {}}), "qformer", 0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"language": lambda u: "eng"}, "all test utterances have one language"),
        ({"language": lambda u: None}, "no utterance says its language"),
        ({"speaker": lambda u: "one"}, "fewer than two of them have two speakers"),
    ],
)
def test_labels_that_cannot_be_asked_for_are_a_line(change, says):
    corpus = relabelled(people(), **change)
    with pytest.raises(AttackError, match=says):
        language.measure(inputs(corpus, {"qformer": {}}), "qformer", 0)


def test_a_language_of_one_speaker_is_left_out_with_a_note():
    corpus = relabelled(
        people(speakers=12), language=lambda u: "lone" if number(u) == 0 else u.language
    )
    answers = language.measure(inputs(corpus, {"qformer": STRONG}), "qformer", 0)
    assert "lone" not in answers.rows["language.classes"]
    assert "planted0" not in answers.rows["language.speakers"]
    assert any("lone" in note for note in answers.rows["language.notes"])


def test_numbers_that_are_none_are_left_out_with_a_note():
    material = inputs(people(speakers=8), {"qformer": STRONG})
    first = next(iter(material.test))
    material.captures["qformer"].store.tensors[first.fingerprint][0, 0] = float("nan")
    answers = language.measure(material, "qformer", 0)
    assert first.id not in answers.rows["language.ids"]
    assert any(first.id in note for note in answers.rows["language.notes"])


def test_other_people_may_be_learnt_from():
    test = people(speakers=4, each=4)
    others = people(speakers=24, each=4, seed=1, name="others")
    material = inputs(test, {"transparent": STRONG}, others)
    answers = language.measure(material, "transparent", 0)
    assert set(answers.rows["language.ids"]) == {u.id for u in test}
    view = label_view({("transparent", 0): answers}, "transparent", "language")
    assert (view.answered == view.truth).mean() > 0.9


# --- attributes


def test_every_attribute_that_is_labelled_is_asked_for():
    corpus = relabelled(
        people(),
        age=lambda u: "25" if number(u) // 4 % 2 else "61",
        emotion=lambda u: ["calm", "cross"][int(u.id[-1]) % 2],
    )
    leaks = {"sex": 3.0, "age": 3.0}
    material = inputs(corpus, {"transparent": {**leaks, "emotion": 3.0}, "qformer": leaks})
    findings = found(attributes, material)
    assert findings["attributes.qformer.sex-balanced-accuracy"].verdict == "leaks"
    assert findings["attributes.qformer.age-group-balanced-accuracy"].verdict == "leaks"
    assert findings["attributes.qformer.emotion-balanced-accuracy"].verdict != "leaks"
    assert findings["attributes.transparent.emotion-balanced-accuracy"].verdict == "leaks"
    assert not any("accent" in name for name in findings)
    sex = findings["attributes.qformer.sex-balanced-accuracy"]
    assert {"chance", "duration only", "text only"} <= set(sex.floors)
    assert any("does not say: accent" in note for note in sex.notes)


def test_what_the_words_give_away_is_no_leak_of_the_tensor():
    corpus = relabelled(people(), text=lambda u: f"{u.sex * 4} {u.id}")
    material = inputs(corpus, {"transparent": {"sex": 3.0}, "qformer": {"sex": 3.0}})
    finding = found(attributes, material)["attributes.qformer.sex-balanced-accuracy"]
    assert finding.floors["text only"].value > 95 and finding.verdict != "leaks"


def test_no_verdict_rests_on_synthetic_voices():
    corpus = relabelled(people(), corpus=lambda u: "demo")
    material = inputs(corpus, {"transparent": {"sex": 3.0}, "qformer": {"sex": 3.0}})
    finding = found(attributes, material)["attributes.qformer.sex-balanced-accuracy"]
    assert finding.estimate.value > 90
    assert finding.verdict == "inconclusive" and "synthetic" in finding.reason


def test_a_corpus_without_any_attribute_is_a_line():
    corpus = relabelled(people(), sex=lambda u: None)
    with pytest.raises(AttackError, match="no utterance says a sex"):
        attributes.measure(inputs(corpus, {"qformer": {}}), "qformer", 0)
    same = relabelled(people(), sex=lambda u: "F")
    with pytest.raises(AttackError, match=r"sex was not asked for: .*one sex"):
        attributes.measure(inputs(same, {"qformer": {}}), "qformer", 0)
