"""The warm-up's batches, targets and resuming, on a tiny Q-Former."""

from dataclasses import replace
from pathlib import Path

import ctc
import guide
import numpy as np
import pytest
import torch

from esrt_privacy.esrt.config import EncoderConfig, QFormerConfig
from esrt_privacy.esrt.qformer import QFormer
from esrt_privacy.esrt.training.frames import STRIDE, thinned

TINY = EncoderConfig("tiny", 80, 16, 1, 2, 32)
QUERIES = QFormerConfig(1, 16, 2, 32, 1, (80, 40), 0.02)
EXAMPLES = [ctc.Example(str(i), 1.0 + i / 4, "hello there"[: 4 + i], "test") for i in range(6)]


def frames_of(key: str) -> torch.Tensor:
    return torch.randn(1500, 16, generator=torch.Generator().manual_seed(int(key)))


def warmed_up(folder: Path, steps: int = 4) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    qformer, head = QFormer(QUERIES, TINY), ctc.Head(16, (80, 40))
    options = ctc.Options(
        steps, 1, batch=2, warm_up=2, place_steps=1, guided_steps=3, disturbed_from=2
    )
    ctc.train(qformer, head, EXAMPLES, frames_of, options, folder, lambda step: {})
    return qformer.state_dict()


def test_thinning_keeps_all_speech_and_the_weight_of_the_padding() -> None:
    kept, bias = thinned(3.0, np.random.default_rng(0))
    assert (kept[:175] == np.arange(175)).all()
    assert kept.max() < 1500
    # Each kept frame of the padding stands for sixteen.
    assert np.exp(bias).sum() == pytest.approx(1500, abs=STRIDE)


def test_a_target_that_does_not_fit_is_cut_and_counted() -> None:
    long = ctc.Example("0", 20.0, "a b " * 400, "test")
    kept, cut = ctc.targets([EXAMPLES[0], long])
    assert cut == 1
    assert len(kept[1].text) <= ctc.CTC_STEPS
    assert kept[0] == EXAMPLES[0]


def test_the_guide_counts_attention_off_its_place() -> None:
    torch.manual_seed(0)
    qformer = QFormer(replace(QUERIES, layers=2), TINY).eval()
    for layer in qformer.model.encoder.layer:  # so that every frame gets the same attention
        torch.nn.init.zeros_(layer.crossattention.attention.query.weight)
        torch.nn.init.zeros_(layer.crossattention.attention.query.bias)
    told = guide.Guide(qformer)
    frames, bias = torch.randn(1, 4, 16), torch.zeros(1, 1, 1, 4)
    qformer(frames, 40, bias)
    # 40 queries have 37.5 frames each; with 75 frames of speech two of them count.
    kept, speech = torch.tensor([[18.25, 55.75, 93.25, 130.75]]), torch.tensor([75.0])
    # How many parts each frame is ahead of the middle of each query's part.
    ahead = torch.tensor([[0.0, 1.0, 2.0, 3.0], [-1.0, 0.0, 1.0, 2.0]])
    # Two heads, so slices of half a part; the layers look at a quarter and at three quarters of each.
    first = torch.stack([2 * (ahead + 0.375), 2 * (ahead - 0.125)])
    second = torch.stack([2 * (ahead + 0.125), 2 * (ahead - 0.375)])
    off = [1 - torch.exp(-((parts / guide.WIDTH) ** 2) / 2) for parts in (first, second)]
    torch.testing.assert_close(told.loss(kept, speech, 40), (off[0].mean() + off[1].mean()) / 2)
    bias[..., 1:] = float("-inf")  # only the first frame is left
    qformer(frames, 40, bias)
    expected = (off[0][..., 0].mean() + off[1][..., 0].mean()) / 2
    torch.testing.assert_close(told.loss(kept, speech, 40), expected)


def test_the_guides_pull_fades_out() -> None:
    options = ctc.Options(100, 10, guided_steps=40, place_steps=10)
    pulls = [ctc._pull(step, options) for step in (0, 10, 30, 40, 49, 50, 90)]
    full = guide.WEIGHT
    assert pulls == pytest.approx([full, full, full, full / 2, full / 20, 0, 0])


def test_batches_are_a_function_of_the_seed() -> None:
    first = [next(ctc.batches(EXAMPLES, 2, seed)) for seed in (1, 1, 2, 3, 4)]
    assert first[0] == first[1]
    assert any(batch != first[0] for batch in first[2:])


def test_swapped_transcripts_are_the_floor() -> None:
    rows = [ctc.Example("0", 1, "abc", "x"), ctc.Example("1", 1, "xyz", "x")]
    assert ctc.error_rates(rows, ["abc", "xyz"]) == (0.0, 1.0)


def test_a_killed_warm_up_goes_on_and_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = warmed_up(tmp_path / "whole")

    class KilledError(Exception):
        pass

    write = ctc._checkpoint

    def write_and_die(*arguments: object) -> None:
        write(*arguments)
        raise KilledError

    monkeypatch.setattr(ctc, "CHECKPOINT_EVERY", 2)
    monkeypatch.setattr(ctc, "_checkpoint", write_and_die)
    with pytest.raises(KilledError):
        warmed_up(tmp_path / "parts")
    monkeypatch.setattr(ctc, "_checkpoint", write)
    resumed = warmed_up(tmp_path / "parts")
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name
