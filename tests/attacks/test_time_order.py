"""Vectors in another order than that of time: found out, and put right, by what they say."""

from pathlib import Path

import numpy as np
import pytest
import torch

from esrt_privacy.attacks.inverter import Inverter, InverterConfig, load_inverter, save_inverter
from esrt_privacy.attacks.inverter_training import (
    Budget,
    TrainingOptions,
    _fresh,
    frames_of,
    train_inverter,
)
from esrt_privacy.attacks.time_order import time_order
from esrt_privacy.captures import Capture
from esrt_privacy.captures.capture import CapturedUtterance
from esrt_privacy.corpora import Corpus
from tests.attacks.planted import PlantedStore

VECTORS, WIDTH = 20, 24  # a vector stands for 1.5 s
SHORTEST, LONGEST = 4, 10  # vectors with speech in them
PART = 3000 // VECTORS


@pytest.fixture(scope="module")
def speech() -> tuple[Corpus, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Forty recordings: their log-mel, and a vector for each part of the time."""
    rng = np.random.default_rng(0)
    projection = rng.normal(size=(16, WIDTH))
    rows, mels, tensors = [], {}, {}
    for n in range(40):
        parts = np.full((VECTORS, 16), -1.0)
        spoken = int(rng.integers(SHORTEST, LONGEST + 1))
        parts[:spoken] = rng.normal(size=(spoken, 16)) + rng.normal(size=(spoken, 1))
        key = f"u{n}"
        duration = spoken * PART / 100
        rows.append(CapturedUtterance(key, Path(key), duration=duration, tensor_key=key))
        mels[key] = torch.from_numpy(np.repeat(np.repeat(parts, PART, 0), 5, 1)).float()
        noise = 0.05 * rng.normal(size=(VECTORS, WIDTH))
        tensors[key] = torch.from_numpy(parts @ projection + noise).float()
    return Corpus("speech", tuple(rows)), mels, tensors


def captures(speech, matrix=None):
    """The vectors, mixed by a matrix, and the log-mel."""
    corpus, mels, tensors = speech
    if matrix is not None:
        tensors = {key: matrix @ tensor for key, tensor in tensors.items()}
    return (
        Capture(corpus, PlantedStore("qformer", tensors, (VECTORS, WIDTH))),
        Capture(corpus, PlantedStore("mel", mels, (3000, 80))),
    )


def rotation(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(VECTORS, VECTORS, generator=generator))[0]


def permutation(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.eye(VECTORS)[torch.randperm(VECTORS, generator=generator)]


def found(tensors, mels):
    rows = list(tensors.corpus)
    return time_order(tensors, mels, rows, [frames_of(u) for u in rows], 0)


def test_vectors_in_the_order_of_time_are_left_alone(speech):
    assert found(*captures(speech)) is None


@pytest.mark.parametrize("matrix", [rotation(), permutation()], ids=["rotated", "permuted"])
def test_a_mixture_that_is_the_same_for_all_is_undone(speech, matrix):
    order = found(*captures(speech, matrix))
    assert order is not None
    told = (order @ matrix)[:LONGEST]
    # Each part is told of by its own vector, whatever it was mixed with.
    own = told.diagonal().square() / told.square().sum(dim=1)
    assert float(own.min()) > 0.95


def test_vectors_that_tell_nothing_of_time_have_no_order(speech):
    corpus, mels, tensors = speech
    generator = torch.Generator().manual_seed(1)
    noise = {key: torch.randn(VECTORS, WIDTH, generator=generator) for key in tensors}
    assert found(*captures((corpus, mels, noise))) is None


def test_frames_and_few_recordings_are_left_alone(speech):
    corpus, mels, tensors = speech
    few = Corpus("few", corpus.utterances[:8])
    assert found(*captures((few, mels, tensors), rotation())) is None
    frames = {key: torch.zeros(300, 2) for key in tensors}
    many = Capture(corpus, PlantedStore("encoder", frames, (300, 2)))
    assert found(many, captures(speech)[1]) is None


def test_a_network_reads_a_mixed_tensor_as_it_reads_an_ordered_one(speech, monkeypatch):
    options = TrainingOptions(Budget(steps=60), batch=8)
    corpus = speech[0]
    development = list(corpus)[::5]

    def loss(matrix, looks=True):
        with monkeypatch.context() as patch:
            if not looks:
                patch.setattr("esrt_privacy.attacks.inverter_training.time_order", lambda *_: None)
            _, curve = train_inverter(*captures(speech, matrix), development, options)
        return curve[-1].loss

    ordered, put_right, mixed = loss(None), loss(rotation()), loss(rotation(), looks=False)
    assert put_right < ordered + 0.3 * (mixed - ordered)


def test_the_matrix_is_part_of_the_network_and_of_its_file(speech, tmp_path):
    tensors, mels = captures(speech, rotation())
    model = _fresh(tensors, mels, list(tensors.corpus), 0)
    assert model.config.reorders and model.order is not None
    assert model.order.requires_grad
    save_inverter(model, tmp_path / "model.safetensors", {})
    loaded, _ = load_inverter(tmp_path / "model.safetensors")
    assert loaded.order is not None
    torch.testing.assert_close(loaded.order.data, model.order.data.half().float())
    assert Inverter(InverterConfig(VECTORS, WIDTH)).order is None


@pytest.mark.parametrize("bad", [{"reorders": 1}, {"reorders": True, "vectors": 1500}])
def test_a_file_cannot_ask_for_a_matrix_without_bounds(bad):
    with pytest.raises(ValueError, match="reorder"):
        InverterConfig(**{"vectors": 80, "width": 8, **bad})
