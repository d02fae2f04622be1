"""The vectors of a few tokens, without the LLM that they belong to: for a cloud whose LLM runs in another process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from esrt_privacy.errors import AssetError, shown
from esrt_privacy.esrt.vocabulary import context_of, embedded

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"  # which file holds which weight, where there are several
_MOST_INDEX_BYTES = 64 << 20


@dataclass(frozen=True)
class TokenRows:
    """What the LLM reads for these tokens, scaled as it scales them, in its checkpoint's precision."""

    ids: tuple[int, ...]
    vectors: Tensor  # (tokens, llm width)
    context: int | None  # positions that the LLM reads at most

    def of(self, ids: Sequence[int]) -> Tensor:
        """(tokens, llm width). Raises KeyError for a token that is not among them."""
        places = {token: place for place, token in enumerate(self.ids)}
        return self.vectors[[places[token] for token in ids]]


def read_token_rows(folder: Path, ids: Sequence[int]) -> TokenRows:
    """Rows of the input embedding out of an LLM's folder (config.json, safetensors); no other weight is read.

    Raises AssetError, naming the file, where they cannot be read.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    wanted = tuple(dict.fromkeys(ids))
    try:
        config = AutoConfig.from_pretrained(folder).get_text_config()
        # The architecture's own embedding, which knows how it scales; everything else is left away.
        config.num_hidden_layers, config.layer_types = 0, []
        config.vocab_size, config.pad_token_id = len(wanted), None
        model = AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise AssetError(f"{folder}: not a language model's folder ({shown(error)})") from error
    module = model.get_input_embeddings()
    (name,) = (name for name, found in model.named_modules() if found is module)
    rows = _read_rows(folder, f"{name}.weight", wanted)
    if rows.shape != module.weight.shape:
        raise AssetError(
            f"{folder}: an embedding of width {rows.shape[-1]}, not as config.json says"
        )
    module.to(rows.dtype)
    with torch.inference_mode():
        module.weight.copy_(rows)
        vectors = embedded(model, torch.arange(len(wanted)))
    return TokenRows(wanted, vectors, context_of(model))


def _read_rows(folder: Path, name: str, ids: Sequence[int]) -> Tensor:
    from safetensors import SafetensorError, safe_open

    path = _file_of(folder, name)
    try:
        with safe_open(path, framework="pt") as file:
            weight: Any = file.get_slice(name)
            count = weight.get_shape()[0]
            if max(ids) >= count:
                raise AssetError(f"{path}: {name} has {count} rows; the tokenizer has more tokens")
            return torch.cat([weight[token : token + 1] for token in ids])
    except (OSError, SafetensorError) as error:
        raise AssetError(f"{path}: {name} cannot be read ({shown(error)})") from error


def _file_of(folder: Path, name: str) -> Path:
    """The file that holds a weight: the only one, or as the index says."""
    index = folder / _INDEX
    if (folder / _WEIGHTS).is_file() or not index.is_file():
        return folder / _WEIGHTS
    try:
        if index.stat().st_size > _MOST_INDEX_BYTES:
            raise ValueError("it is too long")
        file = json.loads(index.read_bytes())["weight_map"][name]
        if Path(file).name != file:
            raise ValueError("it names a file elsewhere")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise AssetError(f"{index}: does not say where {name} is ({shown(error)})") from error
    return folder / file
