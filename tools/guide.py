"""Where the cross-attention of a Q-Former is told to look while it is warmed up.

Query i of n looks at the i-th part of the 30 s window, as far as there is speech, each head at its own slice of that
part, in order, and the layers at different times of a slice (guided attention, Tachibana, Uenoyama and Aihara 2018,
doi:10.1109/ICASSP.2018.8461829). The pull fades out; a network that has to find the order of 80 queries by itself
spends most of a short training on that, and does not carry what it finds over to longer speech.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from esrt_privacy.esrt.attention import by_heads
from esrt_privacy.esrt.config import ENCODER_FRAMES
from esrt_privacy.esrt.qformer import QFormer

WEIGHT = 5.0  # of the guide beside the CTC loss, before it fades out
WIDTH = 1.0  # how far beside its time a head may look at little cost, in slices


class Guide:
    """Computes again what the cross-attention of a Q-Former looked at, and how far off its place."""

    def __init__(self, qformer: QFormer) -> None:
        layers = [layer for layer in qformer.model.encoder.layer if layer.has_cross_attention]
        self._attentions = [layer.crossattention.attention for layer in layers]
        self._seen: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        for number, attention in enumerate(self._attentions):
            attention.register_forward_hook(partial(self._keep, number))

    def loss(
        self, frames: Tensor, speech: Tensor, queries: int, places: Tensor | None = None
    ) -> Tensor:
        """`frames` (batch, kept) by number, `speech` (batch,) in frames -> share of attention off its place, 0 to 1.

        The mean over layers, heads and the queries whose part of the window has speech in it. `places`: those of
        the `queries` that were computed, where not all were.
        """
        place = torch.arange(queries) if places is None else places
        losses = []
        for number, attention in enumerate(self._attentions):
            hidden, keys, mask = self._seen[number]
            if number:
                hidden = hidden.detach()  # what the first layer has read is not to serve as a place
            slices, layers = attention.heads, len(self._attentions)
            query = by_heads(attention.query(hidden), slices)
            key = by_heads(attention.key(keys), slices)
            scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
            weights = (scores.float() + mask).softmax(-1)
            part = ENCODER_FRAMES / queries
            begins = place * part
            width = part / slices
            inside = torch.arange(slices)[:, None] + (number + 0.5) / layers
            centres = begins + inside * width  # (slices, queries)
            off = (frames[:, None, None, :] + 0.5 - centres[:, :, None]) / (width * WIDTH)
            penalty = 1 - torch.exp(-(off**2) / 2)  # (batch, slices, queries, kept)
            each = (weights * penalty).sum(-1).mean(1)  # (batch, queries)
            spoken = begins < speech[:, None]
            losses.append(each[spoken].mean())
        return torch.stack(losses).mean()

    def _keep(
        self, number: int, module: nn.Module, asked: tuple[Tensor, Tensor, Tensor], _: object
    ) -> None:
        self._seen[number] = asked
