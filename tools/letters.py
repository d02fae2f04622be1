"""What the warm-up starts from: letters read from the encoder's frames by one linear map, put into a Q-Former.

CTC from random weights spends thousands of steps on finding letters at all, once for every one of the 48 places that a
query's outputs have. Here a linear map (512 -> 56 -> characters) finds them first, on frames averaged to the head's
1280 steps; that takes two minutes. Its first half becomes the value projection of each head in the first
cross-attention, whose heads read consecutive slices of time; its second half becomes the throw-away head. What is left
to be learned is where to look, and everything beyond a linear map.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import alphabet
import ctc
import torch
from torch import Tensor, nn

from esrt_privacy.esrt.config import WINDOW_SECONDS, SystemConfig
from esrt_privacy.esrt.qformer import QFormer

LEARNING_RATE = 4e-3
PADDING = 1.0  # s behind the speech that are read too: what is no speech is blank
SLICE_SPREAD = 0.7  # in slices: how far a step of the head looks beside its own time
PLACE_WIDTH = 8  # dimensions of each head that hold no code: what a query knows of its place has room of its own
# Codes of deviation 1 that two layers have added, after the norms: measured on neighbouring frames, which are alike.
CODE_LEFT = 0.9


class Letters(nn.Module):
    """Frames to characters by two linear maps; the frames are brought to deviation 1 by those given."""

    def __init__(self, frames: Tensor, code: int) -> None:
        super().__init__()
        self.middle = nn.Buffer(frames.flatten(0, 1).mean(0))
        self.deviation = nn.Buffer(frames.flatten(0, 1).std(0))
        self.code = nn.Linear(frames.shape[-1], code)
        self.spell = nn.Linear(code, alphabet.SIZE)
        nn.init.constant_(self.spell.bias[alphabet.BLANK : 1], 2.0)  # most steps are blank

    def codes(self, frames: Tensor) -> Tensor:
        """(..., width) -> (..., code)."""
        found: Tensor = self.code((frames - self.middle) / self.deviation)
        return found

    def forward(self, frames: Tensor) -> Tensor:
        """(batch, 1500, width) -> log probabilities (batch, 1280, characters + blank)."""
        pooled = nn.functional.adaptive_avg_pool1d(frames.transpose(1, 2), ctc.CTC_STEPS)
        return self.spell(self.codes(pooled.transpose(1, 2))).log_softmax(-1)


def learn(
    examples: list[ctc.Example],
    frames_of: Callable[[str], Tensor],
    spoken: Tensor,
    config: SystemConfig,
    options: ctc.Options,
) -> Letters:
    """Train the two maps by CTC, with a code as wide as one head of the Q-Former."""
    torch.manual_seed(options.seed)
    size = config.qformer.hidden // config.qformer.heads
    letters = Letters(spoken, size - PLACE_WIDTH)
    optimiser = torch.optim.AdamW(letters.parameters(), LEARNING_RATE, weight_decay=1e-4)
    steps = options.letter_steps
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    began, losses = time.time(), []
    for step, rows in zip(
        range(steps), ctc.batches(examples, options.batch, options.seed), strict=False
    ):
        frames = torch.stack([frames_of(e.key) for e in rows]).float()
        seconds = torch.tensor([e.seconds for e in rows]) + PADDING
        lengths = (seconds / WINDOW_SECONDS * ctc.CTC_STEPS).long().clamp(max=ctc.CTC_STEPS)
        loss = ctc.ctc_loss(letters(frames), rows, lengths)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(letters.parameters(), 1.0)
        optimiser.step()
        scheduler.step()
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            mean = sum(losses[-100:]) / 100
            print(
                f"letters: step {step + 1} loss {mean:.3f} {time.time() - began:.0f} s", flush=True
            )
    return letters.requires_grad_(False)


@torch.no_grad()
def put_into(letters: Letters, qformer: QFormer, head: ctc.Head, spoken: Tensor) -> None:
    """Start `qformer` and `head` from what the letters know; frames of speech (batch, n, width) give the scale.

    Every cross-attention adds codes of what it looks at; all other branches begin by adding nothing. So once the
    places are learned, the head reads what the letters read.
    """
    layers = qformer.model.encoder.layer
    attentions = [layer.crossattention for layer in layers if layer.has_cross_attention]
    heads = attentions[0].attention.heads
    size = qformer.config.hidden // heads
    code = letters.code.out_features
    codes = letters.codes(spoken).flatten(0, 1)
    middle, deviation = codes.mean(0), codes.std(0)
    weight = letters.code.weight / letters.deviation
    bias = (letters.code.bias - weight @ letters.middle - middle) / deviation
    weight = weight / deviation[:, None]
    for number, attention in enumerate(attentions):
        value, dense = attention.attention.value, attention.output.dense
        value.weight.zero_()
        value.bias.zero_()
        value.weight.unflatten(0, (heads, size))[:, :code] = weight
        value.bias.unflatten(0, (heads, size))[:, :code] = bias
        # Behind each norm what was there has shrunk by the root of 2: later layers add as much.
        dense.weight.copy_(torch.eye(heads * size) * 0.5 ** (number / 2))
        dense.bias.zero_()
    for layer in layers:
        for silent in (layer.attention.output.dense, layer.output_query.dense):
            silent.weight.zero_()
            silent.bias.zero_()
    for queries in qformer.queries.values():
        queries.unflatten(-1, (heads, size))[..., :code] = 0
    spell = torch.zeros(alphabet.SIZE, size)
    spell[:, :code] = letters.spell.weight * deviation / CODE_LEFT
    offset = letters.spell.bias + letters.spell.weight @ middle
    for expand in head.expand.values():
        steps = expand.out_features // alphabet.SIZE
        centres = (torch.arange(steps) + 0.5) * heads / steps
        near = -((torch.arange(heads) + 0.5 - centres[:, None]) ** 2) / (2 * SLICE_SPREAD**2)
        weights = near.softmax(-1)  # (steps, heads)
        expand.weight.copy_(torch.einsum("sh,cd->schd", weights, spell).flatten(2).flatten(0, 1))
        expand.bias.copy_(offset.repeat(steps))
