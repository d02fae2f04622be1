"""What the synthesising tools are going to say, and in whose voice."""

import make_phrasebook_speech
import make_training_speech
import numpy as np
import phrasebook
import pytest

from esrt_privacy.corpora import load_corpus

STYLES = {
    name: np.zeros((510, 1, 256), np.float32)
    for name in ("jf_alpha", "jf_tebukuro", "jf_nezumi", "jf_gongitsune", "jm_kumo")
}


@pytest.fixture(scope="module")
def planned():
    return make_phrasebook_speech.plan(STYLES)


def test_the_phrasebook_is_planned_alike_each_time(planned) -> None:
    again = make_phrasebook_speech.plan(STYLES)
    assert [(p.row, p.voice.name, p.spoken) for p in again] == [
        (p.row, p.voice.name, p.spoken) for p in planned
    ]


def test_each_phrase_is_spoken_once_and_translated_into_every_other_language(planned) -> None:
    spoken = [(p.row["text"], p.row["language"]) for p in planned]
    assert len(set(spoken)) == len(planned)
    for p in planned:
        others = set(phrasebook.LANGUAGES) - {p.row["language"]}
        assert p.row["translations"].keys() == others
        assert all(p.row["translations"].values())


def test_japanese_is_spoken_from_its_reading_and_written_as_it_is_written(planned) -> None:
    rows = [p for p in planned if p.row["language"] == "jpn"]
    assert rows and any(p.spoken != p.row["text"] for p in rows)
    assert all(p.spoken == p.row["text"] for p in planned if p.row["language"] != "jpn")


def test_no_test_voice_or_template_is_in_training(planned) -> None:
    parts = {p.row["corpus"]: set() for p in planned}
    for p in planned:
        parts[p.row["corpus"]].add((p.voice.name, p.row["template"]))
    train = parts.pop("phrasebook-train")
    for held_out in parts.values():
        assert not {voice for voice, _ in train} & {voice for voice, _ in held_out}
    templates = {template for _, template in parts["phrasebook-test-templates"]}
    assert len(templates) >= 10
    assert not templates & {template for _, template in train}


def test_the_plan_of_the_training_speech_is_what_the_repository_holds() -> None:
    rows = {p.row["id"]: p for p in make_training_speech.plan(STYLES)}
    held = load_corpus(make_training_speech.OUT)
    assert {u.id for u in held} == rows.keys()
    for u in list(held)[::50]:
        assert (u.text, u.speaker) == (rows[u.id].row["text"], rows[u.id].row["speaker"])
