import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.measures.text import character_errors, error_rate, word_errors


def test_word_errors_count_substitution_deletion_and_insertion():
    # cat -> hat, "on" deleted, "today" inserted
    assert word_errors("the cat sat on mats", "the hat sat mats today") == (3, 5)


def test_character_errors_count_code_points():
    assert character_errors("kitten", "sitting") == (3, 6)
    assert character_errors("今日は", "今日わ") == (1, 3)
    assert character_errors("a  b", " a b ") == (0, 3)


@pytest.mark.parametrize("count", [word_errors, character_errors])
def test_words_invented_in_silence_are_errors_and_an_empty_hypothesis_deletes_all(count):
    assert count("", "") == (0, 0)
    assert count(" ", "a b").errors > 0
    assert count(" ", "a b").length == 0
    assert count("a b", "").errors == count("a b", "").length > 0


def test_error_rate_weighs_utterances_by_their_length():
    # 1 of 1 and 0 of 9: the corpus has 10% errors, where a mean of rates would say 50%.
    assert error_rate([(1, 1), (0, 9)]) == pytest.approx(0.1)
    assert error_rate([(4, 2)]) == 2.0
    assert math.isnan(error_rate([]))
    assert math.isnan(error_rate([(3, 0)]))


@given(st.text("ab ", max_size=8), st.text("ab ", max_size=8))
def test_errors_are_bounded_by_the_longer_text_and_zero_only_for_like_texts(one, other):
    found = word_errors(one, other)
    assert found.length == len(one.split())
    assert found.errors <= max(len(one.split()), len(other.split()))
    assert (found.errors == 0) == (one.split() == other.split())
