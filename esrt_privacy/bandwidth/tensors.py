"""Wire tensors as bodies: the wire's own container (`wire/tensors.py`) in bfloat16 or int8; zstd, JSON.

Sizes without zstd follow from the shape alone. What zstd saves depends on the values, and only real
tensors tell. The wire itself knows neither zstd nor JSON: they are here to be compared.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from esrt_privacy.wire.errors import MessageError
from esrt_privacy.wire.tensors import WireShape, decode_tensor, encode_tensor

if TYPE_CHECKING:
    from torch import Tensor

ZSTD_LEVEL = 19  # the best that is practical: a tensor takes tens of milliseconds
MOST_BYTES = 64 * 2**20  # of a body that is unpacked
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878, section 3.1.1

Values = Literal["bf16", "int8"]


@dataclass(frozen=True)
class TensorFormat:
    """One way to send a tensor (vectors, width)."""

    vectors: int
    width: int
    values: Values
    zstd: bool = False
    in_json: bool = False  # base64 within JSON, for a comparison with cloud APIs on equal terms

    @property
    def name(self) -> str:
        """For example tensor-80x768-int8-zstd."""
        endings = ("-zstd" if self.zstd else "") + ("-json" if self.in_json else "")
        return f"tensor-{self.vectors}x{self.width}-{self.values}{endings}"

    @property
    def says(self) -> str:
        """In words, for a reader."""
        values = {"bf16": "bfloat16", "int8": "int8 with a scale a row"}[self.values]
        endings = (", zstd" if self.zstd else "") + (", base64 in JSON" if self.in_json else "")
        return f"ESRT tensor {self.vectors}×{self.width}, {values}{endings}"

    def pack(self, tensor: Tensor) -> bytes:
        """A tensor (vectors, width) of any floating dtype as the body of a request.

        Raises ValueError for another shape, MessageError for NaN or infinity, which are not sent.
        """
        if tuple(tensor.shape) != (self.vectors, self.width):
            raise ValueError(f"a tensor of shape {tuple(tensor.shape)} for {self.name}")
        body = encode_tensor(tensor, self.values)
        if self.zstd:
            import zstandard

            body = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(body)
        if self.in_json:
            content = base64.b64encode(body).decode("ascii")
            body = json.dumps({"tensor": {"content": content}}, separators=(",", ":")).encode()
        return body

    def unpack(self, body: bytes) -> Tensor:
        """What arrives, float32 (vectors, width). Raises ValueError for a body of another make."""
        shape = WireShape(self.vectors, self.width)
        try:
            if self.in_json:
                body = base64.b64decode(json.loads(body)["tensor"]["content"], validate=True)
            if self.zstd:
                body = decompressed(body)
            return decode_tensor(body, shape, (self.values,)).float()
        except (MessageError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no body of {self.name}: {error}") from error

    def blank(self) -> bytes:
        """The body of a tensor of zeros. Without zstd it is as long as that of any other."""
        import torch

        return self.pack(torch.zeros(self.vectors, self.width))


def tensor_formats(vectors: int, width: int) -> tuple[TensorFormat, ...]:
    """All ways to send a tensor of this shape."""
    return (
        TensorFormat(vectors, width, "bf16", in_json=True),
        TensorFormat(vectors, width, "bf16"),
        TensorFormat(vectors, width, "bf16", zstd=True),
        TensorFormat(vectors, width, "int8"),
        TensorFormat(vectors, width, "int8", zstd=True),
    )


def decompressed(body: bytes) -> bytes:
    """What a zstd frame of at most MOST_BYTES holds. Raises ValueError for any other bytes."""
    import zstandard

    try:
        size = zstandard.frame_content_size(body)
        if not 0 <= size <= MOST_BYTES:
            raise ValueError(f"{size} bytes when unpacked")
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=MOST_BYTES)
    except zstandard.ZstdError as error:
        raise ValueError(f"no zstd frame ({error})") from error
