"""Judging sounds: what is measured for whom, and that a killed run does not measure twice."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from esrt_privacy.attacks.hearing import Judge
from esrt_privacy.corpora import load_corpus
from tests import tiny


@pytest.fixture(scope="module")
def utterances(tiny_speech):
    return list(load_corpus(tiny_speech).select(speaker="speaker0"))[:3]


class Counting:
    """Plays the utterance itself and counts how often it was asked."""

    def __init__(self) -> None:
        self.played: list[str] = []

    def __call__(self, utterance):
        self.played.append(utterance.id)
        return utterance.waveform()


@pytest.fixture
def one_at_a_time(tiny_judge):
    recogniser = tiny_judge._recogniser
    size, recogniser.batch_size = recogniser.batch_size, 1
    yield tiny_judge
    recogniser.batch_size = size


def test_the_real_recording_is_judged_perfect(tiny_judge, utterances, tmp_path):
    rows = tiny_judge.judge(utterances, lambda u: u.waveform(), tmp_path, "real")
    for u in utterances:
        row = rows[u.id]
        assert row.stoi == pytest.approx(1.0, abs=0.01)
        assert row.mcd == pytest.approx(0.0, abs=1e-6)
        assert row.envelope == pytest.approx(1.0)
        assert row.seconds == pytest.approx(u.duration, abs=0.01)
        assert row.words == 5
        assert row.word_errors is not None
        assert len(row.embedding) == 256


def test_judgements_are_kept_and_not_made_twice(tiny_judge, utterances, tmp_path):
    sound = Counting()
    first = tiny_judge.judge(utterances, sound, tmp_path, "key")
    again = tiny_judge.judge(utterances, sound, tmp_path, "key")
    assert first == again
    assert sound.played == [u.id for u in utterances]
    tiny_judge.judge(utterances[:1], sound, tmp_path, "another key")
    assert len(sound.played) == len(utterances) + 1


def test_a_killed_run_goes_on_after_a_half_written_line(one_at_a_time, utterances, tmp_path):
    sound = Counting()
    whole = one_at_a_time.judge(utterances, sound, tmp_path, "key")
    (path,) = tmp_path.glob("*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[1][: len(lines[1]) // 2])
    sound.played.clear()
    assert one_at_a_time.judge(utterances, sound, tmp_path, "key") == whole
    assert sound.played == [u.id for u in utterances[1:]]
    sound.played.clear()
    assert one_at_a_time.judge(utterances, sound, tmp_path, "key") == whole
    assert sound.played == []  # nothing was written behind the half line


def test_damaged_bytes_among_the_judgements_are_measured_again(one_at_a_time, utterances, tmp_path):
    whole = one_at_a_time.judge(utterances, Counting(), tmp_path, "key")
    (path,) = tmp_path.glob("*.jsonl")
    path.write_bytes(b'\xff\xfe\n[1]\n{"audio": 3}\n' + path.read_bytes()[40:])
    assert one_at_a_time.judge(utterances, Counting(), tmp_path, "key") == whole


def test_a_text_given_later_is_not_answered_from_the_cache(tiny_judge, utterances, tmp_path):
    bare = [replace(u, text=None) for u in utterances]
    assert tiny_judge.judge(bare, Counting(), tmp_path, "key")[bare[0].id].words is None
    assert tiny_judge.judge(utterances, Counting(), tmp_path, "key")[bare[0].id].words == 5


def test_another_judge_does_not_use_these_judgements(tiny_judge, utterances, tmp_path):
    import torch

    from esrt_privacy.judges.speakers import Ge2e

    weights = {
        key: value + 0.01 * torch.ones_like(value)
        for key, value in tiny.speaker_encoder()._network.state_dict().items()
    }
    other = Judge(tiny_judge._recogniser, Ge2e(weights))
    assert other.fingerprint != tiny_judge.fingerprint
    sound = Counting()
    tiny_judge.judge(utterances[:1], sound, tmp_path, "key")
    other.judge(utterances[:1], sound, tmp_path, "key")
    assert len(sound.played) == 2


@pytest.mark.parametrize(
    "labels", [{"corpus": "an4"}, {"language": "deu"}, {"language": None}, {"text": None}]
)
def test_words_are_counted_in_english_with_a_text_only_and_not_on_an4(
    tiny_judge, utterances, tmp_path, labels
):
    utterance = replace(utterances[0], **labels)
    assert tiny_judge.hears(utterances[0])
    assert not tiny_judge.hears(utterance)
    row = tiny_judge.judge([utterance], Counting(), tmp_path, "key")[utterance.id]
    assert (row.transcript, row.word_errors, row.words) == (None, None, None)
    assert row.stoi > 0.99


def test_silence_has_no_voice_and_what_is_not_defined_is_null_on_disk(
    tiny_judge, utterances, tmp_path
):
    def silence(utterance):
        return np.zeros(8000, dtype=np.float32)

    row = tiny_judge.judge(utterances[:1], silence, tmp_path, "silence")[utterances[0].id]
    assert row.embedding is None
    assert row.stoi == 0.0
    assert math.isnan(row.mcd)
    assert math.isnan(row.f0)
    (path,) = tmp_path.glob("*.jsonl")
    kept = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert kept["mcd"] is None
    again = tiny_judge.judge(utterances[:1], silence, tmp_path, "silence")[utterances[0].id]
    assert math.isnan(again.mcd)
