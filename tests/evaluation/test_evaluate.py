"""Scores against texts, each beside its floor."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from esrt_privacy.corpora import Corpus
from esrt_privacy.errors import CorpusError
from esrt_privacy.esrt.answers import Answer
from esrt_privacy.evaluation import evaluate as evaluation
from esrt_privacy.evaluation.evaluate import evaluate, scores_table, write_evaluation
from esrt_privacy.evaluation.translation import Translated, TranslationOptions
from esrt_privacy.measures.translation import chrf

OPTIONS = TranslationOptions(("deu",), batch=4, most_tokens=8)


def said(corpus, texts, translations):
    return [
        Translated(u, "eng", None, {"deu": Answer(text, translation, True, True)})
        for u, text, translation in zip(corpus, texts, translations, strict=True)
    ]


def test_right_answers_score_full_marks_and_the_floor_does_not(corpus):
    rows = [
        replace(u, language="eng", text=f"{word} is here", translations={"deu": f"{word} hier"})
        for word, u in zip(("cat", "dog", "fox", "owl", "cow", "ant"), corpus, strict=True)
    ]
    texts = [u.text for u in rows]
    group = said(rows, texts, [u.translations["deu"] for u in rows])
    wer, wrong = evaluation._recognition(group, "eng", 1, 0)
    assert (wer.measure, wer.value, wer.utterances, wer.speakers) == ("wer", 0.0, 6, 3)
    assert wer.floor == pytest.approx(1 / 3)  # one word of three differs
    assert wrong.value == 0.0
    (score,), note = evaluation._translation(group, "eng", "deu", 1, 0)
    assert score.measure == "chrf" and score.value == pytest.approx(100.0)
    assert score.floor < 70
    assert "FLORES-200 tokeniser" in note


def test_languages_without_blanks_are_counted_in_characters(corpus):
    rows = [replace(u, text="こんにちは") for u in corpus]
    group = said(rows, ["こんにちわ"] * 6, [""] * 6)
    score = evaluation._recognition(group, "jpn", 1, 0)[0]
    assert (score.measure, score.value) == ("cer", pytest.approx(0.2))


def test_a_model_is_scored_greedy_and_with_beams(model, corpus):
    found = evaluate(model, corpus, OPTIONS, beams=(1, 2))
    kinds = {(s.source, s.target, s.beam, s.measure) for s in found.scores}
    for beam in (1, 2):
        for source in ("eng", "spa"):
            assert {(source, "", beam, "wer"), (source, "deu", beam, "chrf")} <= kinds
    assert len(found.answers) == 2 * len(corpus)
    again = evaluate(model, corpus, OPTIONS, beams=(1, 2))
    assert repr(again) == repr(found)  # nan is not equal to itself


def test_recordings_without_texts_are_counted_and_not_scored(model, corpus):
    rows = [replace(u, text=None, translations={}) if n < 2 else u for n, u in enumerate(corpus)]
    found = evaluate(model, Corpus("rows", tuple(rows)), OPTIONS, beams=(1,))
    assert "2 of 6 recordings have nothing to compare" in found.notes
    assert sum(s.utterances for s in found.scores if s.measure == "wer") == 4
    bare = Corpus("bare", tuple(replace(u, text=None, translations={}) for u in corpus))
    with pytest.raises(CorpusError, match="no recording has a text or a translation into deu"):
        evaluate(model, bare, OPTIONS)


def test_scores_are_written_and_shown(model, corpus, tmp_path):
    found = evaluate(model, corpus, OPTIONS, beams=(1,))
    write_evaluation(found, tmp_path, {"model": "tiny"})
    body = json.loads((tmp_path / "scores.json").read_text())
    assert body["model"] == "tiny" and len(body["scores"]) == len(found.scores)
    rows = list(csv.DictReader((tmp_path / "scores.csv").open()))
    assert [row["measure"] for row in rows] == [s.measure for s in found.scores]
    assert scores_table(found).row_count == len(found.scores)


class TestChrf:
    TEXTS = ("the cat sat", "a dog ran off", "birds fly high", "fish swim")

    def test_is_sacrebleus_own_of_the_corpus(self):
        from sacrebleu.metrics import CHRF

        given = ["the cat sat", "a dog run", "birds high", "fishes"]
        found = chrf(given, self.TEXTS, range(4), np.random.default_rng(0))
        assert found.value == CHRF().corpus_score(given, [list(self.TEXTS)]).score
        assert found.low <= found.value <= found.high and found.n == 4

    def test_speakers_are_drawn_not_sentences(self):
        given = ["the cat sat", "nothing", "birds fly high", "at all"] * 6
        texts = list(self.TEXTS) * 6
        rng = np.random.default_rng
        by_sentence = chrf(given, texts, range(24), rng(0))
        by_speaker = chrf(given, texts, [0, 1, 2, 3] * 6, rng(0))
        assert by_speaker.value == by_sentence.value
        assert by_speaker.high - by_speaker.low > by_sentence.high - by_sentence.low

    def test_of_one_speaker_has_no_interval(self):
        found = chrf(self.TEXTS, self.TEXTS, ["x"] * 4, np.random.default_rng(0))
        assert found.value == pytest.approx(100) and np.isnan(found.low) and np.isnan(found.high)

    def test_of_nothing_is_nan(self):
        assert np.isnan(chrf([], [], [], np.random.default_rng(0)).value)
