"""Trained attackers: their file, when a shipped one is used, and what they may be tested on."""

import json
from dataclasses import replace

import pytest
import torch

from esrt_privacy.attacks import attackers
from esrt_privacy.attacks.attackers import (
    TrainedInverter,
    shipped_inverter,
    shipped_path,
    unseen,
    without,
)
from esrt_privacy.attacks.inverter import Inverter, InverterConfig, save_inverter
from esrt_privacy.attacks.inverter_training import CurvePoint
from esrt_privacy.corpora import Corpus, Split, load_corpus
from esrt_privacy.corpora.split import sentence_key, speaker_key
from esrt_privacy.errors import AttackError
from esrt_privacy.systems.base import Tap

SMALL = InverterConfig(50, 16, context=16, context_layers=1, channels=16, blocks=2, relative=8)
CURVE = (CurvePoint(100, 3.5, 0.25), CurvePoint(120, 4.0, float("nan")))


def tap(fingerprint: str = "f" * 64) -> Tap:
    return Tap("qformer", (50, 16), torch.bfloat16, fingerprint, is_wire=True)


def attacker(fingerprint: str = "f" * 64) -> TrainedInverter:
    torch.manual_seed(0)
    model = Inverter(SMALL)
    return TrainedInverter(
        model, "qformer", fingerprint, "made up", 12, "120 steps", 3, CURVE, "shipped"
    )


def test_a_saved_attacker_reads_back_with_what_is_known_of_it(tmp_path):
    path = tmp_path / "attacker.safetensors"
    attacker().save(path)
    loaded = TrainedInverter.load(path, "shipped")
    assert loaded.curve[0] == CURVE[0]
    assert loaded.curve[1].steps == 120  # its loss is no number, and stays none
    assert replace(loaded, model=None, curve=()) == replace(attacker(), model=None, curve=())


def test_a_network_without_its_story_is_no_attacker(tmp_path):
    path = tmp_path / "bare.safetensors"
    save_inverter(Inverter(SMALL), path, {"curve": "[]", "tap": "qformer"})
    with pytest.raises(AttackError, match=r"bare\.safetensors.*not a trained attacker"):
        TrainedInverter.load(path, "shipped")


def test_a_shipped_attacker_is_used_for_its_own_tap_only(tmp_path, monkeypatch):
    monkeypatch.setattr(attackers, "attackers_folder", lambda: tmp_path)
    attacker().save(shipped_path(tap()))
    found = shipped_inverter(tap())
    assert found is not None
    assert found.source == "shipped"
    assert shipped_inverter(tap("0" * 64)) is None
    # A name that agrees in its first digits is not enough.
    assert shipped_inverter(tap("f" * 16 + "0" * 48)) is None


@pytest.fixture(scope="module")
def corpus(tiny_speech) -> Corpus:
    return load_corpus(tiny_speech)


def test_without_leaves_out_shared_speakers_sentences_and_recordings(corpus):
    test = corpus.filter(lambda u: u.speaker == "speaker0")
    tested = test.utterances[0]
    by_speaker = corpus.filter(lambda u: u.speaker in ("speaker0", "speaker1"))
    assert without(by_speaker, test).speakers == ("speaker1",)

    other = corpus.select(speaker="speaker1").utterances[0]
    same_words = replace(other, text=f"{str(tested.text).upper()}!")
    same_audio = replace(tested, speaker="someone", text="other words", id="copy")
    training = Corpus("training", (same_words, same_audio, other))
    assert [u.id for u in without(training, test)] == [other.id]
    assert without(training, test).utterances[0].text == other.text


def test_utterances_without_texts_share_no_sentence(corpus):
    bare = replace(corpus, utterances=tuple(replace(u, text=None) for u in corpus))
    test = bare.select(speaker="speaker0")
    assert len(without(bare, test)) == len(bare) - len(test)


def test_unseen_leaves_out_what_the_shipped_networks_were_trained_on(corpus):
    rows = list(corpus)
    by_role = {
        "speaker0": "adapter-train",
        "speaker1": "attack-train",
        "speaker2": "development",
        "speaker3": "test",
    }
    speakers = {speaker_key(u): by_role[u.speaker] for u in rows if u.speaker in by_role}
    spoken_in_training = next(u for u in rows if u.speaker == "speaker4")
    sentences = {str(sentence_key(spoken_in_training.text)): "adapter-train"}
    heard = next(u for u in rows if u.speaker == "speaker5")
    split = Split(0, speakers, sentences)
    left = {u.id for u in unseen(corpus, split, frozenset({heard.fingerprint[:16]}))}
    wanted = {u.id for u in rows if u.speaker in ("speaker3", "speaker4", "speaker5")}
    assert left == wanted - {spoken_in_training.id, heard.id}


def test_a_curve_survives_as_json(tmp_path):
    path = tmp_path / "attacker.safetensors"
    attacker().save(path)
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["curve"])[0] == [100, 3.5, 0.25]
