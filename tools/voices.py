"""Synthetic voices: blends of Kokoro's styles, with modest changes of pitch and formants.

A blend is not a person, and a set of blends is no population: these voices serve to train and to try things,
never to say how well speakers can be told apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SAMPLE_RATE = 16_000
MALE_STYLES = ("jm_kumo",)
CONCENTRATION = {"jf_alpha": 0.2, "jf_tebukuro": 0.2}


@dataclass(frozen=True)
class Voice:
    """One synthetic voice: how much of each style, and what is changed afterwards."""

    name: str
    sex: str  # of the styles that it is mostly made of: "F" or "M"
    blend: tuple[tuple[str, float], ...]
    semitones: float
    formants: float  # factor on the frequencies of the spectral envelope
    speed: float

    def style(self, styles: dict[str, np.ndarray]) -> np.ndarray:
        """The blended style, shape (510, 1, 256)."""
        return np.sum([weight * styles[name] for name, weight in self.blend], axis=0)

    def render(self, kokoro: Any, text: str, language: str) -> np.ndarray:
        """Speech of `text` in this voice, float32 (samples,) at 16 kHz, peak 0.7."""
        import librosa

        # Pitch by resampling, speed and formants put back: a phase vocoder made the speech unintelligible.
        pitch = 2 ** (self.semitones / 12)
        phonemes = kokoro.phonemes(text, language)
        wave = kokoro.speak(phonemes, self.style(kokoro.styles), self.speed / pitch)
        wave = librosa.resample(
            wave, orig_sr=24_000 * pitch, target_sr=SAMPLE_RATE, res_type="soxr_hq"
        )
        wave = shift_formants(wave, self.formants / pitch)
        return (0.7 * wave / max(float(np.abs(wave).max()), 1e-6)).astype(np.float32)


def shift_formants(wave: np.ndarray, factor: float) -> np.ndarray:
    """Stretch the spectral envelope by `factor`, leaving the harmonics where they are.

    The envelope of each frame is the low-quefrency part (below 2 ms) of its cepstrum.
    """
    import librosa

    if abs(factor - 1) < 0.005:
        return wave
    spectrum = librosa.stft(wave, n_fft=1024, hop_length=256)
    log_magnitude = np.log(np.abs(spectrum) + 1e-5)
    cepstrum = np.fft.irfft(log_magnitude, axis=0)
    keep = int(0.002 * SAMPLE_RATE)
    cepstrum[keep:-keep] = 0
    envelope = np.fft.rfft(cepstrum, axis=0).real
    bins = np.arange(envelope.shape[0])
    source = np.clip(bins / factor, 0, bins[-1])
    low = np.floor(source).astype(int)
    high = np.minimum(low + 1, bins[-1])
    part = (source - low)[:, None]
    moved = (1 - part) * envelope[low] + part * envelope[high]
    return librosa.istft(spectrum * np.exp(moved - envelope), hop_length=256, length=len(wave))


def make_voices(
    count: int, seed: int, styles: dict[str, np.ndarray], prefix: str = "v"
) -> list[Voice]:
    """`count` voices, half of them mostly of the male style, drawn from `seed`."""
    rng = np.random.default_rng(seed)
    male = [n for n in sorted(styles) if n in MALE_STYLES]
    female = [n for n in sorted(styles) if n not in MALE_STYLES]
    voices = []
    for i in range(count):
        is_male = i % 2 == 1
        share = rng.uniform(0.65, 1.0) if is_male else rng.uniform(0.0, 0.2)
        # The less intelligible styles take smaller shares.
        within_female = rng.dirichlet([CONCENTRATION.get(name, 0.8) for name in female])
        weights = {name: (1 - share) * w for name, w in zip(female, within_female, strict=True)}
        weights[male[0]] = share
        voices.append(
            Voice(
                name=f"{prefix}{i:03d}",
                sex="M" if is_male else "F",
                blend=tuple((name, float(w)) for name, w in sorted(weights.items()) if w > 0.01),
                semitones=float(rng.uniform(-2.0, 2.0)),
                formants=float(rng.uniform(0.93, 1.08)),
                speed=float(rng.uniform(0.95, 1.25)),
            )
        )
    return voices
