"""The projector: wire vectors become vectors of the LLM's width. The first thing that the cloud computes."""

from __future__ import annotations

from torch import Tensor, nn

NARROW = 1536  # up to this LLM width one layer does; also the hidden width for LLMs up to MIDDLE
MIDDLE = 2560  # Gemma 3 4B; also the hidden width for wider LLMs


class Projector(nn.Module):
    """Linear and LayerNorm for narrow LLMs, else Linear, ReLU, Linear, LayerNorm.

    The sizes are those of the authors' earlier public code (MCAT); the paper gives none.
    """

    def __init__(self, width: int, llm_width: int) -> None:
        super().__init__()
        self.width = width
        self.llm_width = llm_width
        hidden = hidden_width(llm_width)
        self.layers = nn.Sequential(
            *([nn.Linear(width, hidden), nn.ReLU()] if hidden else []),
            nn.Linear(hidden or width, llm_width),
            nn.LayerNorm(llm_width),
        )

    def forward(self, wire: Tensor) -> Tensor:
        """(batch, queries, width) in any precision -> (batch, queries, llm_width) in the weights' own."""
        vectors: Tensor = self.layers(wire.to(next(self.parameters()).dtype))
        return vectors


def hidden_width(llm_width: int) -> int | None:
    """Width of the hidden layer for an LLM of this width; None where there is no hidden layer."""
    if llm_width <= NARROW:
        return None
    return NARROW if llm_width <= MIDDLE else MIDDLE
