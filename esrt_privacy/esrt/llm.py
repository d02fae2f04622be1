"""The LLM in the cloud: loaded without a vision encoder, with LoRA and trainable rows for the language tags.

The paper gives r = 16 and alpha = 32 and not which layers; every linear layer of the decoder has one here.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from esrt_privacy.assets import llm_folder
from esrt_privacy.errors import AssetError, SystemUnavailable, shown
from esrt_privacy.quiet import without_loading_bars, without_peft_deprecation

if TYPE_CHECKING:
    from esrt_privacy.esrt.language_tags import Tags

ADAPTER = "default"  # peft's own name of the only adapter


def load_llm(name: str, weights: Path | None, dtype: torch.dtype) -> tuple[Any, Any]:
    """A causal LLM in evaluation mode, its weights in `dtype`, and its tokenizer.

    `name` is an asset, a name of the hub or a folder; `weights` a folder to look in first. Of a multimodal checkpoint
    only the language model is kept. Raises AssetError where it is not to be had or damaged.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = llm_folder(name, weights)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        with without_loading_bars():
            llm = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise AssetError(
            f"{folder}: cannot be read as a language model ({shown(error)})"
        ) from error
    return text_model(llm).eval(), tokenizer


def text_model(llm: Any) -> Any:
    """The language model of a multimodal checkpoint, vision encoder removed; any other LLM itself.

    The weights are shared, not copied. Raises SystemUnavailable for a layout that is not Gemma 3's.
    """
    from transformers import AutoModelForCausalLM

    config = llm.config.get_text_config()
    if config is llm.config:
        return llm
    decoder = getattr(llm.model, "language_model", None)
    if decoder is None or not hasattr(llm, "lm_head"):
        raise SystemUnavailable(
            f"{type(llm).__name__}: its language model cannot be told from the rest; use a text-only checkpoint"
        )
    with torch.device("meta"):
        alone = AutoModelForCausalLM.from_config(config)
    alone.model, alone.lm_head = decoder, llm.lm_head
    if llm.generation_config is not None:
        alone.generation_config = copy.deepcopy(llm.generation_config)
    return alone


def with_adapters(llm: Any, tags: Tags, rank: int, alpha: int) -> Any:
    """A PeftModel with LoRA on every linear layer and trainable rows for the tags, tied head included.

    As it is made it changes nothing: LoRA starts at zero, the rows start as they are.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules="all-linear",
        trainable_token_indices=list(tags.all_ids),
        task_type="CAUSAL_LM",
    )
    with without_peft_deprecation():
        return get_peft_model(llm, config)


def train_only(llm: Any, lora: bool, tags: bool) -> None:
    """Let LoRA and the tags' rows be trained, or not; all else of the LLM is frozen."""
    for name, weight in llm.named_parameters():
        weight.requires_grad_(
            (lora and ".lora_" in name) or (tags and "trainable_tokens_delta" in name)
        )


def merged(llm: Any) -> Any:
    """A copy of the LLM with LoRA and the tags' rows in its own weights; `llm` stays as it is."""
    return copy.deepcopy(llm).merge_and_unload()


def adapter_state(llm: Any) -> dict[str, Tensor]:
    """LoRA and the tags' rows by name, as `load_adapter_state` takes them."""
    from peft import get_peft_model_state_dict

    state: dict[str, Tensor] = get_peft_model_state_dict(
        llm, adapter_name=ADAPTER, save_embedding_layers=False
    )
    return state


def load_adapter_state(llm: Any, state: dict[str, Tensor]) -> None:
    """Put LoRA and tag rows into an LLM with adapters. Raises ValueError for those of another LLM."""
    from peft import set_peft_model_state_dict

    own = adapter_state(llm)
    foreign = sorted(own.keys() ^ state.keys())
    if foreign:
        raise ValueError(f"{len(foreign)} weights are missing or unknown, the first: {foreign[0]}")
    for name, weight in own.items():
        if weight.shape != state[name].shape:
            raise ValueError(f"{name}: {tuple(state[name].shape)} instead of {tuple(weight.shape)}")
    set_peft_model_state_dict(llm, state, adapter_name=ADAPTER)
