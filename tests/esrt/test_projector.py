import pytest
import torch
from torch import nn

from esrt_privacy.esrt.projector import Projector, hidden_width


@pytest.mark.parametrize(
    ("llm_width", "hidden"),
    [
        (640, None),
        (1152, None),
        (1536, None),
        (1537, 1536),
        (2560, 1536),
        (2561, 2560),
        (3840, 2560),
    ],
)
def test_hidden_width_follows_the_llms(llm_width, hidden):
    assert hidden_width(llm_width) == hidden


def test_narrow_llms_get_one_linear_layer_and_a_norm():
    layers = list(Projector(768, 640).layers)
    assert [type(layer) for layer in layers] == [nn.Linear, nn.LayerNorm]
    assert layers[0].weight.shape == (640, 768)


@pytest.mark.parametrize(("llm_width", "hidden"), [(2560, 1536), (3840, 2560)])
def test_wide_llms_get_a_hidden_layer(llm_width, hidden):
    with torch.device("meta"):
        layers = list(Projector(768, llm_width).layers)
    assert [type(layer) for layer in layers] == [nn.Linear, nn.ReLU, nn.Linear, nn.LayerNorm]
    assert layers[0].weight.shape == (hidden, 768) and layers[2].weight.shape == (llm_width, hidden)


def test_vectors_of_the_wire_are_projected_one_by_one():
    torch.manual_seed(0)
    projector = Projector(24, 48)
    wire = torch.randn(2, 8, 24).bfloat16()
    vectors = projector(wire)
    assert vectors.shape == (2, 8, 48) and vectors.dtype == torch.float32
    torch.testing.assert_close(vectors[1, 3], projector(wire[1:, 3:4])[0, 0])
    torch.testing.assert_close(vectors.mean(-1), torch.zeros(2, 8), atol=1e-5, rtol=0)
