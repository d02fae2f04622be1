"""From Whisper's log-mel back to a waveform, without training: mel inversion and Griffin-Lim."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from esrt_privacy.esrt.encoder import HOP, WINDOW, mel_filters

BINS = WINDOW // 2 + 1
MEL_STEPS = 60
GRIFFIN_LIM_STEPS = 32
MOMENTUM = 0.99
LEAST_FRAMES = 4  # fewer do not fill Griffin-Lim's own window


def waveform(log_mel: Tensor) -> np.ndarray:
    """Log-mel (frames, mel bins) in Whisper's scale -> float32 (frames × 160,) at 16 kHz.

    Phases by fast Griffin-Lim (Griffin & Lim 1984; Perraudin et al. 2013, doi:10.1109/WASPAA.2013.6701851), from
    phases of zero, so that the same frames give the same sound. Peaks above 0.99 are scaled down.
    """
    import torchaudio

    frames = log_mel.shape[0]
    missing = max(0, LEAST_FRAMES - frames)
    log_mel = torch.cat([log_mel, log_mel[-1:].expand(missing, -1)])
    magnitude = power_spectrum(log_mel).sqrt()
    wave = torchaudio.functional.griffinlim(
        magnitude,
        window=torch.hann_window(WINDOW),
        n_fft=WINDOW,
        hop_length=HOP,
        win_length=WINDOW,
        power=1.0,
        n_iter=GRIFFIN_LIM_STEPS,
        momentum=MOMENTUM,
        length=HOP * log_mel.shape[0],
        rand_init=False,
    )[: HOP * frames]
    peak = float(wave.abs().max())
    if peak > 0.99:
        wave = wave * (0.99 / peak)
    out: np.ndarray = wave.numpy().astype(np.float32)
    return out


def power_spectrum(log_mel: Tensor) -> Tensor:
    """Log-mel (frames, mel bins) -> non-negative power spectrum (201, frames + 1).

    Undoes openai/whisper's scaling (log10, clamped to 8 under the maximum, + 4, / 4) and solves for the spectrum by the
    multiplicative updates of Lee & Seung (2001) for the squared error. One frame more, since Whisper drops the last.
    """
    mel = 10.0 ** (4.0 * log_mel.float().clamp(-2.0, 2.5).T - 4.0)
    mel = torch.cat([mel, mel[:, -1:]], dim=1)
    filters = mel_filters(mel.shape[0])
    spectrum = filters.T @ mel / filters.sum(dim=0)[:, None].clamp(min=1e-8)
    gram = filters.T @ filters
    target = filters.T @ mel
    for _ in range(MEL_STEPS):
        spectrum = spectrum * target / (gram @ spectrum).clamp(min=1e-12)
    return spectrum
