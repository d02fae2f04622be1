import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.bandwidth.break_even import (
    NEVER,
    break_even_seconds,
    break_even_words,
    joined_speech,
    size_curves,
)
from esrt_privacy.bandwidth.codecs import audio_formats
from esrt_privacy.bandwidth.figures import apart


def test_16_bit_pcm_crosses_the_tensor_at_3_point_84_seconds():
    durations = [1.0, 2.0, 3.0, 4.0, 30.0]
    pcm = [32_000 * d for d in durations]
    assert break_even_seconds(durations, pcm, 122_880) == pytest.approx(3.84)


def test_smaller_from_the_start_and_never():
    assert break_even_seconds([1, 30], [100, 3_000], 99) == 1
    assert break_even_seconds([1, 30], [100, 3_000], 3_000) is None
    assert break_even_words(None) == NEVER == "never within 30 s"
    assert break_even_words(1.0) == "from 1 s or less"
    assert break_even_words(3.84) == "from 3.8 s"


def test_a_curve_that_dips_counts_from_its_last_crossing():
    assert break_even_seconds([1, 2, 3, 4], [10, 30, 10, 30], 20) == 3.5


def test_curves_of_another_length_are_refused():
    with pytest.raises(ValueError, match="sizes"):
        break_even_seconds([1, 2], [1], 5)


@given(st.lists(st.floats(1, 1e6), min_size=2, max_size=8).map(sorted), st.floats(1, 1e6))
def test_after_the_break_even_every_audio_is_larger(sizes, tensor):
    durations = [float(n + 1) for n in range(len(sizes))]
    found = break_even_seconds(durations, sizes, tensor)
    if found is None:
        assert sizes[-1] <= tensor
    else:
        assert all(size > tensor for d, size in zip(durations, sizes, strict=True) if d > found)


def test_joined_speech_lasts_30_seconds_and_is_the_same_for_a_seed(sound):
    streams = joined_speech([sound, -sound], np.random.default_rng(1), streams=2)
    assert [len(s) for s in streams] == [480_000, 480_000]
    again = joined_speech([sound, -sound], np.random.default_rng(1), streams=2)
    np.testing.assert_array_equal(streams, again)
    with pytest.raises(ValueError, match="no speech"):
        joined_speech([], np.random.default_rng(1))


def test_curves_are_real_encodings_of_each_duration(sound):
    formats = tuple(each for each in audio_formats() if each.name in ("wav-16", "opus-16"))
    curves = size_curves([np.tile(sound, 2)], formats, (1.0, 2.0, 4.0))
    assert curves["wav-16"] == (32_044, 64_044, 128_044)
    assert curves["opus-16"] == tuple(sorted(curves["opus-16"]))


@given(st.lists(st.floats(0, 1), max_size=12).map(sorted))
def test_labels_are_moved_apart_and_keep_their_order(places):
    moved = apart(places, 0.05)
    assert len(moved) == len(places)
    assert all(b - a >= 0.05 - 1e-9 for a, b in itertools.pairwise(moved))


def test_labels_with_room_stay_where_they_are():
    assert apart([0.1, 0.5, 0.9], 0.05) == [0.1, 0.5, 0.9]
    assert apart([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
