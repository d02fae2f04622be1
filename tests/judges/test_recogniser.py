import json

import numpy as np
import pytest

from esrt_privacy.corpora import load_corpus
from esrt_privacy.errors import AssetError, AudioError, EsrtPrivacyError
from esrt_privacy.judges.recogniser import Recogniser, normalise
from esrt_privacy.judges.whisper_languages import whisper_language


def test_english_is_normalised_as_whisper_does():
    assert normalise("Mr. O'Brien's colour -- it's TWENTY-one!", "eng") == normalise(
        "mister o'brien's color it is 21", "en"
    )


def test_another_language_loses_case_and_punctuation_only():
    assert normalise("Grüße, Welt!", "deu") == "grüße welt"
    assert normalise("twenty one", None) == "twenty one"


def test_a_script_without_blanks_is_split_into_characters():
    assert normalise("你好。", "cmn") == "你 好"


@pytest.mark.parametrize(
    ("given", "code"),
    [("eng", "en"), ("en", "en"), ("CMN", "zh"), ("zho", "zh"), ("xyz", None), ("", None)],
)
def test_iso_codes_become_whisper_codes(given, code):
    assert whisper_language(given) == code


def test_every_language_of_whisper_has_an_iso_code():
    from whisper.tokenizer import LANGUAGES

    assert {whisper_language(code) for code in LANGUAGES} == set(LANGUAGES)


def test_a_folder_without_a_model_is_one_line(tmp_path):
    with pytest.raises(AssetError) as caught:
        Recogniser(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.weights
@pytest.mark.speech
def test_read_sentences_are_recognised_in_the_order_given(tiny_english, speech_folder):
    rows, waves = _vctk(speech_folder, (2, 0, 1))
    texts = tiny_english.transcribe(waves, "eng")
    errors = [_word_errors(row["text"], text) for row, text in zip(rows, texts, strict=True)]
    assert max(errors) <= 0.25, texts


@pytest.mark.weights
@pytest.mark.speech
def test_own_greedy_search_gives_the_text_of_generate(base, speech_folder):
    import torch

    _, (wave,) = _vctk(speech_folder, (0,))
    features = base._features([wave], sampling_rate=16_000, return_tensors="pt").input_features
    with torch.inference_mode():
        tokens = base._model.generate(features, language="en", task="transcribe")
    (expected,) = base._tokenizer.batch_decode(tokens, skip_special_tokens=True)
    assert base.transcribe([wave], "eng") == [expected.strip()]
    assert base.transcribe([wave]) == [expected.strip()]  # English is detected


@pytest.mark.weights
def test_an_empty_recording_says_nothing_and_noise_is_bounded(tiny_english):
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    empty, said = tiny_english.transcribe([np.zeros(0, np.float32), noise])
    assert empty == ""
    assert len(said.split()) <= 24


@pytest.mark.weights
@pytest.mark.parametrize(
    "wave",
    [
        np.zeros(31 * 16_000, np.float32),
        np.zeros((2, 16_000), np.float32),
        np.array([0.0, np.nan], np.float32),
    ],
    ids=["31 s", "stereo", "NaN"],
)
def test_a_waveform_that_cannot_be_heard_is_refused(tiny_english, wave):
    with pytest.raises(AudioError, match="waveform 0"):
        tiny_english.transcribe([wave])


@pytest.mark.weights
def test_an_english_model_refuses_another_language(tiny_english):
    with pytest.raises(EsrtPrivacyError, match="deu"):
        tiny_english.transcribe([], "deu")


def _vctk(folder, places):
    from soundfile import read

    lines = (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["corpus"] == "vctk"]
    chosen = [rows[place] for place in places]
    return chosen, [read(folder / row["audio"], dtype="float32")[0] for row in chosen]


def _word_errors(reference, said):
    import jiwer

    return jiwer.wer(normalise(reference, "eng"), normalise(said, "eng"))


def test_spoken_languages_are_told_apart_and_an_english_model_refuses(
    base, tiny_english, speech_folder
):
    corpus = load_corpus(speech_folder).select(corpus="voxlingua")
    clips = [
        corpus.select(language=code).utterances[0] for code in sorted({u.language for u in corpus})
    ]
    logs = base.language_logs([u.waveform() for u in clips])
    assert logs.shape == (len(clips), len(base.languages))
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1.0, rtol=1e-5)
    heard = [base.languages[i] for i in logs.argmax(axis=1)]
    right = sum(whisper_language(u.language) == code for u, code in zip(clips, heard, strict=True))
    assert right >= 0.6 * len(clips)
    with pytest.raises(EsrtPrivacyError, match="English only"):
        tiny_english.language_logs([np.zeros(16000)])
    assert tiny_english.languages == ()
