import pytest
import torch


@pytest.mark.parametrize("count", [8, 4])
def test_all_sets_in_one_pass_equal_each_set_alone(qformer, frames, count):
    with torch.inference_mode():
        together = qformer.all_sets(frames)[count]
        alone = qformer(frames, count)
    assert alone.shape == (3, count, 32)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_sets_do_not_see_each_other(qformer, frames):
    with torch.inference_mode():
        before = qformer.all_sets(frames)
        qformer.queries["4"].neg_()
        after = qformer.all_sets(frames)
    torch.testing.assert_close(after[8], before[8], atol=1e-6, rtol=1e-6)
    assert (after[4] - before[4]).abs().max() > 0.01


def test_no_gradient_flows_from_one_set_to_another(qformer, frames):
    qformer.all_sets(frames)[8].square().sum().backward()
    assert qformer.queries["8"].grad.abs().sum() > 0
    other = qformer.queries["4"].grad
    assert other is None or other.abs().max() == 0


def test_biased_away_frames_might_as_well_not_be_there(qformer, frames):
    bias = torch.zeros(3, 1, 1, 1500)
    bias[..., 100:] = float("-inf")
    with torch.inference_mode():
        masked = qformer.all_sets(frames, bias)
        for count, output in masked.items():
            short = qformer(frames[:, :100], count)
            torch.testing.assert_close(output, short, atol=1e-5, rtol=1e-5)


def test_output_depends_on_the_frames(qformer, frames):
    with torch.inference_mode():
        output = qformer(frames, 8)
    assert (output[0] - output[1]).abs().max() > 1e-3
