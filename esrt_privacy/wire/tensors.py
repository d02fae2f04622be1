"""One recording's tensor as safetensors bytes: bfloat16 as ESRT sends it, float16 or int8 as options."""

from __future__ import annotations

import json
import struct
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esrt_privacy.wire.errors import MessageError

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = ("bf16", "fp16", "int8")
MOST_HEADER_BYTES = 512  # of the JSON that a safetensors file begins with
LARGEST_AXIS = 65_536  # vectors, or width

_LENGTH = struct.Struct("<Q")
_VALUES, _SCALES = "t", "s"  # names in the file; short, since they are sent each time
_STORED = {"bf16": "BF16", "fp16": "F16", "int8": "I8"}
_VALUE_BYTES = {"bf16": 2, "fp16": 2, "int8": 1}
_LARGEST_INT8 = 127


@dataclass(frozen=True)
class WireShape:
    """What one recording's tensor looks like."""

    vectors: int
    width: int

    def __str__(self) -> str:
        return f"{self.vectors}x{self.width}"

    def most_bytes(self, dtypes: Collection[str] = DTYPES) -> int:
        """The longest encoding in one of `dtypes`, safetensors header included."""
        values = max(_VALUE_BYTES[dtype] for dtype in dtypes) * self.vectors * self.width
        scales = 4 * self.vectors if "int8" in dtypes else 0
        return _LENGTH.size + MOST_HEADER_BYTES + values + scales


def encode_tensor(tensor: Tensor, dtype: str = "bf16") -> bytes:
    """(vectors, width) -> safetensors bytes in one of DTYPES.

    int8 keeps one float32 scale for each vector, its largest magnitude over 127. Raises MessageError for a tensor of
    another rank, with NaN or infinity in it, or beyond float16's range.
    """
    import torch
    from safetensors.torch import save

    if dtype not in DTYPES:
        raise MessageError(f"unknown wire dtype '{dtype}': one of {', '.join(DTYPES)}")
    if tensor.ndim != 2 or not tensor.numel():
        raise MessageError(f"a tensor of shape {tuple(tensor.shape)}: one recording has two axes")
    values = tensor.detach().cpu()
    if dtype != "int8":
        values = values.to(torch.bfloat16 if dtype == "bf16" else torch.float16)
    if not torch.isfinite(values).all():
        raise MessageError(f"a tensor with NaN or infinity in it as {dtype}: it was not sent")
    if dtype != "int8":
        return bytes(save({_VALUES: values.contiguous()}))
    scales = values.float().abs().amax(1, keepdim=True) / _LARGEST_INT8
    steps = values.float() / scales.clamp(min=torch.finfo(torch.float32).tiny)
    return bytes(save({_VALUES: steps.round().to(torch.int8), _SCALES: scales}))


def decode_tensor(
    data: bytes, shape: WireShape | None = None, dtypes: Collection[str] = DTYPES
) -> Tensor:
    """Bytes of a peer -> (vectors, width), bfloat16 as sent, else float32.

    The header is held against `shape` (None: any, bounded) and `dtypes` before a value is touched. Raises MessageError.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    found, dtype = _described(data)
    if shape is not None and found != shape:
        raise MessageError(f"a tensor of {found}: this cloud reads {shape} (vectors x width)")
    if dtype not in dtypes:
        raise MessageError(f"a tensor in {dtype}: this cloud reads {', '.join(dtypes)}")
    try:
        parts = load(data)
    except SafetensorError as error:
        raise MessageError("a tensor that safetensors cannot read") from error
    values = parts[_VALUES]
    if tuple(values.shape) != (found.vectors, found.width):
        raise MessageError("a tensor whose safetensors header names it twice")
    if dtype == "int8":
        values = values.float() * parts[_SCALES]
    if not torch.isfinite(values).all():
        raise MessageError("a tensor with NaN or infinity in it: send it again")
    return values if dtype == "bf16" else values.float()


def _described(data: bytes) -> tuple[WireShape, str]:
    """Shape and dtype by the header, which must be, to the last number, what `encode_tensor` writes."""
    header = _header(data)
    rest = len(data) - _LENGTH.size - _LENGTH.unpack_from(data)[0]
    values = header.get(_VALUES)
    shape = values.get("shape") if isinstance(values, dict) else None
    if not isinstance(shape, list) or not _is_size(shape):
        raise MessageError("a tensor that is not one recording's (vectors, width)")
    found = WireShape(*shape)
    for dtype in DTYPES:
        expected, size = _expected(found, dtype)
        if header == expected and rest == size:
            return found, dtype
    raise MessageError("a tensor whose safetensors header does not fit its bytes")


def _header(data: bytes) -> dict[str, object]:
    if len(data) < _LENGTH.size:
        raise MessageError("a tensor without a safetensors header")
    length = _LENGTH.unpack_from(data)[0]
    if not 2 <= length <= min(MOST_HEADER_BYTES, len(data) - _LENGTH.size):
        raise MessageError("a tensor whose safetensors header is too long")
    try:
        header = json.loads(data[_LENGTH.size : _LENGTH.size + length])
    except (ValueError, RecursionError) as error:
        raise MessageError("a tensor whose safetensors header is no JSON") from error
    if not isinstance(header, dict):
        raise MessageError("a tensor whose safetensors header is no object")
    return header


def _is_size(shape: list[object]) -> bool:
    return len(shape) == 2 and all(type(n) is int and 0 < n <= LARGEST_AXIS for n in shape)


def _expected(shape: WireShape, dtype: str) -> tuple[dict[str, object], int]:
    """The header of a tensor, and the bytes after it. safetensors puts wider types first."""
    values = _VALUE_BYTES[dtype] * shape.vectors * shape.width
    sizes = [shape.vectors, shape.width]
    if dtype != "int8":
        return {_VALUES: _entry(_STORED[dtype], sizes, 0, values)}, values
    scales = 4 * shape.vectors
    return {
        _SCALES: _entry("F32", [shape.vectors, 1], 0, scales),
        _VALUES: _entry("I8", sizes, scales, scales + values),
    }, scales + values


def _entry(stored: str, shape: list[int], start: int, end: int) -> dict[str, object]:
    return {"dtype": stored, "shape": shape, "data_offsets": [start, end]}
