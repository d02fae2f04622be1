"""A random recording channel: room, equaliser, noise and codec, all drawn from one seed.

A corpus with one session a speaker lets an attack tell microphones apart and call it voices. Giving
each utterance a channel of its own takes that away: nothing of the channel is shared by a speaker.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esrt_privacy.corpora.coding import decode_audio, encode_audio

VERSION = 1  # raised whenever the same seed would give another sound

SNR_DB = (10.0, 35.0)
RT60_SECONDS = (0.1, 0.6)
REVERBERANT_TO_DIRECT_DB = (-12.0, 0.0)
EQUALISER_BANDS = (2, 5)  # fewest and most biquads
GAIN_DB = (-9.0, 9.0)
CODECS = (("libopus", "ogg", 16_000, 32_000), ("libmp3lame", "mp3", 32_000, 64_000))
MAX_CODEC_DELAY_SECONDS = 0.12

Wave = NDArray[np.float32]
Samples = NDArray[np.float64]


@dataclass(frozen=True)
class Channel:
    """One microphone, room and line. The same seed and wave give the same sound."""

    seed: int

    @classmethod
    def drawn(cls, seed: int, utterance_id: str) -> Channel:
        """The channel of one utterance, from a corpus-wide seed and the utterance's id."""
        text = f"{seed}|{utterance_id}".encode("utf-8", "backslashreplace")
        return cls(int.from_bytes(hashlib.sha256(text).digest()[:8], "big"))

    @property
    def fingerprint(self) -> str:
        """Names this channel and the version of the simulation."""
        return f"channel-{VERSION}:{self.seed}"

    def apply(self, wave: Wave, rate: int) -> Wave:
        """Send ``wave`` (samples,) at ``rate`` Hz through the channel.

        Returns float32 of the same length and loudness (RMS), with the speech where it was: the
        room's direct path has no delay and the codec's delay is taken out again.
        """
        loudness = _rms(wave)
        if loudness == 0.0:
            return np.asarray(wave, dtype=np.float32).copy()
        # one generator a stage, so that a change in one leaves the draws of the others alone
        room, equaliser, noise, codec = np.random.default_rng(self.seed).spawn(4)
        sound = np.asarray(wave, dtype=np.float64)
        sound = _through_room(sound, rate, room)
        sound = _equalised(sound, rate, equaliser)
        sound = _with_noise(sound, noise)
        sound = _through_codec(sound, rate, codec)
        return _bounded(sound * (loudness / max(_rms(sound), 1e-12)))


def _through_room(wave: Samples, rate: int, rng: np.random.Generator) -> Samples:
    """Convolve with a synthetic response: a direct path at once, then noise that falls by 60 dB
    within RT60 (Polack's model)."""
    from scipy.signal import fftconvolve

    rt60 = rng.uniform(*RT60_SECONDS)
    length = max(2, round(rt60 * rate))
    onset = min(length - 1, max(1, round(rng.uniform(0.002, 0.01) * rate)))  # first reflection
    decay = np.exp(-math.log(1000.0) * np.arange(length) / (rt60 * rate))
    tail = rng.standard_normal(length) * decay
    tail[:onset] = 0.0
    ratio = 10 ** (rng.uniform(*REVERBERANT_TO_DIRECT_DB) / 20)
    response = tail * (ratio / max(float(np.linalg.norm(tail)), 1e-12))
    response[0] = 1.0
    out: Samples = fftconvolve(wave, response)[: wave.size]
    return out


def _equalised(wave: Samples, rate: int, rng: np.random.Generator) -> Samples:
    from scipy.signal import sosfilt

    sections = [_low_shelf(rate, rng.uniform(100, 400), rng.uniform(*GAIN_DB))]
    sections.append(_high_shelf(rate, rng.uniform(0.25, 0.4) * rate / 2, rng.uniform(*GAIN_DB)))
    for _ in range(int(rng.integers(EQUALISER_BANDS[0] - 1, EQUALISER_BANDS[1] - 1))):
        centre = math.exp(rng.uniform(math.log(200.0), math.log(0.4 * rate)))
        sections.append(_peak(rate, centre, rng.uniform(*GAIN_DB), rng.uniform(0.5, 2.0)))
    out: Samples = sosfilt(np.array(sections), wave)
    return out


def _with_noise(wave: Samples, rng: np.random.Generator) -> Samples:
    noise = rng.standard_normal(wave.size)
    if rng.random() < 0.5:  # pink: power falls as 1/f
        spectrum = np.fft.rfft(noise)
        noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(spectrum.size))), wave.size)
    level = _rms(wave) * 10 ** (-rng.uniform(*SNR_DB) / 20)
    return wave + noise * (level / max(_rms(noise), 1e-12))


def _through_codec(wave: Samples, rate: int, rng: np.random.Generator) -> Samples:
    name, container, low, high = CODECS[int(rng.integers(len(CODECS)))]
    bit_rate = int(rng.integers(low, high + 1))
    peak = max(float(np.abs(wave).max()), 1e-12)
    level = 0.9 / peak
    coded = _encoded(_bounded(wave * level), rate, name, container, bit_rate)
    return _aligned(_decoded(coded, rate), wave, rate) / level


def _encoded(wave: Wave, rate: int, codec: str, container: str, bit_rate: int) -> bytes:
    import soxr

    # both codecs take 16 kHz; at another rate the line carries 48 kHz
    line_rate = rate if rate in (16_000, 48_000) else 48_000
    if line_rate != rate:
        wave = soxr.resample(wave, rate, line_rate)
    # codecs hold the last frame back: silence after the end pushes all of the speech out
    padded = np.pad(wave, (0, line_rate // 4))
    return encode_audio(padded, line_rate, codec, container, bit_rate)


def _decoded(coded: bytes, rate: int) -> Samples:
    import soxr

    heard, line_rate = decode_audio(coded)
    wave = heard.astype(np.float64)
    return wave if line_rate == rate else np.asarray(soxr.resample(wave, line_rate, rate))


def _aligned(decoded: Samples, wave: Samples, rate: int) -> Samples:
    """Shift by the lag of the highest cross-correlation, then cut or pad to ``wave``'s length."""
    from scipy.signal import correlate

    reach = round(MAX_CODEC_DELAY_SECONDS * rate)
    similarity = correlate(decoded, wave, mode="full", method="fft")
    zero = wave.size - 1  # index of lag 0
    low = max(0, zero - reach)
    lag = low + int(np.argmax(similarity[low : zero + reach + 1])) - zero
    shifted = decoded[lag:] if lag >= 0 else np.pad(decoded, (-lag, 0))
    return np.pad(shifted[: wave.size], (0, max(0, wave.size - shifted.size)))


def _bounded(wave: Samples) -> Wave:
    """Clip to [-1, 1], as a recorder does."""
    return np.clip(wave, -1.0, 1.0).astype(np.float32)


def _rms(wave: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) if wave.size else 0.0


# Biquads after R. Bristow-Johnson, "Cookbook formulae for audio EQ biquad filter coefficients"
# (W3C note, 2021), with shelf slope 1; each is a second-order section (b0, b1, b2, 1, a1, a2).


def _peak(rate: int, centre: float, gain_db: float, q: float) -> list[float]:
    a, w = 10 ** (gain_db / 40), 2 * math.pi * centre / rate
    alpha, cos = math.sin(w) / (2 * q), math.cos(w)
    return _section(1 + alpha * a, -2 * cos, 1 - alpha * a, 1 + alpha / a, -2 * cos, 1 - alpha / a)


def _low_shelf(rate: int, corner: float, gain_db: float) -> list[float]:
    return _shelf(rate, corner, gain_db, 1.0)


def _high_shelf(rate: int, corner: float, gain_db: float) -> list[float]:
    return _shelf(rate, corner, gain_db, -1.0)


def _shelf(rate: int, corner: float, gain_db: float, side: float) -> list[float]:
    a, w = 10 ** (gain_db / 40), 2 * math.pi * corner / rate
    cos = side * math.cos(w)  # the high shelf is the low one with the cosine's sign turned
    root = math.sqrt(2 * a) * math.sin(w)
    up, down = a + 1, a - 1
    return _section(
        a * (up - down * cos + root),
        2 * a * side * (down - up * cos),
        a * (up - down * cos - root),
        up + down * cos + root,
        -2 * side * (down + up * cos),
        up + down * cos - root,
    )


def _section(b0: float, b1: float, b2: float, a0: float, a1: float, a2: float) -> list[float]:
    return [b0 / a0, b1 / a0, b2 / a0, 1.0, a1 / a0, a2 / a0]
