"""The networks of the trained heads: attentive pooling over vectors, and SpeechBrain's ECAPA-TDNN made small."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EMBEDDING = 128
_LEAST_DEVIATION = 1e-4
_LEAST_STEPS = 8  # SpeechBrain mirrors up to four steps at both ends


class AttentiveNetwork(nn.Module):
    """Two layers over neighbouring vectors, then mean and deviation weighted by learned attention.

    Source: Okabe, Koshinaka & Shinoda, "Attentive Statistics Pooling for Deep Speaker Embedding", Interspeech 2018,
    doi:10.21437/Interspeech.2018-993.
    """

    def __init__(self, width: int, hidden: int = 192, attention: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(width, hidden, 5, padding=2),
            nn.ReLU(),
            nn.BatchNorm1d(hidden),
            nn.Conv1d(hidden, hidden, 3, padding=1),
            nn.ReLU(),
            nn.BatchNorm1d(hidden),
        )
        self.attention = nn.Sequential(
            nn.Conv1d(3 * hidden, attention, 1), nn.Tanh(), nn.Conv1d(attention, hidden, 1)
        )
        self.norm = nn.BatchNorm1d(2 * hidden)
        self.out = nn.Linear(2 * hidden, EMBEDDING)

    def forward(self, steps: Tensor) -> Tensor:
        """(batch, steps, width) -> (batch, EMBEDDING)."""
        hidden = self.layers(steps.transpose(1, 2))
        context = torch.cat(
            [hidden, *(s.expand_as(hidden) for s in _moments(hidden, 1 / hidden.shape[2]))], dim=1
        )
        weights = self.attention(context).softmax(dim=2)
        mean, deviation = _moments(hidden, weights)
        out: Tensor = self.out(self.norm(torch.cat([mean, deviation], dim=1).squeeze(2)))
        return out


class EcapaNetwork(nn.Module):
    """ECAPA-TDNN with 128 instead of 1024 channels, since it learns from dozens of speakers and on a CPU.

    Source: Desplanques, Thienpondt & Demuynck, "ECAPA-TDNN", Interspeech 2020, doi:10.21437/Interspeech.2020-2650, in
    SpeechBrain's implementation.
    """

    def __init__(self, width: int, channels: int = 128) -> None:
        super().__init__()
        from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

        self.ecapa = ECAPA_TDNN(
            width,
            channels=[channels] * 4 + [3 * channels],
            attention_channels=64,
            se_channels=64,
            res2net_scale=4,
            lin_neurons=EMBEDDING,
        )

    def forward(self, steps: Tensor) -> Tensor:
        """(batch, steps, width) -> (batch, EMBEDDING); sequences of a few steps are repeated."""
        if steps.shape[1] < _LEAST_STEPS:
            steps = steps.repeat(1, -(-_LEAST_STEPS // steps.shape[1]), 1)
        out: Tensor = self.ecapa(steps).squeeze(1)
        return out


NETWORKS = {"attentive": AttentiveNetwork, "ecapa": EcapaNetwork}


class Standardised(nn.Module):
    """A network over standardised tensors, with an output layer for the training.

    `mean` and `scale` are (width,), or (steps, width) where tensors come whole and each place has a meaning of its own;
    then each place also gets a learned code. `axes` (width, kept) are directions that the network sees, None: all.
    """

    mean: Tensor
    scale: Tensor
    axes: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        mean: Tensor,
        scale: Tensor,
        outputs: int,
        axes: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.register_buffer("axes", axes)
        seen = torch.zeros_like(mean) if axes is None else torch.zeros_like(mean @ axes)
        self.places = nn.Parameter(seen) if mean.ndim == 2 else None
        self.output = nn.Linear(EMBEDDING, outputs)

    def forward(self, steps: Tensor) -> Tensor:
        """(batch, steps, width) -> (batch, EMBEDDING)."""
        steps = (steps - self.mean) / self.scale
        if self.axes is not None:
            steps = steps @ self.axes
        if self.places is not None:
            steps = steps + self.places
        out: Tensor = self.network(steps)
        return out


def _moments(values: Tensor, weights: Tensor | float) -> tuple[Tensor, Tensor]:
    """Weighted mean and deviation over the last axis, which is kept."""
    mean = (values * weights).sum(dim=2, keepdim=True)
    variance = ((values - mean).square() * weights).sum(dim=2, keepdim=True)
    return mean, variance.clamp(min=_LEAST_DEVIATION).sqrt()
