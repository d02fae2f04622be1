"""The Q-Former: learnable queries read the encoder's 1500 frames and become the wire tensor."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import Blip2QFormerConfig, Blip2QFormerModel

from esrt_privacy.esrt.config import EncoderConfig, QFormerConfig


class QFormer(nn.Module):
    """`transformers`' Blip2QFormerModel with one or more sets of queries that share its weights."""

    def __init__(self, config: QFormerConfig, encoder: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Blip2QFormerModel(
            Blip2QFormerConfig(
                hidden_size=config.hidden,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                intermediate_size=config.feed_forward,
                cross_attention_frequency=config.cross_attention_frequency,
                encoder_hidden_size=encoder.width,
                attention_probs_dropout_prob=0.0,  # dropped attention has no fast kernel on a CPU
                attn_implementation="sdpa",  # type: ignore[call-arg]  # taken by **kwargs
            )
        )
        self.queries = nn.ParameterDict(
            {
                str(count): nn.Parameter(
                    torch.randn(1, count, config.hidden) * config.query_deviation
                )
                for count in config.query_sets
            }
        )

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
        output: Tensor = self.model(
            query_embeds=query.expand(len(frames), -1, -1),
            attention_mask=mask,
            encoder_hidden_states=frames,
            encoder_attention_mask=bias,
        ).last_hidden_state
        return output
