"""Balance over languages, and limits of hours."""

from dataclasses import replace

import numpy as np
import pytest

from esrt_privacy.corpora import Utterance
from esrt_privacy.esrt.training.balance import seconds, shares, within_hours


def test_shares_at_four_temperatures_are_known():
    counts = [900, 100]
    np.testing.assert_allclose(shares(counts, 1.0), [0.9, 0.1])
    np.testing.assert_allclose(shares(counts, 2.0), [0.75, 0.25])  # 30 to 10
    np.testing.assert_allclose(shares(counts, 1e9), [0.5, 0.5])
    np.testing.assert_allclose(shares([8, 1], 3.0), [2 / 3, 1 / 3])  # cube roots 2 and 1


@pytest.fixture
def recordings(tmp_path):
    """Ten minutes of English, five of German, one of Spanish, in minutes of one each."""
    return [
        Utterance(f"{code}{n}", tmp_path / "a.flac", language=code, duration=60.0)
        for code, count in (("eng", 10), ("deu", 5), ("spa", 1))
        for n in range(count)
    ]


def minutes(utterances):
    return {code: sum(u.language == code for u in utterances) for code in ("eng", "deu", "spa")}


def test_hours_are_spread_over_the_languages(recordings):
    kept, held = within_hours(recordings, 7 / 60, 0)
    assert minutes(kept) == {"eng": 3, "deu": 3, "spa": 1}
    assert held == pytest.approx(7 / 60)


def test_hours_are_never_exceeded_and_no_more_than_there_is(recordings):
    assert within_hours(recordings, 6.9 / 60, 0)[1] == pytest.approx(6 / 60)
    kept, held = within_hours(recordings, 100, 0)
    assert kept == recordings and held == pytest.approx(16 / 60)
    assert within_hours(recordings, 0.5 / 60, 0) == ([], 0.0)


def test_fewer_hours_are_part_of_more(recordings):
    small, large = (within_hours(recordings, n / 60, 3)[0] for n in (4, 9))
    assert {u.id for u in small} < {u.id for u in large}


def test_hours_depend_on_the_seed_alone(recordings):
    first = within_hours(recordings, 6 / 60, 1)
    assert within_hours(recordings, 6 / 60, 1) == first
    assert within_hours(recordings, 6 / 60, 2) != first
    shuffled = [recordings[i] for i in np.random.default_rng(0).permutation(len(recordings))]
    assert minutes(within_hours(shuffled, 6 / 60, 1)[0]) == minutes(first[0])


def test_length_comes_from_the_header_where_the_corpus_is_silent(utterances):
    said = utterances[2].duration
    assert seconds(replace(utterances[2], duration=None)) == pytest.approx(said, abs=1e-3)
    part = replace(utterances[2], duration=None, start=0.1, end=0.3)
    assert seconds(part) == pytest.approx(0.2)
