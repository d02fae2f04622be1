"""The frozen encoder's frames for a batch: read from a store, or computed in the loop.

Most of a short recording's 30 s is padding, and reading it costs as much as reading speech. Thinned
frames are all frames of the speech and half a second after it, then every sixteenth of the padding
with ln 16 added to its attention, so that the padding as a whole keeps its weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from esrt_privacy.corpora import Utterance
from esrt_privacy.esrt.config import ENCODER_FRAMES
from esrt_privacy.esrt.encoder import Encoder, log_mel
from esrt_privacy.esrt.training.balance import seconds

FRAMES_A_SECOND = 50
MARGIN = 25  # frames kept after the speech
STRIDE = 16  # of the frames kept further on


class Frames(Protocol):
    """Where the encoder's frames come from."""

    def __call__(self, utterances: Sequence[Utterance]) -> Sequence[Tensor]:
        """A tensor (1500, encoder width) for each utterance, in any precision, on any device."""
        ...


class StoredFrames:
    """Frames that were computed once: `frames_of` gives them by the audio's fingerprint."""

    def __init__(self, frames_of: Callable[[str], Tensor]) -> None:
        self._frames_of = frames_of

    def __call__(self, utterances: Sequence[Utterance]) -> Sequence[Tensor]:
        return [self._frames_of(utterance.fingerprint) for utterance in utterances]


class LiveFrames:
    """Frames computed for every batch anew, for corpora whose frames no disk can hold."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    @torch.no_grad()
    def __call__(self, utterances: Sequence[Utterance]) -> Sequence[Tensor]:
        mel = log_mel([u.waveform() for u in utterances], self._encoder.config.mel_bins)
        weight = next(self._encoder.parameters())
        frames: Tensor = self._encoder(mel.to(weight.device, weight.dtype))
        return list(frames)


def batch_of(
    utterances: Sequence[Utterance],
    frames: Frames,
    device: torch.device,
    rng: np.random.Generator | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Frames (batch, 1500, width) in float32 and no bias; thinned, with a bias, where `rng` is given.

    The bias (batch, 1, 1, frames) is what `QFormer` adds to the attention.
    """
    found = frames(utterances)
    if rng is None:
        return torch.stack([f.to(device, torch.float32) for f in found]), None
    kept = [thinned(seconds(u), rng) for u in utterances]
    return padded(found, kept, device)


def padded(
    frames: Sequence[Tensor],
    kept: Sequence[tuple[np.ndarray, np.ndarray]],
    device: torch.device | None = None,
) -> tuple[Tensor, Tensor]:
    """The frames of each recording that `thinned` keeps, as one batch: float32 and bias as `batch_of` gives them."""
    longest = max(len(places) for places, _ in kept)
    batch = torch.zeros(len(frames), longest, frames[0].shape[1], device=device)
    bias = torch.full((len(frames), 1, 1, longest), float("-inf"), device=device)
    for n, (one, (places, added)) in enumerate(zip(frames, kept, strict=True)):
        batch[n, : len(places)] = one[torch.from_numpy(places).to(one.device)].to(batch)
        bias[n, 0, 0, : len(places)] = torch.from_numpy(added).to(device)
    return batch, bias


def thinned(length: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Places of the frames kept of a recording of `length` s, and what is added to their attention."""
    return spread(speech_frames(length), ENCODER_FRAMES, STRIDE, rng)


def speech_frames(length: float) -> int:
    """How many frames hold the speech of a recording of `length` s, with the margin after it."""
    return min(int(length * FRAMES_A_SECOND) + MARGIN, ENCODER_FRAMES)


def spread(
    first: int, total: int, stride: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The `first` places of `total` and every `stride`-th of the others, and what is added to the attention on each."""
    rest = np.arange(first + int(rng.integers(stride)), total, stride)
    added = np.concatenate([np.zeros(first), np.full(len(rest), math.log(stride))])
    return np.concatenate([np.arange(first), rest]), added.astype(np.float32)
