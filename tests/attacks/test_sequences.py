"""What heads are given: speech without its padding, averaged, and never a value that is no number."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from esrt_privacy.attacks.sequences import (
    LEAST_STEPS,
    comes_whole,
    pooled,
    readable,
    remembered,
    sequences,
)
from esrt_privacy.errors import AttackError
from tests.attacks.planted import people, planted

LONG = (1500, 3)


@pytest.fixture
def corpus():
    return people(2, 2)


def padded(corpus, tap, speech):
    capture = planted(corpus, tap, {}, LONG)
    for u in corpus:
        capture.store.tensors[u.tensor_key][speech:] = -1.25
    return capture


def test_constant_vectors_at_the_end_are_cut_and_frames_averaged(corpus):
    capture = padded(corpus, "mel", 300)
    (row,) = sequences(capture, corpus.utterances[:1])
    assert row.shape == (150, 3)
    tensor = capture.tensor(corpus.utterances[0]).float()
    torch.testing.assert_close(row[7], tensor[14:16].mean(dim=0))


def test_the_whole_is_given_where_nothing_may_be_cut(corpus):
    (row,) = sequences(padded(corpus, "mel", 300), corpus.utterances[:1], trim=False)
    assert row.shape == (750, 3)


def test_the_encoder_is_cut_at_the_duration(corpus):
    u = replace(corpus.utterances[0], duration=3.0)
    (row,) = sequences(planted(corpus, "encoder", {}, LONG), [u])
    assert row.shape == (75, 3)


def test_a_tensor_of_silence_alone_keeps_a_few_steps(corpus):
    (row,) = sequences(padded(corpus, "mel", 0), corpus.utterances[:1])
    assert len(row) == LEAST_STEPS // 2


def test_queries_are_never_cut(corpus):
    capture = planted(corpus, "qformer", {})
    capture.store.tensors[corpus.utterances[0].tensor_key][3:] = 0.5
    (row,) = sequences(capture, corpus.utterances[:1])
    assert len(row) == capture.shape[0]
    assert comes_whole(capture)
    assert not comes_whole(planted(corpus, "encoder.3", {}, LONG))


def test_pooled_is_mean_and_deviation(corpus):
    capture = planted(corpus, "qformer", {})
    tensor = capture.tensor(corpus.utterances[1]).float().numpy()
    row = pooled(capture, corpus.utterances[1:2])[0]
    np.testing.assert_allclose(row, np.r_[tensor.mean(axis=0), tensor.std(axis=0)], rtol=1e-5)


def test_remembered_tensors_are_the_same_and_read_once(corpus):
    capture = padded(corpus, "mel", 300)
    held = remembered(capture)
    first = sequences(held, corpus.utterances)
    capture.store.tensors.clear()
    for again, before in zip(sequences(held, corpus.utterances), first, strict=True):
        assert torch.equal(again, before)
    with pytest.raises(AttackError, match="trim"):
        sequences(held, corpus.utterances, trim=False)


def test_values_too_large_for_half_floats_are_kept(corpus):
    capture = planted(corpus, "qformer", {})
    capture.store.tensors[corpus.utterances[0].tensor_key][0, 0] = 1e6
    assert float(sequences(remembered(capture), corpus.utterances[:1])[0][0, 0]) == 1e6


def test_a_tensor_with_nan_is_left_out_by_name(corpus):
    capture = planted(corpus, "qformer", {})
    bad = corpus.utterances[2]
    capture.store.tensors[bad.tensor_key][1, 1] = float("nan")
    with pytest.raises(AttackError, match=bad.id):
        sequences(capture, corpus.utterances)
    kept, notes = readable(capture, corpus)
    assert bad not in kept
    assert len(kept) == 3
    assert len(notes) == 1
    assert "no numbers" in notes[0]
