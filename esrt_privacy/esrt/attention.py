"""What the edge's two transformers share: attention by heads, and weights as their authors draw them."""

from __future__ import annotations

from torch import Tensor, nn

INITIAL_DEVIATION = 0.02  # of Whisper's and BLIP-2's weights before training


def by_heads(states: Tensor, heads: int) -> Tensor:
    """(batch, positions, width) -> (batch, heads, positions, width / heads)."""
    return states.unflatten(-1, (heads, -1)).transpose(1, 2)


def attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    heads: int,
    scale: float,
    mask: Tensor | None = None,
) -> Tensor:
    """What each position of `query` gathers, of (batch, positions, width) each, the width shared out among the heads.

    `mask` (batch, 1, positions of the query, of the key), any of them 1, is added to the scores. Returns the query's
    shape.
    """
    query, key, value = (by_heads(part, heads) for part in (query, key, value))
    found = nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, scale=scale
    )
    return found.transpose(1, 2).flatten(2)


def draw(module: nn.Module) -> None:
    """Draw a layer's weights before training: normal, biases zero, norms as they are."""
    if isinstance(module, nn.Linear | nn.Conv1d):
        draw_normal(module.weight, INITIAL_DEVIATION)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def draw_normal(weight: Tensor, deviation: float) -> None:
    """Fill `weight` with draws; one without storage (`meta`) waits for its file.

    torch would draw the latter, too, by importing the compiler that `whisper` does without.
    """
    if not weight.is_meta:
        nn.init.normal_(weight, std=deviation)
