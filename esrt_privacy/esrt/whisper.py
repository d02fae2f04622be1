"""Whisper's encoder alone, by the weight names of `transformers`.

`transformers` has the same module, but importing any model of it brings a compiler and its generation code along: a
quarter of a gigabyte that a device has to hold beside the edge's 0.13 GB of weights. The tests hold this one against
theirs, value by value.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from esrt_privacy.esrt.attention import attended, draw
from esrt_privacy.esrt.config import ENCODER_FRAMES, MEL_FRAMES, EncoderConfig

LONGEST_WAVELENGTH = 10_000  # of the sinusoids, in frames


class SelfAttention(nn.Module):
    """Every frame asks all frames."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, frames: Tensor) -> Tensor:
        """(batch, frames, width) -> the same shape."""
        # Scaled before the product, as in the original: the order decides the last bits.
        query = self.q_proj(frames) * (frames.shape[-1] // self.heads) ** -0.5
        found: Tensor = self.out_proj(
            attended(query, self.k_proj(frames), self.v_proj(frames), self.heads, scale=1.0)
        )
        return found


class Layer(nn.Module):
    """Attention and feed-forward, each behind a norm."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.self_attn = SelfAttention(config.width, config.heads)
        self.self_attn_layer_norm = nn.LayerNorm(config.width)
        self.fc1 = nn.Linear(config.width, config.feed_forward)
        self.fc2 = nn.Linear(config.feed_forward, config.width)
        self.final_layer_norm = nn.LayerNorm(config.width)

    def forward(self, frames: Tensor) -> Tensor:
        """(batch, frames, width) -> the same shape."""
        frames = frames + self.self_attn(self.self_attn_layer_norm(frames))
        found: Tensor = frames + self.fc2(gelu(self.fc1(self.final_layer_norm(frames))))
        return found


class WhisperEncoder(nn.Module):
    """Two convolutions, positions, layers, a norm. Source: Radford et al. 2022 (arXiv 2212.04356)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(config.mel_bins, config.width, 3, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding.from_pretrained(
            sinusoids(ENCODER_FRAMES, config.width).to(self.conv1.weight)
        )
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.layer_norm = nn.LayerNorm(config.width)
        self.apply(draw)

    def forward(self, mel: Tensor) -> Tensor:
        """(batch, mel_bins, 3000) -> (batch, 1500, width)."""
        last = deque(self.states(mel), maxlen=1)  # large-v3's 33 states are 2 GB at batch 16
        return last.pop()

    def states(self, mel: Tensor) -> Iterator[Tensor]:
        """(batch, 1500, width) of the convolutions, then of every layer, the last behind the norm.

        Raises ValueError for any other number of mel frames.
        """
        if mel.shape[-1] != MEL_FRAMES:  # one frame would be spread over all positions
            raise ValueError(
                f"Whisper's encoder takes {MEL_FRAMES} mel frames, not {mel.shape[-1]}"
            )
        frames = gelu(self.conv2(gelu(self.conv1(mel)))).transpose(1, 2)
        frames = frames + self.embed_positions.weight
        for layer in self.layers:
            yield frames
            frames = layer(frames)
        yield self.layer_norm(frames)


def sinusoids(positions: int, width: int) -> Tensor:
    """Whisper's position code, float32 (positions, width): sines in the first half, cosines in the second."""
    half = -(-width // 2)
    step = math.log(LONGEST_WAVELENGTH) / max(1, half - 1)
    # On `meta`, where a network waits for its file, torch would import its compiler to compute these.
    numbers = torch.arange(max(positions, half), dtype=torch.float32, device="cpu")
    angles = numbers[:positions, None] * torch.exp(-step * numbers[:half])
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :width]
