"""The letters that the stages must not unlearn."""

import ctc
import pytest
import stages
import torch

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
