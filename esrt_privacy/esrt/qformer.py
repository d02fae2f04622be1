"""The Q-Former: learnable queries read the encoder's 1500 frames and become the wire tensor.

BLIP-2's Q-Former without its text half, by the weight names of `transformers`' Blip2QFormerModel; like `whisper`,
without what importing that brings along, and held against it by the tests.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from esrt_privacy.esrt.attention import attended, draw, draw_normal
from esrt_privacy.esrt.config import EncoderConfig, QFormerConfig

EPSILON = 1e-12  # of the norms, as in BLIP-2
DROPOUT = 0.1  # in training, as in BLIP-2


class Heads(nn.Module):
    """Queries of one width that ask states of another."""

    def __init__(self, config: QFormerConfig, asked: int) -> None:
        super().__init__()
        self.heads = config.heads
        self.query = nn.Linear(config.hidden, config.hidden)
        self.key = nn.Linear(asked, config.hidden)
        self.value = nn.Linear(asked, config.hidden)

    def forward(self, states: Tensor, asked: Tensor, mask: Tensor | None) -> Tensor:
        """(batch, queries, hidden) and (batch, positions, their width) -> (batch, queries, hidden)."""
        scale = (states.shape[-1] // self.heads) ** -0.5
        # Attention is never dropped: that has no fast kernel on a CPU.
        return attended(
            self.query(states), self.key(asked), self.value(asked), self.heads, scale, mask
        )


class Rejoined(nn.Module):
    """A linear layer whose result is added to what went in, and normed."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps=EPSILON)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, found: Tensor, states: Tensor) -> Tensor:
        """(batch, queries, width) and (batch, queries, hidden) -> the second's shape."""
        joined: Tensor = self.LayerNorm(self.dropout(self.dense(found)) + states)
        return joined


class Attention(nn.Module):
    """Queries among themselves, or on the frames."""

    def __init__(self, config: QFormerConfig, asked: int) -> None:
        super().__init__()
        self.attention = Heads(config, asked)
        self.output = Rejoined(config.hidden, config.hidden)

    def forward(self, states: Tensor, asked: Tensor, mask: Tensor | None) -> Tensor:
        """As `Heads`."""
        joined: Tensor = self.output(self.attention(states, asked, mask), states)
        return joined


class Widened(nn.Module):
    """The first half of a feed-forward."""

    def __init__(self, config: QFormerConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden, config.feed_forward)

    def forward(self, states: Tensor) -> Tensor:
        """(batch, queries, hidden) -> (batch, queries, feed-forward width)."""
        return gelu(self.dense(states))


class Layer(nn.Module):
    """Self-attention, attention on the frames in some layers, feed-forward."""

    def __init__(self, config: QFormerConfig, frames_width: int, reads_frames: bool) -> None:
        super().__init__()
        self.attention = Attention(config, config.hidden)
        self.has_cross_attention = reads_frames
        if reads_frames:
            self.crossattention = Attention(config, frames_width)
        self.intermediate_query = Widened(config)
        self.output_query = Rejoined(config.feed_forward, config.hidden)

    def forward(
        self, states: Tensor, frames: Tensor, mask: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        """(batch, queries, hidden) and (batch, frames, their width) -> (batch, queries, hidden)."""
        states = self.attention(states, states, mask)
        if self.has_cross_attention:
            states = self.crossattention(states, frames, bias)
        joined: Tensor = self.output_query(self.intermediate_query(states), states)
        return joined


class Layers(nn.Module):
    """The layers, by the name that their weights have in files."""

    def __init__(self, config: QFormerConfig, frames_width: int) -> None:
        super().__init__()
        every = config.cross_attention_frequency
        self.layer = nn.ModuleList(
            Layer(config, frames_width, k % every == 0) for k in range(config.layers)
        )


class Blip2QFormer(nn.Module):
    """Queries as given, normed, through the layers. Source: Li et al. 2023 (arXiv 2301.12597)."""

    def __init__(self, config: QFormerConfig, frames_width: int) -> None:
        super().__init__()
        self.layernorm = nn.LayerNorm(config.hidden, eps=EPSILON)
        self.dropout = nn.Dropout(DROPOUT)
        self.encoder = Layers(config, frames_width)
        self.apply(draw)

    def forward(
        self, queries: Tensor, frames: Tensor, mask: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        """(batch, queries, hidden) and (batch, frames, their width) -> (batch, queries, hidden)."""
        states: Tensor = self.dropout(self.layernorm(queries))
        frames = frames.to(states.dtype)
        for layer in self.encoder.layer:
            states = layer(states, frames, mask, bias)
        return states


class QFormer(nn.Module):
    """BLIP-2's Q-Former with one or more sets of queries that share its weights."""

    def __init__(self, config: QFormerConfig, encoder: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Blip2QFormer(config, encoder.width)
        self.queries = nn.ParameterDict(
            {
                str(count): nn.Parameter(torch.empty(1, count, config.hidden))
                for count in config.query_sets
            }
        )
        for query in self.queries.values():
            draw_normal(query, config.query_deviation)

    def forward(
        self,
        frames: Tensor,
        queries: int,
        bias: Tensor | None = None,
        some: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """`frames` (batch, 1500, encoder width), a set of queries -> (batch, queries, hidden).

        For training: `bias` (batch, 1, 1, frames) is added to the attention on the frames, -inf for
        frames that are not there; `some` are the places (n,) of the only queries that are computed,
        and what is added (n,) to the others' attention on each.
        """
        query = self.queries[str(queries)]
        mask = None
        if some is not None:
            places, added = some
            query = query[:, places]
            mask = added.expand(len(frames), 1, len(places), len(places))
        output: Tensor = self.model(query.expand(len(frames), -1, -1), frames, mask, bias)
        return output
