"""The GE2E speaker encoder: maps a recording to a vector that is close for the same voice.

Wan et al. 2018, "Generalized end-to-end loss for speaker verification" (arXiv 1710.10467), with the
weights and the preprocessing of Resemblyzer 0.1.4, save that long pauses stay in (its voice
activity detector is a compiled package that the weights do not need).
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esrt_privacy.errors import AssetError, AudioError
from esrt_privacy.weights import fingerprint

if TYPE_CHECKING:
    import torch

SAMPLE_RATE = 16_000  # Hz
N_MELS = 40
WINDOW = SAMPLE_RATE * 25 // 1000  # samples: 25 ms
HOP = SAMPLE_RATE * 10 // 1000  # samples: 10 ms
PARTIAL = 160  # frames: 1.6 s, what the network was trained on
EMBEDDING = 256

_PARTIALS_PER_SECOND = 1.3
_STEP = round(SAMPLE_RATE / _PARTIALS_PER_SECOND / HOP)  # frames from one partial to the next
_LEAST_COVERAGE = 0.75  # of the last partial, else it is dropped
_QUIETEST = -30.0  # dBFS; quieter recordings are raised to it, louder ones left alone
_BATCH = 64  # partials


class Ge2e:
    """Three LSTM layers of 256, a linear layer, ReLU, unit length; averaged over 1.6 s partials.

    weights: the state dict of `esrt_privacy.assets.ge2e_weights`. Raises AssetError if it does
    not fit.
    """

    def __init__(self, weights: "dict[str, torch.Tensor]") -> None:
        import torch

        self._network = torch.nn.ModuleDict(
            {
                "lstm": torch.nn.LSTM(N_MELS, EMBEDDING, num_layers=3, batch_first=True),
                "linear": torch.nn.Linear(EMBEDDING, EMBEDDING),
            }
        ).eval()
        try:
            self._network.load_state_dict(weights)
        except RuntimeError as error:
            raise AssetError(
                "the GE2E weights do not fit the network: run `esrt-privacy assets fetch ge2e`"
            ) from error

    @classmethod
    def load(cls, weights: Path | None = None) -> "Ge2e":
        """Finds the weights as `ge2e_weights` does; AssetError if they are nowhere."""
        from esrt_privacy.assets import ge2e_weights

        return cls(ge2e_weights(weights))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the network's weights."""
        return fingerprint(self._network)

    def embed(self, wave: np.ndarray) -> np.ndarray:
        """The embedding of one recording: (samples,) at 16 kHz → (256,) float32 of unit length.

        Raises AudioError for a recording that is empty, silent or not finite: no voice, no vector.
        """
        partials = self._embed_partials(_mel_partials(wave))
        mean = partials.mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)

    def embed_all(self, waves: Sequence[np.ndarray]) -> np.ndarray:
        """The embeddings of several recordings, (recordings, 256) float32; errors as `embed`."""
        if not waves:
            return np.zeros((0, EMBEDDING), dtype=np.float32)
        return np.stack([self.embed(wave) for wave in waves])

    def _embed_partials(self, mels: np.ndarray) -> np.ndarray:
        """(partials, 160, 40) → (partials, 256), each of unit length."""
        import torch

        vectors = []
        with torch.inference_mode():
            for batch in torch.from_numpy(mels).split(_BATCH):
                _, (hidden, _) = self._network["lstm"](batch)
                vector = torch.relu(self._network["linear"](hidden[-1]))
                vectors.append(torch.nn.functional.normalize(vector, dim=1))
        return torch.cat(vectors).numpy()


def _mel_partials(wave: np.ndarray) -> np.ndarray:
    """Overlapping stretches of the mel power spectrogram, (partials, 160, 40) float32."""
    import librosa

    wave = _raise_volume(wave)
    starts = _partial_starts(len(wave))
    # Zeros, so that the last partial is whole.
    wave = np.pad(wave, (0, max(0, (starts[-1] + PARTIAL) * HOP - len(wave))))
    mel = librosa.feature.melspectrogram(
        y=wave, sr=SAMPLE_RATE, n_fft=WINDOW, hop_length=HOP, n_mels=N_MELS
    ).T.astype(np.float32)  # (frames, 40), powers and not their logarithms, as in training
    return np.stack([mel[start : start + PARTIAL] for start in starts])


def _partial_starts(samples: int) -> list[int]:
    """First frame of each partial, as Resemblyzer's `compute_partial_slices` places them."""
    frames = -(-(samples + 1) // HOP)
    starts = list(range(0, max(1, frames - PARTIAL + _STEP + 1), _STEP))
    coverage = (samples - starts[-1] * HOP) / (PARTIAL * HOP)
    if coverage < _LEAST_COVERAGE and len(starts) > 1:
        starts.pop()
    return starts


def _raise_volume(wave: np.ndarray) -> np.ndarray:
    if wave.ndim != 1 or not wave.size:
        raise AudioError(
            f"a waveform of shape {wave.shape} has no voice: give (samples,) at 16 kHz"
        )
    if not np.isfinite(wave).all():
        raise AudioError("a waveform has samples that are no numbers: leave it out")
    power = float(np.mean(np.square(wave, dtype=np.float64)))
    if power == 0.0:
        raise AudioError("a waveform is silent and has no voice: leave it out")
    gain = _QUIETEST - 10 * np.log10(power)
    return np.asarray(wave * 10 ** (max(gain, 0.0) / 20), dtype=np.float32)
