"""Tensors as bytes: exact in bfloat16, bounded in the other precisions, and nothing else is read."""

import json
import random
import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from esrt_privacy.wire.errors import MessageError
from esrt_privacy.wire.tensors import DTYPES, WireShape, decode_tensor, encode_tensor

SHAPE = WireShape(8, 24)


@pytest.fixture
def tensor():
    return torch.randn(8, 24, generator=torch.Generator().manual_seed(0)).bfloat16()


def file_of(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def test_bfloat16_arrives_bit_for_bit(tensor):
    arrived = decode_tensor(encode_tensor(tensor), SHAPE)
    assert arrived.dtype == torch.bfloat16
    assert torch.equal(arrived, tensor)


def test_float16_keeps_ten_bits_of_each_value(tensor):
    arrived = decode_tensor(encode_tensor(tensor, "fp16"), SHAPE)
    assert torch.allclose(arrived, tensor.float(), rtol=2**-10, atol=1e-7)


def test_int8_is_off_by_half_a_step_of_its_vector_at_most(tensor):
    tensor[3] = 0  # a silent vector has no scale
    arrived = decode_tensor(encode_tensor(tensor, "int8"), SHAPE)
    step = tensor.float().abs().amax(1, keepdim=True) / 127
    assert ((arrived - tensor.float()).abs() <= 0.5001 * step).all()


def test_the_papers_tensor_costs_80_bytes_more_than_its_values():
    tensor = torch.zeros(80, 768)
    assert [len(encode_tensor(tensor, dtype)) for dtype in DTYPES] == [122_960, 122_952, 61_896]
    assert all(len(encode_tensor(tensor, d)) <= WireShape(80, 768).most_bytes([d]) for d in DTYPES)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_infinity_are_not_sent(tensor, dtype):
    for value in (float("nan"), float("inf")):
        tensor[0, 0] = value
        with pytest.raises(MessageError, match="NaN or infinity"):
            encode_tensor(tensor, dtype)


def test_nan_and_infinity_are_not_taken(tensor):
    tensor[0, 0] = float("nan")
    with pytest.raises(MessageError, match="NaN or infinity"):
        decode_tensor(save({"t": tensor}), SHAPE)
    scales = torch.full((8, 1), float("inf"))
    with pytest.raises(MessageError, match="NaN or infinity"):
        decode_tensor(save({"t": torch.ones(8, 24, dtype=torch.int8), "s": scales}), SHAPE)


def test_beyond_float16_is_said_rather_than_sent_as_infinity():
    with pytest.raises(MessageError, match="as fp16"):
        encode_tensor(torch.full((8, 24), 1e6), "fp16")


def test_another_shape_or_precision_is_named(tensor):
    with pytest.raises(MessageError, match=r"a tensor of 8x24: this cloud reads 80x768"):
        decode_tensor(encode_tensor(tensor), WireShape(80, 768))
    with pytest.raises(MessageError, match="a tensor in int8: this cloud reads bf16, fp16"):
        decode_tensor(encode_tensor(tensor, "int8"), SHAPE, ("bf16", "fp16"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234567",
        struct.pack("<Q", 2**63) + b"{}",
        file_of(b"{" + b" " * 600 + b"}"),
        file_of(b"[" * 500),
        file_of(b"[]"),
        file_of(b"\xff\xfe"),
        file_of({"t": {"dtype": "BF16", "shape": [8], "data_offsets": [0, 16]}}, bytes(16)),
        file_of({"t": {"dtype": "BF16", "shape": [8, -1], "data_offsets": [0, 16]}}, bytes(16)),
        file_of({"t": {"dtype": "BF16", "shape": [8, 24], "data_offsets": [0, 384]}}, bytes(383)),
        file_of({"t": {"dtype": "BF16", "shape": [8, 24], "data_offsets": [0, 384.0]}}, bytes(384)),
        file_of({"t": {"dtype": "BF16", "shape": [65536] * 2, "data_offsets": [0, 2**33]}}),
        file_of({"t": {"dtype": "BF16", "shape": [10**30, 1], "data_offsets": [0, 1]}}, b"0"),
        file_of({"x": {"dtype": "BF16", "shape": [8, 24], "data_offsets": [0, 384]}}, bytes(384)),
        file_of({"t": {"dtype": "F64", "shape": [8, 24], "data_offsets": [0, 1536]}}, bytes(1536)),
        save({"t": torch.zeros(8, 24)}),
        save({"t": torch.zeros(8, 24).bfloat16(), "u": torch.zeros(1)}),
        save({"t": torch.zeros(8, 24).bfloat16()}, {"about": "somebody"}),
    ],
)
def test_what_is_no_tensor_of_ours_is_refused(data):
    for shape in (SHAPE, None):
        with pytest.raises(MessageError) as error:
            decode_tensor(data, shape)
        assert "\n" not in str(error.value)


@given(st.binary(max_size=600))
def test_any_bytes_are_refused_as_tensors(data):
    with pytest.raises(MessageError):
        decode_tensor(data)


def test_mutated_tensors_are_read_in_the_shape_that_was_asked_or_refused(tensor):
    draw = random.Random(1)
    whole = {dtype: encode_tensor(tensor, dtype) for dtype in DTYPES}
    read = 0
    for _ in range(3000):
        data = bytearray(whole[draw.choice(DTYPES)])
        for _ in range(draw.randint(1, 3)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            arrived = decode_tensor(bytes(data[: draw.randrange(len(data)) or None]), SHAPE)
        except MessageError:
            continue
        assert arrived.shape == (8, 24) and torch.isfinite(arrived).all()
        read += 1
    for _ in range(500):  # in the values alone nearly every change is another tensor
        data = bytearray(whole["bf16"])
        data[draw.randrange(100, len(data))] = draw.randrange(256)
        try:
            read += decode_tensor(bytes(data), SHAPE).shape == (8, 24)
        except MessageError as error:
            assert "NaN or infinity" in str(error)
    assert read > 400
