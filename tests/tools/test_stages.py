"""The letters that the stages must not unlearn, and the noise that they hear them in."""

from pathlib import Path

import ctc
import numpy as np
import pytest
import soundfile
import stages
import torch

from esrt_privacy.corpora import Utterance
from esrt_privacy.esrt.training.frames import FRAMES_A_SECOND, MARGIN

WIDTH = 16


@pytest.fixture
def letters() -> stages.Letters:
    torch.manual_seed(0)
    rows = [ctc.Example(key, 1.0, text, "tiny") for key, text in (("a", "red"), ("b", "blue"))]
    return stages.Letters(ctc.Head(WIDTH, (80, 40)), rows, weight=2.0)


@pytest.mark.parametrize("queries", [80, 40])
def test_it_is_the_ctc_loss_of_what_can_be_spelled_over_all_rows(
    letters: stages.Letters, queries: int
) -> None:
    wire = torch.randn(3, queries, WIDTH)
    log_probabilities = letters._head(wire[[0, 2]], queries)
    expected = ctc.ctc_loss(log_probabilities, [letters._rows["b"], letters._rows["a"]])
    found = letters(wire, queries, ["b", "unknown", "a"])
    torch.testing.assert_close(found, 2.0 * expected * 2 / 3)


def test_the_tensor_learns_from_it_and_the_head_does_not(letters: stages.Letters) -> None:
    wire = torch.randn(1, 80, WIDTH, requires_grad=True)
    letters(wire, 80, ["a"]).backward()
    assert wire.grad is not None and wire.grad.abs().sum() > 0
    assert all(not p.requires_grad for p in letters._head.parameters())


def test_rows_that_cannot_be_spelled_ask_for_nothing(letters: stages.Letters) -> None:
    assert float(letters(torch.randn(2, 80, WIDTH), 80, ["x", "y"])) == 0.0


def test_another_head_or_weight_is_another_run(letters: stages.Letters) -> None:
    other = stages.Letters(letters._head, [], weight=1.0)
    assert other.about != letters.about


def test_noise_is_on_the_speech_alone_and_comes_from_torchs_generator(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, 0.1 * np.ones(16000), 16000)
    stored = torch.randn(1500, WIDTH).bfloat16()
    before = stored.clone()
    frames = stages.DisturbedFrames(lambda key: stored)
    utterance = Utterance("a", path, duration=1.0)
    torch.manual_seed(1)
    (first,) = frames([utterance])
    (other,) = frames([utterance])
    torch.manual_seed(1)
    (again,) = frames([utterance])
    spoken = FRAMES_A_SECOND + MARGIN
    torch.testing.assert_close(first[spoken:], before[spoken:].float(), rtol=0, atol=0)
    off = (first - before.float())[:spoken].std()
    assert 0.2 < off < 0.4  # of deviation 1: 0.2 for each recording and 0.2 for each frame
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(stored, before)
