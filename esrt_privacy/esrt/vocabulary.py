"""The LLM's rows for tokens, its head and embedding, without copying the whole vocabulary.

peft writes trained token rows into a copy of the embedding at every pass (Gemma 3 270M: 0.7 GB, once for the input
and once for the head) and computes the gradient of all of it. Here the frozen rows stay where they are, and only the
trained ones are put in their places. The results are the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from esrt_privacy.errors import SystemUnavailable

# What some causal LLMs do to their logits, which `logits` does not.
_SCALINGS = ("logit_scale", "logits_scaling")


def base_model(llm: Any) -> Any:
    """The `transformers` model inside a PeftModel, its adapters in place; any other model itself."""
    return llm.get_base_model() if hasattr(llm, "get_base_model") else llm


def embedded(llm: nn.Module, ids: Tensor) -> Tensor:
    """Token ids (any shape) -> the vectors that the LLM reads (..., width), scaled as it scales them."""
    module = base_model(llm).get_input_embeddings()
    frozen, trained = _parts(module)
    vectors: Tensor = frozen(ids)
    if trained is None:
        return vectors
    tokens, rows = trained
    scale = getattr(frozen, "embed_scale", None)
    if scale is not None:
        rows = rows * torch.as_tensor(scale, device=rows.device).to(rows.dtype)
    is_trained = torch.isin(ids, tokens)
    return vectors.index_put((is_trained,), rows[torch.searchsorted(tokens, ids[is_trained])])


def logits(llm: nn.Module, hidden: Tensor, vocabulary: Tensor | None = None) -> Tensor:
    """Last hidden states (n, width) -> logits of every token, or of the sorted ids in `vocabulary`.

    Raises SystemUnavailable for an LLM that scales its logits (none of the Gemma family does).
    """
    base = base_model(llm)
    config = base.config.get_text_config()
    for name in _SCALINGS:
        if getattr(config, name, None) not in (None, 1):
            raise SystemUnavailable(
                f"{type(base).__name__} scales its logits ({name}): use another LLM"
            )
    frozen, trained = _parts(base.get_output_embeddings())
    weight, bias = frozen.weight, getattr(frozen, "bias", None)
    if vocabulary is not None:
        weight, bias = weight[vocabulary], None if bias is None else bias[vocabulary]
    found = nn.functional.linear(hidden, weight, bias)
    if trained is not None:
        tokens, rows = trained
        if vocabulary is None:
            columns = tokens
        else:
            known = torch.isin(tokens, vocabulary)
            columns, rows = torch.searchsorted(vocabulary, tokens[known]), rows[known]
        biases = None if bias is None else bias[columns]
        found = found.index_copy(1, columns, nn.functional.linear(hidden, rows, biases))
    cap = getattr(config, "final_logit_softcapping", None)
    return found if cap is None else torch.tanh(found / cap) * cap


def _parts(module: Any) -> tuple[Any, tuple[Tensor, Tensor] | None]:
    """A frozen embedding or head, and the ids (sorted) and rows that peft trains in it, if any."""
    adapter = getattr(module, "token_adapter", None)
    if adapter is None:
        return module, None
    frozen = adapter.get_base_layer()
    if adapter.merged or adapter.disable_adapters or not adapter.active_adapters:
        return frozen, None
    (name,) = adapter.active_adapters
    rows = adapter.trainable_tokens_delta[name].to(frozen.weight)
    tokens, order = torch.tensor(adapter.token_indices[name], device=rows.device).sort()
    return frozen, (tokens, rows[order])


def context_of(llm: nn.Module) -> int | None:
    """How many positions the LLM reads at most, where its configuration says so."""
    found = getattr(base_model(llm).config.get_text_config(), "max_position_embeddings", None)
    return None if found is None else int(found)


def special_id(tokenizer: Any, name: str) -> int:
    """The id of <bos> or <eos>. Raises SystemUnavailable for a tokenizer without it."""
    found = getattr(tokenizer, f"{name}_token_id")
    if found is None:
        raise SystemUnavailable(f"the LLM's tokenizer has no <{name}>: use another LLM")
    return int(found)
