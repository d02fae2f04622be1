"""One token a language, in the places of unused ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from esrt_privacy.corpora.languages import PAPER_LANGUAGES
from esrt_privacy.errors import LanguageError, SystemUnavailable
from esrt_privacy.esrt.language_tags import (
    FLEURS_LANGUAGES,
    language_of,
    require_language,
    tag,
    take_over,
)
from tests import tiny_llm


@pytest.fixture
def tokenizer():
    return tiny_llm.tokenizer_of_words()


def test_fleurs_has_102_languages_and_the_papers_45_are_among_them():
    assert len(FLEURS_LANGUAGES) == len(set(FLEURS_LANGUAGES)) == 102
    assert {language.code for language in PAPER_LANGUAGES} <= set(FLEURS_LANGUAGES)


def test_each_tag_is_one_token_and_comes_back(tokenizer):
    tags = take_over(tokenizer)
    assert len(set(tags.all_ids)) == 102
    for code in FLEURS_LANGUAGES:
        ids = tokenizer.encode(tag(code), add_special_tokens=False)
        assert ids == [tags.id(code)]
        assert tokenizer.decode(ids) == tag(code)


def test_tags_take_the_first_unused_tokens_and_every_other_token_keeps_its_id(tokenizer):
    before = tokenizer.get_vocab()
    tags = take_over(tokenizer)
    after = tokenizer.get_vocab()
    taken = [before[f"<unused{n}>"] for n in range(102)]
    assert [tags.id(code) for code in FLEURS_LANGUAGES] == taken
    kept = {word: place for word, place in before.items() if place not in taken}
    assert {word: place for word, place in after.items() if place not in taken} == kept
    assert len(tokenizer) == len(before)
    assert "<unused101>" not in after and "<unused102>" in after


def test_tags_inside_a_text_are_found(tokenizer):
    tags = take_over(tokenizer)
    ids = tokenizer.encode("one two<|eng|><|deu|>eins", add_special_tokens=False)
    word = tokenizer.convert_tokens_to_ids
    expected = [word("one"), word("two"), tags.id("eng"), tags.id("deu"), word("eins")]
    assert ids == expected


def test_taken_over_twice_is_taken_over_once(tokenizer, tmp_path):
    tags = take_over(tokenizer)
    assert take_over(tokenizer) == tags
    tokenizer.save_pretrained(tmp_path)
    assert take_over(AutoTokenizer.from_pretrained(tmp_path)) == tags


def test_unused_tokens_that_lie_apart_are_taken_by_their_number():
    """As in Gemma's vocabulary, where <unused99> follows far behind <unused98>."""
    words = ["<unused100>", "<unused101>", *(f"<unused{n}>" for n in range(100))]
    tokenizer = tiny_llm.tokenizer_of_words(unused=words)
    before = tokenizer.get_vocab()
    tags = take_over(tokenizer)
    assert tags.id(FLEURS_LANGUAGES[0]) == before["<unused0>"]
    assert tags.id(FLEURS_LANGUAGES[-1]) == before["<unused101>"]


def test_too_few_unused_tokens_are_one_line():
    tokenizer = tiny_llm.tokenizer_of_words(unused=[f"<unused{n}>" for n in range(101)])
    with pytest.raises(SystemUnavailable, match="101 unused tokens, 102 language tags") as error:
        take_over(tokenizer)
    assert "\n" not in str(error.value)


def test_a_tokenizer_with_some_of_the_tags_only_is_one_line(tokenizer):
    tokenizer.add_special_tokens({"additional_special_tokens": [tag("eng")]})
    with pytest.raises(SystemUnavailable, match=r"1 of 102 language tags \(<\|afr\|> is missing"):
        take_over(tokenizer)


@pytest.mark.parametrize(
    ("given_as", "code"),
    [("eng", "eng"), ("de", "deu"), ("zh-CN", "cmn"), ("German", "deu"), (" ARABIC ", "ara")],
)
def test_a_language_is_known_by_code_tag_or_name(given_as, code):
    assert require_language(given_as) == code


@pytest.mark.parametrize(("wrong", "near"), [("Germn", "deu"), ("Spanich", "spa"), ("engl", "eng")])
def test_an_unknown_language_names_the_nearest(wrong, near):
    with pytest.raises(LanguageError, match=f"'{wrong}'.*near it: .*{near}") as error:
        require_language(wrong)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("code", ["lat", "tlh"])  # languages, but none of FLEURS
def test_a_language_outside_fleurs_is_unknown(code):
    with pytest.raises(LanguageError, match=code):
        require_language(code)


@given(st.text(max_size=20))
def test_any_text_is_a_known_language_or_refused_in_one_line(text):
    try:
        assert require_language(text) in FLEURS_LANGUAGES
    except LanguageError as error:
        assert len(str(error).splitlines()) == 1


@given(st.text(max_size=12))
def test_only_tags_name_languages(text):
    assert language_of(text) is None or tag(language_of(text)) == text
