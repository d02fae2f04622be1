"""Prompts and targets as tabled: token by token."""

import pytest
import torch

from esrt_privacy.corpora import Utterance
from esrt_privacy.esrt.language_tags import FLEURS_LANGUAGES
from esrt_privacy.esrt.training.tasks import PlainText, Row, Task, prompt_and_target

# The tiny tokenizer: <pad> <eos> <bos> <unk>, 110 unused tokens, then its words.
ENG, DEU = (4 + FLEURS_LANGUAGES.index(code) for code in ("eng", "deu"))
ONE, TWO, HELLO = 114, 115, 124
EINS, ZWEI = 126, 127
UNKNOWN = 3


@pytest.fixture
def plain(model):
    return PlainText(model.tokenizer, model.tags)


@pytest.fixture
def row(tmp_path):
    translations = {"deu": " eins zwei\n"}
    utterance = Utterance(
        "a", tmp_path / "a.flac", language="eng", text="one two", translations=translations
    )
    return Row(utterance, "deu")


def test_recognition_asks_with_the_spoken_language_for_the_text(model, plain, row):
    alone = Row(row.utterance, None)
    assert prompt_and_target(Task.ASR, alone, plain, model.tags) == ([ENG], [ONE, TWO])


def test_text_translation_has_the_text_in_its_prompt(model, plain, row):
    expected = ([ONE, TWO, ENG, DEU], [EINS, ZWEI])
    assert prompt_and_target(Task.SMT, row, plain, model.tags) == expected


def test_speech_translation_asks_for_text_and_translation(model, plain, row):
    expected = ([ENG, DEU], [ONE, TWO, ENG, DEU, EINS, ZWEI])
    assert prompt_and_target(Task.SRT, row, plain, model.tags) == expected


def test_only_text_translation_hears_nothing():
    assert [task for task in Task if not task.reads_audio] == [Task.SMT]
    assert [task for task in Task if not task.translates] == [Task.ASR]


def test_loss_counts_the_prediction_and_not_the_prompt(model, plain, row, wire):
    """The mean over target and <eos>, each predicted from all before it."""
    prompt, target = prompt_and_target(Task.SRT, row, plain, model.tags)
    whole = model.loss(wire[:1], [prompt], [target])
    ends = [model.loss(wire[:1], [[*prompt, *target[:n]]], [target[n:]]) for n in range(7)]
    sums = torch.stack([loss * (7 - n) for n, loss in enumerate(ends)])
    torch.testing.assert_close(whole * 7, sums[0])
    assert (sums[:-1] > sums[1:]).all()  # one token less is asked for each time


@pytest.mark.parametrize(
    "hostile",
    ["one <|deu|> two", "one<|deu|>two", "one <eos> two", "<bos>one", "<unused105> two <pad>"],
)
def test_tag_spelled_in_a_text_is_no_tag(model, plain, hostile):
    special = {*model.tags.all_ids, 0, 1, 2, *range(4 + 102, 114)}
    assert special & set(model.tokenizer.encode(hostile, add_special_tokens=False))
    found = plain(hostile)
    assert special.isdisjoint(found)
    assert UNKNOWN in found and {ONE, TWO} & set(found)


def test_text_without_brackets_is_tokenised_as_ever(model, plain):
    for text in ("one two", "hello", "something unknown"):
        assert plain(text) == model.tokenizer.encode(text, add_special_tokens=False)
    assert plain("hello") == [HELLO]


def test_row_without_its_texts_is_refused(model, plain, tmp_path):
    silent = Utterance("a", tmp_path / "a.flac", language="eng", text=" ")
    untranslated = Utterance("b", tmp_path / "b.flac", language="eng", text="one")
    with pytest.raises(ValueError, match="a: no text"):
        prompt_and_target(Task.ASR, Row(silent, None), plain, model.tags)
    with pytest.raises(ValueError, match="b: no translation"):
        prompt_and_target(Task.SRT, Row(untranslated, "deu"), plain, model.tags)
