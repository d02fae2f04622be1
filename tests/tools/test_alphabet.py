"""How texts are spelled for the CTC warm-up, and read back."""

import alphabet
import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Hello, World!", "eng", "hello world"),
        ("It’s five o'clock.", "eng", "it's five o'clock"),
        ("¿Mañana, señor?", "spa", "mañana señor"),
        ("きょうは がっこうへ いきます。", "jpn", "kyouha gakkouhe ikimasu"),
        ("コーヒーと ジュースを", "jpn", "koohiito juusuo"),
        ("マッチ ちゃ しゅう", "jpn", "matchi cha shuu"),
    ],
)
def test_texts_are_spelled_in_the_alphabet(text: str, language: str, expected: str) -> None:
    assert alphabet.spelled(text, language) == expected


def test_decoding_merges_repeats_and_keeps_doubles_that_a_blank_parts() -> None:
    letters = alphabet.encode("hello")
    path = [letters[0], letters[0], 0, letters[1], letters[2], 0, letters[3], letters[4]]
    assert alphabet.decode(path) == "hello"
    assert alphabet.decode([letters[2], letters[3]]) == "l"


def test_doubled_letters_need_a_step_more() -> None:
    assert alphabet.steps_needed(alphabet.encode("hello")) == 6
    assert alphabet.steps_needed(alphabet.encode("help")) == 4


@given(st.text(max_size=60), st.sampled_from(["eng", "spa", "jpn", None]))
def test_any_text_round_trips_through_the_indices(text: str, language: str | None) -> None:
    spelled = alphabet.spelled(text, language)
    indices = alphabet.encode(spelled)
    with_blanks = [i for index in indices for i in (index, alphabet.BLANK)]
    assert alphabet.decode(with_blanks) == spelled
