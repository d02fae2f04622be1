"""Taking answers apart, whatever the LLM said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.esrt.answers import Answer, parse_answer
from esrt_privacy.esrt.language_tags import FLEURS_LANGUAGES, language_of, tag


def test_answer_in_the_papers_form():
    answer = parse_answer("hello world<|eng|><|deu|>hallo welt", "eng", "deu")
    assert answer == Answer("hello world", "hallo welt", True, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello <|eng|> <|deu|> hallo ", Answer("hello", "hallo", True, True)),
        ("<|eng|><|deu|>", Answer("", "", True, True)),
        ("hello<|eng|><|fra|>bonjour", Answer("hello", "bonjour", False, True)),
        ("hola<|spa|><|deu|>hallo", Answer("hola", "hallo", False, True)),
        ("hello<|deu|><|eng|>hallo", Answer("hello", "hallo", False, True)),
        ("hello<|eng|>um<|deu|>hallo", Answer("hello", "hallo", False, True)),
        ("hello<|deu|>hallo", Answer("hello", "hallo", False, False)),
        ("hello<|eng|>", Answer("hello", "", False, False)),
        ("hello", Answer("hello", "", False, False)),
        ("", Answer("", "", False, False)),
        ("hello<|eng|><|deu|>hallo<|eng|>hello", Answer("hello", "hallo", False, True)),
        ("a <|xyz|> b<|eng|><|deu|>c", Answer("a <|xyz|> b", "c", True, True)),
    ],
)
def test_answers_in_other_forms(text, expected):
    assert parse_answer(text, "eng", "deu") == expected


def test_answer_that_was_cut_off_is_not_complete():
    assert parse_answer("a<|eng|><|deu|>b", "eng", "deu", ended=False) == Answer(
        "a", "b", True, False
    )


def test_transcription_has_no_tags():
    assert parse_answer(" hello world ", "eng", None) == Answer("hello world", "", True, True)
    assert parse_answer("hello", "eng", None, ended=False) == Answer("hello", "", True, False)
    assert parse_answer("hello<|deu|>hallo", "eng", None) == Answer("hello", "", False, True)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
pieces = st.lists(st.one_of(texts, st.sampled_from([tag(c) for c in FLEURS_LANGUAGES[:5]])))
codes = st.sampled_from(FLEURS_LANGUAGES)


@given(pieces.map("".join), codes, st.none() | codes, st.booleans())
def test_any_text_is_an_answer(text, source, target, ended):
    answer = parse_answer(text, source, target, ended)
    assert answer.transcript in text and answer.translation in text
    for part in (answer.transcript, answer.translation):
        assert part == part.strip()
        assert not any(tag(code) in part for code in FLEURS_LANGUAGES)
    assert ended or not answer.complete


@given(texts, texts, codes, codes)
def test_what_was_put_together_is_taken_apart(transcript, translation, source, target):
    if any(language_of(part) for part in (transcript, translation)):
        return
    text = f"{transcript}{tag(source)}{tag(target)}{translation}"
    answer = parse_answer(text, source, target)
    assert answer == Answer(transcript.strip(), translation.strip(), True, True)
