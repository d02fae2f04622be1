"""Which rows there are, and that none goes missing without a word."""

from dataclasses import replace

import pytest

from esrt_privacy.errors import LanguageError
from esrt_privacy.esrt.training.errors import TrainingError
from esrt_privacy.esrt.training.material import gather, tokens_in_use, with_tags
from esrt_privacy.esrt.training.tasks import PlainText, Task


@pytest.fixture
def gathered(model):
    plain = PlainText(model.tokenizer, model.tags)

    def made(task, utterances, room=None):
        return gather(task, utterances, plain, model.tags, room)

    return made


def test_recognition_has_a_row_a_recording_and_translation_one_a_direction(gathered, utterances):
    asr = gathered(Task.ASR, utterances)
    assert {unit: len(rows) for unit, rows in asr.units.items()} == {
        ("deu", None): 3,
        ("eng", None): 6,
        ("spa", None): 2,
    }
    srt = gathered(Task.SRT, utterances)
    assert {unit: len(rows) for unit, rows in srt.units.items()} == {
        ("deu", "eng"): 3,
        ("deu", "spa"): 3,
        ("eng", "deu"): 6,
        ("eng", "spa"): 6,
        ("spa", "deu"): 2,
        ("spa", "eng"): 2,
    }
    row = srt.row(("eng", "spa"), 1)
    assert (row.utterance.id, row.text, row.translation) == ("eng1", "two three", "dos tres")
    assert asr.notes == srt.notes == ()


def test_row_without_its_texts_is_counted_and_named(gathered, utterances):
    rows = list(utterances)
    rows[1] = replace(rows[1], text=None)
    rows[2] = replace(rows[2], text="  ")
    rows[4] = replace(rows[4], translations={"deu": " "})
    asr = gathered(Task.ASR, rows)
    assert asr.notes == ("left out 2 rows of ASR: no text (first: eng1)",)
    srt = gathered(Task.SRT, rows)
    assert srt.notes == (
        "left out 2 rows of SRT: no text (first: eng1)",
        "left out 1 rows of SRT: no translation (first: eng4)",
    )
    assert len(asr) == 9 and len(srt) == 16


def test_nothing_to_translate_is_one_line(gathered, utterances):
    rows = [replace(u, translations={}) for u in utterances]
    with pytest.raises(
        TrainingError, match=r"no row to train SRT on: left out 11 .* eng0.*translations"
    ) as error:
        gathered(Task.SRT, rows)
    assert "\n" not in str(error.value)


def test_text_spoken_twice_is_translated_once_and_heard_twice(gathered, utterances):
    again = [utterances[0], replace(utterances[0], id="again"), utterances[1]]
    assert len(gathered(Task.SMT, again)) == 4
    assert len(gathered(Task.SRT, again)) == 6


def test_text_longer_than_the_context_is_counted_and_named(gathered, utterances):
    long = replace(utterances[3], text="one " * 30)
    rows = [*utterances[:3], long]
    assert gathered(Task.ASR, rows, 31).notes == ()  # prompt and 30 words
    asr = gathered(Task.ASR, rows, 30)
    assert len(asr) == 3
    assert asr.notes == (
        "left out 1 rows of ASR: longer than the 30 tokens that the LLM's context has room for"
        " (first: eng3)",
    )


def test_unknown_languages_are_counted_and_named(utterances):
    rows = [
        replace(utterances[0], language="tlh"),
        replace(utterances[1], language=None),
        replace(utterances[2], translations={"deu": "drei", "xx": "three"}),
        replace(utterances[3], language="en", translations={"de-DE": "vier"}),
    ]
    kept, notes = with_tags(rows)
    assert [u.id for u in kept] == ["eng2", "eng3"]
    assert kept[0].translations == {"deu": "drei"}
    assert (kept[1].language, kept[1].translations) == ("eng", {"deu": "vier"})
    assert len(notes) == 3
    assert "left out 1 recordings: unknown language 'tlh'" in notes[0] and "eng0" in notes[0]
    assert notes[1] == ("left out 1 recordings: the corpus does not say the language (first: eng1)")
    assert "left out 1 translations: unknown language 'xx'" in notes[2] and "eng2" in notes[2]


def test_sentences_of_known_languages_share_their_mapping(utterances):
    kept, notes = with_tags(utterances)
    assert notes == ()
    assert all(a is b for a, b in zip(kept, utterances, strict=True))


def test_corpus_of_unknown_languages_only_is_one_line_with_near_names(utterances):
    rows = [replace(u, language="germn") for u in utterances]
    with pytest.raises(LanguageError, match=r"unknown language 'germn'.*deu") as error:
        with_tags(rows)
    assert "\n" not in str(error.value)


def test_tokens_in_use_are_those_of_the_targets_the_tags_and_the_end(model, gathered, utterances):
    plain = PlainText(model.tokenizer, model.tags)
    word = model.tokenizer.convert_tokens_to_ids
    first = gathered(Task.ASR, utterances[:1])
    assert tokens_in_use([first], plain, model.tags, 1) == sorted(
        {1, *model.tags.all_ids, word("one")}
    )
    both = [first, gathered(Task.SRT, utterances[1:2])]
    words = ["one", "two", "three", "zwei", "drei", "dos", "tres"]
    expected = sorted({1, *model.tags.all_ids, *map(word, words)})
    assert tokens_in_use(both, plain, model.tags, 1) == expected
