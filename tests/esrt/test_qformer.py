from dataclasses import replace

import pytest
import torch
from transformers import Blip2QFormerConfig, Blip2QFormerModel

from esrt_privacy.esrt.qformer import QFormer


def of_transformers(config, encoder):
    """BLIP-2's own model of these sizes."""
    return Blip2QFormerModel(
        Blip2QFormerConfig(
            hidden_size=config.hidden,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.feed_forward,
            cross_attention_frequency=config.cross_attention_frequency,
            encoder_hidden_size=encoder.width,
            attention_probs_dropout_prob=0.0,
        )
    )


@pytest.mark.parametrize("frequency", [1, 2])
@pytest.mark.parametrize("training", [False, True])
def test_the_qformer_is_that_of_transformers(tiny, frames, frequency, training):
    config = replace(tiny.qformer, layers=3, cross_attention_frequency=frequency)
    torch.manual_seed(7)
    ours = QFormer(config, tiny.encoder).train(training)
    theirs = of_transformers(config, tiny.encoder).train(training)
    theirs.load_state_dict(ours.model.state_dict())
    bias = torch.zeros(3, 1, 1, 1500)
    bias[:, ..., 900:] = float("-inf")
    torch.manual_seed(8)  # of the dropout
    found = ours(frames, 8, bias)
    torch.manual_seed(8)
    wanted = theirs(
        query_embeds=ours.queries["8"].expand(3, -1, -1),
        encoder_hidden_states=frames,
        encoder_attention_mask=bias,
    ).last_hidden_state
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-6)
    assert found.std() > 0.1


def test_weights_are_drawn_as_transformers_draws_them(tiny):
    torch.manual_seed(9)
    ours = QFormer(tiny.qformer, tiny.encoder).model.state_dict()
    theirs = of_transformers(tiny.qformer, tiny.encoder).state_dict()
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert weight.std().item() == pytest.approx(
            theirs[name].std().item(), rel=0.15, abs=1e-9
        ), name


@pytest.mark.parametrize("count", [8, 4])
def test_each_set_gives_its_number_of_vectors(qformer, frames, count):
    with torch.inference_mode():
        assert qformer(frames, count).shape == (3, count, 32)


def test_no_gradient_flows_from_one_set_to_another(qformer, frames):
    qformer(frames, 8).square().sum().backward()
    assert qformer.queries["8"].grad.abs().sum() > 0
    assert qformer.queries["4"].grad is None


@pytest.mark.parametrize("count", [8, 4])
def test_biased_away_frames_might_as_well_not_be_there(qformer, frames, count):
    bias = torch.zeros(3, 1, 1, 1500)
    bias[..., 100:] = float("-inf")
    with torch.inference_mode():
        masked = qformer(frames, count, bias)
        short = qformer(frames[:, :100], count)
    torch.testing.assert_close(masked, short, atol=1e-5, rtol=1e-5)


def test_output_depends_on_the_frames(qformer, frames):
    with torch.inference_mode():
        output = qformer(frames, 8)
    assert (output[0] - output[1]).abs().max() > 1e-3


def test_one_query_stands_for_others_like_it(qformer, frames):
    with torch.inference_mode():
        qformer.queries["8"][:, 3:] = qformer.queries["8"][:, 3]
        whole = qformer(frames, 8)
        added = torch.tensor([1.0, 1.0, 1.0, 5.0]).log()
        some = qformer(frames, 8, some=(torch.arange(4), added))
    torch.testing.assert_close(some, whole[:, :4], atol=1e-5, rtol=1e-5)
