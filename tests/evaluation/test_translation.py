"""Recordings in, answers out."""

import json
from dataclasses import replace

import pytest
import soundfile
from rich.console import Console

from esrt_privacy.corpora import Corpus
from esrt_privacy.errors import AssetError, CorpusError, LanguageError
from esrt_privacy.esrt.answers import Answer
from esrt_privacy.evaluation.translation import (
    Translated,
    TranslationOptions,
    drawn,
    load_recordings,
    print_translations,
    translate,
    write_translations,
    wrong_language_share,
)
from esrt_privacy.systems.whole import load_model

FAST = TranslationOptions(("deu", "fra"), batch=2, most_tokens=6)


def test_answers_come_in_the_corpus_order_whatever_the_languages(model, corpus):
    rows, notes = translate(model, corpus, FAST)
    assert [row.utterance.id for row in rows] == [u.id for u in corpus]
    assert [row.source for row in rows] == [u.language for u in corpus]
    assert all(list(row.answers) == ["deu", "fra"] and row.transcript is None for row in rows)
    assert not notes


def test_answers_are_those_of_the_cloud_on_the_edges_tensor(model, corpus):
    rows, _ = translate(model, corpus, FAST)
    for row in rows:
        wire = model.edge.encode([row.utterance.waveform()])
        (alone,) = model.cloud().translate(wire, row.source, FAST.to, 1, FAST.most_tokens)
        assert row.answers == alone


def test_without_targets_recordings_are_transcribed(model, corpus):
    rows, _ = translate(model, corpus, replace(FAST, to=()))
    assert all(row.transcript is not None and not row.answers for row in rows)


def test_a_recording_that_cannot_be_decoded_is_named_and_the_rest_translated(
    model, corpus, tmp_path
):
    bad = tmp_path / "cut.flac"
    soundfile.write(bad, corpus.utterances[0].waveform(), 16_000)
    bad.write_bytes(bad.read_bytes()[:900])
    broken = replace(corpus.utterances[0], id="cut", audio=bad)
    mixed = Corpus("mixed", (broken, *corpus.utterances[:2]))
    rows, notes = translate(model, mixed, FAST)
    assert len(rows) == 2
    assert len(notes) == 1 and "cut.flac" in notes[0]
    with pytest.raises(CorpusError, match=r"no recording could be decoded.*cut\.flac"):
        translate(model, Corpus("bad", (broken,)), FAST)


def test_a_language_that_nobody_says_is_one_line_and_can_be_given(model, corpus):
    silent = Corpus("silent", tuple(replace(u, language=None) for u in corpus))
    with pytest.raises(LanguageError, match="give it as --from eng") as error:
        translate(model, silent, FAST)
    assert "\n" not in str(error.value)
    rows, _ = translate(model, silent, replace(FAST, spoken="spa"))
    assert {row.source for row in rows} == {"spa"}


def test_an_unknown_target_is_refused_before_any_work(model, corpus):
    with pytest.raises(LanguageError, match=r"near it: .*deu"):
        translate(model, corpus, replace(FAST, to=("germn",)))


def test_one_recording_is_a_corpus_of_one(corpus, tmp_path):
    path = tmp_path / "hello.wav"
    soundfile.write(path, corpus.utterances[0].waveform(), 16_000)
    found = load_recordings([str(path)])
    assert [u.id for u in found] == ["hello"]
    assert found.utterances[0].duration == pytest.approx(corpus.utterances[0].duration)


def test_several_recordings_are_one_corpus(corpus, tmp_path):
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", corpus.utterances[0].waveform(), 16_000)
    paths = [str(tmp_path / f"{name}.wav") for name in ("a", "b")]
    assert [u.id for u in load_recordings(paths)] == ["a", "b"]
    with pytest.raises(CorpusError, match="same id"):
        load_recordings([paths[0], paths[0]])


def test_a_draw_is_a_function_of_the_seed(corpus):
    first, again, other = drawn(corpus, 3, 0), drawn(corpus, 3, 0), drawn(corpus, 3, 5)
    assert first.utterances == again.utterances and len(first) == 3
    assert other.utterances != first.utterances
    assert "3 of 6 recordings" in first.notes[-1]
    assert drawn(corpus, None, 0) is corpus and drawn(corpus, 6, 0) is corpus


def test_share_of_wrong_languages_counts_every_answer(corpus):
    right, wrong = Answer("a", "b", True, True), Answer("a", "b", False, True)
    rows = [
        Translated(corpus.utterances[0], "eng", None, {"deu": right, "fra": wrong}),
        Translated(corpus.utterances[1], "eng", None, {"deu": right, "fra": right}),
    ]
    assert wrong_language_share(rows) == 0.25


def test_what_is_printed_is_escaped_and_says_what_went_wrong(corpus):
    hostile = Answer("[red]x[/red]", "[link=y]z", False, False)
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_translations([Translated(corpus.utterances[0], "eng", None, {"deu": hostile})], console)
    text = console.export_text()
    assert "[red]x[/red]" in text and "[link=y]z" in text
    assert "wrong language tags" in text and "not complete" in text and "100.0%" in text


def test_answers_are_written_as_json_lines(model, corpus, tmp_path):
    rows, _ = translate(model, corpus, FAST)
    write_translations(rows, tmp_path / "new" / "answers.jsonl")
    lines = (tmp_path / "new" / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [u.id for u in corpus]


def test_a_model_without_a_cloud_half_is_one_line(tiny_system):
    with pytest.raises(AssetError, match="translation needs a folder with the cloud half") as error:
        load_model(str(tiny_system))
    assert "\n" not in str(error.value)
