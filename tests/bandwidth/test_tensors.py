import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.bandwidth.tensors import TensorFormat, tensor_formats
from esrt_privacy.wire.errors import MessageError
from esrt_privacy.wire.tensors import encode_tensor


@pytest.fixture
def tensor() -> torch.Tensor:
    return torch.randn(80, 768, generator=torch.Generator().manual_seed(3))


def test_sizes_are_values_and_a_small_header():
    assert 122_880 < len(TensorFormat(80, 768, "bf16").blank()) < 122_880 + 200
    values_and_scales = 80 * 768 + 80 * 4
    assert values_and_scales < len(TensorFormat(80, 768, "int8").blank()) < values_and_scales + 250


@pytest.mark.parametrize("shape", [(80, 768), (40, 768), (8, 24)])
def test_a_body_is_what_the_wire_sends_byte_for_byte(shape):
    tensor = torch.randn(*shape, generator=torch.Generator().manual_seed(4))
    for values in ("bf16", "int8"):
        assert TensorFormat(*shape, values).pack(tensor) == encode_tensor(tensor, values)


def test_a_tensor_with_nan_is_not_packed(tensor):
    tensor[3, 5] = float("nan")
    with pytest.raises(MessageError, match="NaN"):
        TensorFormat(80, 768, "int8").pack(tensor)


@pytest.mark.parametrize("each", tensor_formats(80, 768), ids=lambda each: each.name)
def test_every_format_comes_back(each, tensor):
    arrived = each.unpack(each.pack(tensor))
    assert arrived.shape == tensor.shape
    if each.values == "bf16":
        assert torch.equal(arrived, tensor.to(torch.bfloat16).float())
    else:  # half a step of each row's scale at most
        step = tensor.abs().amax(dim=1, keepdim=True) / 127
        assert ((arrived - tensor).abs() <= step * 0.5001).all()


def test_size_of_the_shape_is_that_of_any_tensor(tensor):
    for each in tensor_formats(80, 768):
        if not each.zstd:
            assert len(each.pack(tensor)) == len(each.blank())


def test_zstd_saves_on_bfloat16_exponents_and_much_on_zeros(tensor):
    packed = TensorFormat(80, 768, "bf16", zstd=True)
    assert len(packed.pack(torch.zeros(80, 768))) < 500
    assert len(packed.pack(tensor)) < len(TensorFormat(80, 768, "bf16").pack(tensor))


def test_a_row_of_zeros_stays_zero_in_int8():
    each = TensorFormat(2, 3, "int8")
    tensor = torch.tensor([[0.0, 0.0, 0.0], [1.0, -2.0, 0.5]])
    arrived = each.unpack(each.pack(tensor))
    assert arrived[0].tolist() == [0, 0, 0]
    # scale 2/127: 1.0 is 63.5 steps, rounded to the even 64
    assert arrived[1].tolist() == pytest.approx([64 * 2 / 127, -2.0, 32 * 2 / 127])


def test_another_shape_is_refused(tensor):
    with pytest.raises(ValueError, match="shape"):
        TensorFormat(40, 768, "bf16").pack(tensor)
    body = TensorFormat(80, 768, "bf16").pack(tensor)
    with pytest.raises(ValueError, match="a tensor of 80x768"):
        TensorFormat(40, 768, "bf16").unpack(body)


@given(st.binary(max_size=300), st.sampled_from(tensor_formats(4, 6)))
def test_foreign_bytes_are_refused_with_one_error(body, each):
    with pytest.raises(ValueError, match="no body"):
        each.unpack(body)


def test_a_zstd_frame_that_claims_too_much_is_not_unpacked():
    import zstandard

    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(80 * 2**20))
    with pytest.raises(ValueError, match="when unpacked"):
        TensorFormat(4, 6, "bf16", zstd=True).unpack(bomb)
