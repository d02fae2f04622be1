"""Whisper's weights under the names of `transformers`, from CTranslate2 or openai-whisper files.

Both readers return `WhisperTensors`: a state dict for `WhisperForConditionalGeneration` and the
sizes that the file itself states, checked against each other through the tensors' shapes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esrt_privacy.assets.ctranslate2 import CTranslate2File, read_ctranslate2
from esrt_privacy.errors import AssetError

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True)
class WhisperTensors:
    """A Whisper model as read: tensors by their `transformers` names, and its numbers of heads."""

    tensors: "dict[str, torch.Tensor]"
    encoder_heads: int
    decoder_heads: int

    def layers(self, half: str) -> int:
        """Layers of the `half`, "encoder" or "decoder"."""
        prefix = f"model.{half}.layers."
        numbers = {name[len(prefix) :].split(".")[0] for name in self.tensors if prefix in name}
        return len(numbers)


def tensors_of_ctranslate2(buffer: bytes | memoryview, where: str) -> WhisperTensors:
    """Reads a CTranslate2 Whisper model (float32 or float16); tensors share memory with `buffer`.

    Raises AssetError when the file is damaged, is not Whisper, or is quantised to integers.
    """
    file = read_ctranslate2(buffer, where)
    if file.spec != "WhisperSpec":
        raise AssetError(f"{where} holds a {file.spec}, not a Whisper model: give another file")
    take = _Taker(file, where)
    tensors: dict[str, torch.Tensor] = {}
    for half in ("encoder", "decoder"):
        tensors |= _outer_tensors(take, half)
        layer = 0
        while f"{half}/layer_{layer}/ffn/linear_0/weight" in file.tensors:
            tensors |= _layer_tensors(take, half, layer)
            layer += 1
    return WhisperTensors(
        tensors, take.integer("encoder/num_heads"), take.integer("decoder/num_heads")
    )


def tensors_of_openai(path: Path) -> WhisperTensors:
    """Reads a `.pt` file of openai-whisper without unpickling (`weights_only=True`).

    Raises AssetError when it is damaged, holds anything but tensors and numbers, or lacks
    `dims` and `model_state_dict`.
    """
    import torch

    try:
        checkpoint: Any = torch.load(path, map_location="cpu", weights_only=True)
        heads = checkpoint["dims"]["n_audio_head"], checkpoint["dims"]["n_text_head"]
        state: Mapping[str, torch.Tensor] = checkpoint["model_state_dict"]
        tensors = {_openai_name(name): tensor for name, tensor in state.items()}
    except Exception as error:  # torch.load raises a dozen kinds for damaged files
        raise AssetError(
            f"{path} is no openai-whisper model ({type(error).__name__}): fetch or copy it again"
        ) from error
    tensors.pop("", None)
    return WhisperTensors(tensors, int(heads[0]), int(heads[1]))


class _Taker:
    """Hands out tensors of a CTranslate2 file, with an error that names what is missing."""

    def __init__(self, file: CTranslate2File, where: str) -> None:
        self._file = file
        self._where = where

    def array(self, name: str) -> "np.ndarray":
        try:
            return self._file.tensors[name]
        except KeyError:
            raise AssetError(
                f"{self._where} lacks the tensor {name}: it is no Whisper model that can be read"
            ) from None

    def __call__(self, name: str) -> "torch.Tensor":
        import torch

        array = self.array(name)
        if array.dtype.kind != "f":
            raise AssetError(
                f"{self._where} is quantised to {array.dtype.name}: give a float16 or float32 one"
            )
        # A copy, since torch warns of read-only memory and the buffer may be a file's map.
        return torch.from_numpy(array.copy())

    def integer(self, name: str) -> int:
        array = self.array(name)
        if array.size != 1 or array.dtype.kind != "i":
            raise AssetError(f"{self._where} is damaged: {name} is no number; fetch it again")
        return int(array.reshape(())[()])


def _outer_tensors(take: _Taker, half: str) -> "dict[str, torch.Tensor]":
    ours, theirs = f"model.{half}.", f"{half}/"
    tensors = {
        ours + "embed_positions.weight": take(theirs + "position_encodings/encodings"),
        **_norm(take, ours + "layer_norm", theirs + "layer_norm"),
    }
    if half == "decoder":
        tensors[ours + "embed_tokens.weight"] = take(theirs + "embeddings/weight")
    else:
        for conv in ("conv1", "conv2"):
            tensors |= _linear(take, ours + conv, theirs + conv)
    return tensors


def _layer_tensors(take: _Taker, half: str, layer: int) -> "dict[str, torch.Tensor]":
    ours, theirs = f"model.{half}.layers.{layer}.", f"{half}/layer_{layer}/"
    tensors = {
        **_norm(take, ours + "self_attn_layer_norm", theirs + "self_attention/layer_norm"),
        **_split(take, ours + "self_attn.", ("q", "k", "v"), theirs + "self_attention/linear_0"),
        **_linear(take, ours + "self_attn.out_proj", theirs + "self_attention/linear_1"),
        **_norm(take, ours + "final_layer_norm", theirs + "ffn/layer_norm"),
        **_linear(take, ours + "fc1", theirs + "ffn/linear_0"),
        **_linear(take, ours + "fc2", theirs + "ffn/linear_1"),
    }
    if half == "decoder":
        cross = theirs + "attention/"
        tensors |= {
            **_norm(take, ours + "encoder_attn_layer_norm", cross + "layer_norm"),
            **_linear(take, ours + "encoder_attn.q_proj", cross + "linear_0"),
            **_split(take, ours + "encoder_attn.", ("k", "v"), cross + "linear_1"),
            **_linear(take, ours + "encoder_attn.out_proj", cross + "linear_2"),
        }
    return tensors


def _norm(take: _Taker, ours: str, theirs: str) -> "dict[str, torch.Tensor]":
    return {ours + ".weight": take(theirs + "/gamma"), ours + ".bias": take(theirs + "/beta")}


def _linear(take: _Taker, ours: str, theirs: str) -> "dict[str, torch.Tensor]":
    return {ours + ".weight": take(theirs + "/weight"), ours + ".bias": take(theirs + "/bias")}


def _split(
    take: _Taker, ours: str, parts: tuple[str, ...], theirs: str
) -> "dict[str, torch.Tensor]":
    """Undoes CTranslate2's stacking of projections; Whisper's keys have no bias (stored as 0)."""
    import torch

    weights = torch.chunk(take(theirs + "/weight"), len(parts))
    biases = torch.chunk(take(theirs + "/bias"), len(parts))
    tensors: dict[str, torch.Tensor] = {}
    for part, weight, bias in zip(parts, weights, biases, strict=False):
        # safetensors refuses tensors that share storage, hence the clones of the chunks.
        tensors[f"{ours}{part}_proj.weight"] = weight.clone()
        if part != "k":
            tensors[f"{ours}{part}_proj.bias"] = bias.clone()
    return tensors


# openai-whisper's module names and those of transformers, in the order of replacement.
_OPENAI_NAMES = (
    ("blocks.", "layers."),
    ("cross_attn_ln.", "encoder_attn_layer_norm."),
    ("attn_ln.", "self_attn_layer_norm."),
    ("mlp_ln.", "final_layer_norm."),
    ("cross_attn.", "encoder_attn."),
    (".attn.", ".self_attn."),
    (".query.", ".q_proj."),
    (".key.", ".k_proj."),
    (".value.", ".v_proj."),
    (".out.", ".out_proj."),
    ("mlp.0.", "fc1."),
    ("mlp.2.", "fc2."),
    ("ln_post.", "layer_norm."),
    ("decoder.ln.", "decoder.layer_norm."),
    ("token_embedding.", "embed_tokens."),
    ("encoder.positional_embedding", "encoder.embed_positions.weight"),
    ("decoder.positional_embedding", "decoder.embed_positions.weight"),
)


def _openai_name(name: str) -> str:
    """The name in transformers; empty for what it does not have (the causal mask)."""
    if name == "decoder.mask":
        return ""
    for theirs, ours in _OPENAI_NAMES:
        name = name.replace(theirs, ours)
    return "model." + name
