"""The language heard in what was rebuilt: real recordings through Whisper-base, at taps whose captures are planted."""

from dataclasses import replace

import numpy as np
import pytest

from esrt_privacy.attacks import language
from esrt_privacy.attacks.drafts import judged
from esrt_privacy.attacks.language_by_ear import MOST_UTTERANCES, listened
from esrt_privacy.corpora import Corpus, load_corpus
from esrt_privacy.corpora.drawing import drawn_evenly
from esrt_privacy.errors import AttackError
from tests.attacks.planted import inputs, people

EACH = 5  # recordings of a language


@pytest.fixture(scope="module")
def demo() -> Corpus:
    """Ten voices of the demo corpus, half of them speak Spanish."""
    corpus = load_corpus("demo")
    kept, voices = [], set()
    for code in ("spa", "eng"):
        own = [u for u in corpus if u.language == code and u.speaker not in voices]
        first = {u.speaker: u for u in own}
        kept += list(first.values())[:EACH]
        voices |= {u.speaker for u in kept}
    return Corpus("demo", tuple(kept))


@pytest.fixture
def heard_right(demo):
    """At `qformer` the recordings come back, at `transparent` noise does."""
    noise = 0.01 * np.random.default_rng(0).normal(size=16000)
    rebuilt = {
        "qformer": {u.id: u.waveform() for u in demo},
        "transparent": dict.fromkeys((u.id for u in demo), noise),
    }
    material = inputs(demo, {"qformer": {}, "transparent": {}}, folds=2)
    return replace(material, reconstructions=rebuilt)


def test_a_language_that_comes_back_is_heard_and_noise_is_not(heard_right, base):
    answers = {
        (tap, 0): listened(
            heard_right, heard_right.captures[tap], language.QUESTION, recogniser=base
        )
        for tap in ("qformer", "transparent")
    }
    found = {f.id: f for f in judged(language.drafts(heard_right, answers))}
    own = found["language.qformer.ignorant-balanced-accuracy"]
    assert own.attacker == "ignorant" and own.metric == "balanced accuracy"
    assert own.estimate.value == 100.0 and own.floors["chance"].value == 50.0
    assert own.verdict == "leaks"  # its control fails, but it passes the control's rule itself
    control = found["language.transparent.ignorant-balanced-accuracy"]
    assert control.estimate.value == 50.0  # the same noise is the same language
    assert len(found) == 2


def test_at_the_log_mel_the_recordings_are_heard(demo, base):
    material = inputs(demo, {"mel": {}}, folds=2)
    answers = listened(material, material.captures["mel"], language.QUESTION, recogniser=base)
    logs = answers.arrays["heard.log_probabilities"]
    assert logs.shape == (2 * EACH, 2)
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1.0)
    guesses = np.array(answers.rows["heard.classes"])[logs.argmax(axis=1)]
    assert guesses.tolist() == list(answers.rows["heard.truth"])
    assert "at the log-mel the recordings themselves were heard" in answers.rows["heard.notes"]


def test_nothing_rebuilt_is_no_answer_and_unknown_languages_are_one_line(demo, base):
    material = inputs(demo, {"qformer": {}}, folds=2)
    capture = material.captures["qformer"]
    assert listened(material, capture, language.QUESTION, recogniser=base) is None
    names = {"spa": "xx1", "eng": "xx2"}
    renamed = tuple(replace(u, language=names[u.language]) for u in demo)
    other = inputs(replace(demo, utterances=renamed), {"mel": {}}, folds=2)
    with pytest.raises(AttackError, match="fewer than two of the languages"):
        listened(other, other.captures["mel"], language.QUESTION, recogniser=base)


def test_a_missing_recogniser_costs_its_findings_and_no_others(demo, tmp_path):
    material = inputs(demo, {"qformer": {"language": 3.0}, "mel": {"language": 3.0}}, folds=2)
    blind = replace(material, weights=tmp_path)
    (tmp_path / "whisper-base").mkdir()  # found first, and empty
    answers = {(tap, 0): language.measure(blind, tap, 0) for tap in ("qformer", "mel")}
    found = judged(language.drafts(blind, answers))
    assert found and all(f.attacker == "semi-informed" for f in found)
    assert any("no attacker by ear" in note for f in found for note in f.notes)


def test_utterances_are_drawn_alike_from_each_language():
    corpus = people(speakers=60, each=6, languages=2)
    uneven = [u for u in corpus if u.language == "l00" or u.id.endswith("-0")]

    def spread(seed):
        wanted = drawn_evenly(uneven, MOST_UTTERANCES, seed, language.QUESTION.label)
        return [u for u in uneven if u.id in wanted]

    chosen = spread(0)
    counts = {code: sum(u.language == code for u in chosen) for code in ("l00", "l01")}
    rare = sum(u.language == "l01" for u in uneven)
    assert counts == {"l01": rare, "l00": min(MOST_UTTERANCES, len(uneven)) - rare}
    assert chosen == spread(0) != spread(1)
    assert [u for u in uneven if u in chosen] == chosen
