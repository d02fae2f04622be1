import pytest
import torch


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
