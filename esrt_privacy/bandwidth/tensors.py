"""Wire tensors as bytes: a safetensors container of bfloat16, or of int8 with a scale a row; zstd.

Sizes without zstd follow from the shape alone. What zstd saves depends on the values, and only real
tensors tell.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

ZSTD_LEVEL = 19  # the best that is practical: a tensor takes tens of milliseconds
MOST_BYTES = 64 * 2**20  # of a body that is unpacked

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

        Raises ValueError for another shape.
        """
        from safetensors.torch import save

        if tuple(tensor.shape) != (self.vectors, self.width):
            raise ValueError(f"a tensor of shape {tuple(tensor.shape)} for {self.name}")
        body = save(_as_int8(tensor) if self.values == "int8" else _as_bf16(tensor))
        if self.zstd:
            import zstandard

            body = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(body)
        if self.in_json:
            content = base64.b64encode(body).decode("ascii")
            body = json.dumps({"tensor": {"content": content}}, separators=(",", ":")).encode()
        return body

    def unpack(self, body: bytes) -> Tensor:
        """What arrives, float32 (vectors, width). Raises ValueError for a body of another make."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            if self.in_json:
                body = base64.b64decode(json.loads(body)["tensor"]["content"], validate=True)
            if self.zstd:
                body = _decompressed(body)
            parts = load(body)
            tensor = parts["tensor"].float()
            if self.values == "int8":
                tensor = tensor * parts["scale"].float()[:, None]
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"no body of {self.name}: {error}") from error
        if tuple(tensor.shape) != (self.vectors, self.width):
            raise ValueError(f"a tensor of shape {tuple(tensor.shape)} for {self.name}")
        return tensor

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


def _as_bf16(tensor: Tensor) -> dict[str, Tensor]:
    import torch

    return {"tensor": tensor.to(torch.bfloat16).contiguous()}


def _as_int8(tensor: Tensor) -> dict[str, Tensor]:
    """Symmetric: each row's largest magnitude becomes 127; a row of zeros keeps scale 1."""
    import torch

    rows = tensor.float()
    scale = rows.abs().amax(dim=1) / 127
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    values = (rows / scale[:, None]).round().clamp(-127, 127).to(torch.int8)
    return {"scale": scale.contiguous(), "tensor": values.contiguous()}


def _decompressed(body: bytes) -> bytes:
    import zstandard

    try:
        size = zstandard.frame_content_size(body)
        if not 0 <= size <= MOST_BYTES:
            raise ValueError(f"{size} bytes when unpacked")
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=MOST_BYTES)
    except zstandard.ZstdError as error:
        raise ValueError(f"no zstd frame ({error})") from error
