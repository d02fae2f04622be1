"""How close a reconstructed recording comes to the real one.

Waveforms are mono, (samples,), floats, 16 kHz unless `rate` says otherwise; ValueError for other
shapes and for samples that are not finite. Where a measure compares moment by moment ("at true
length"), the degraded waveform is cut, or padded with silence, to the length of the reference;
`relative_length_error` reports the length itself. Every measure returns nan where it is not defined
(too short, silent, no voiced frames): the caller leaves nan out of means and says how many.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

SAMPLE_RATE = 16_000

ENVELOPE_WINDOW = 0.025  # s
ENVELOPE_HOP = 0.010  # s
DYNAMIC_RANGE = 60.0  # dB under a recording's own peak, below which it counts as silent

CEPSTRA = 13  # c1 to c13; c0, the level, is left out
MEL_BANDS = 40

F0_LOWEST = 65.0  # Hz
F0_HIGHEST = 400.0  # Hz
F0_WINDOW = 0.064  # s: four periods of the lowest voice
F0_HOP = 0.016  # s
F0_RESOLUTION = 0.2  # semitones
F0_BAND = (80.0, 1000.0)  # Hz: hum below and fricatives above hide a voice's period
FEWEST_VOICED = 10  # frames


def stoi(reference: ArrayLike, degraded: ArrayLike, rate: int = SAMPLE_RATE) -> float:
    """Short-time objective intelligibility at true length: about 0 (none) to 1 (as the reference).

    nan for recordings with under 30 frames (about 0.4 s) of sound and for a silent reference.
    A silent degraded recording gives 0.

    Source: Taal, Hendriks, Heusdens & Jensen, IEEE TASLP 19 (2011), doi:10.1109/TASL.2011.2114881;
    computed by pystoi.
    """
    return _intelligibility(reference, degraded, rate, extended=False)


def estoi(reference: ArrayLike, degraded: ArrayLike, rate: int = SAMPLE_RATE) -> float:
    """Extended STOI at true length, which also hears modulated noise; range and nan as `stoi`.

    Source: Jensen & Taal, IEEE/ACM TASLP 24 (2016), doi:10.1109/TASLP.2016.2585878; by pystoi.
    """
    return _intelligibility(reference, degraded, rate, extended=True)


def mcd_dtw(reference: ArrayLike, degraded: ArrayLike, rate: int = SAMPLE_RATE) -> float:
    """Mel-cepstral distortion in dB along the best alignment in time; 0 for like recordings.

    Mean over the path of `cepstral_distance`, lengths as they are: dynamic time warping pairs the
    frames (25 ms every 10 ms). Loudness plays no part. Figures depend on the cepstral analysis
    (here 40 mel bands of power, floor 60 dB under each recording's peak), so compare them only with
    others of this function. nan when either side is silent or empty.

    Source: Kubichek, "Mel-cepstral distance measure for objective speech quality assessment", IEEE
    PACRIM 1993, doi:10.1109/PACRIM.1993.407206.
    """
    import librosa

    first, second = mel_cepstra(reference, rate), mel_cepstra(degraded, rate)
    if first.size == 0 or second.size == 0:
        return float("nan")
    _, path = librosa.sequence.dtw(first.T, second.T)
    return float(np.mean(cepstral_distance(first[path[:, 0]], second[path[:, 1]])))


def mel_cepstra(wave: ArrayLike, rate: int = SAMPLE_RATE) -> Floats:
    """Cepstra c1 to c13, (frames, 13), of the natural log of mel power; (0, 13) for silence.

    c_k = (1/N) · sum_n ln P_n · cos(pi·k·(n + 1/2)/N) over N mel bands, so that
    ln P = c_0 + 2 · sum_k c_k cos(...): the scale for which Kubichek's formula gives dB.
    """
    import librosa

    samples = _waveform(wave)
    window = round(ENVELOPE_WINDOW * rate)
    if len(samples) < window or not np.any(samples):
        return np.zeros((0, CEPSTRA))
    power = librosa.feature.melspectrogram(
        y=samples,
        sr=rate,
        n_fft=1 << (window - 1).bit_length(),
        win_length=window,
        hop_length=round(ENVELOPE_HOP * rate),
        n_mels=MEL_BANDS,
        power=2.0,
    )
    floored = np.log(np.maximum(power, power.max() * 10 ** (-DYNAMIC_RANGE / 10)))
    cepstra = librosa.feature.mfcc(S=floored, n_mfcc=CEPSTRA + 1, dct_type=2, norm="ortho")
    # The orthonormal transform carries a factor sqrt(2N) that the cosine series does not.
    scaled: Floats = cepstra[1:].T / np.sqrt(2 * MEL_BANDS)
    return scaled


def cepstral_distance(first: ArrayLike, second: ArrayLike) -> Floats:
    """dB between paired frames of cepstra (frames, coefficients): 10/ln 10 · sqrt(2 · sum d²).

    Equals the root mean square difference of the two smoothed log spectra. Source: Kubichek (1993).
    """
    gap = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    distance: Floats = 10 / np.log(10) * np.sqrt(2 * np.sum(gap**2, axis=-1))
    return distance


def f0_track(wave: ArrayLike, rate: int = SAMPLE_RATE) -> Floats:
    """Fundamental frequency in Hz, (frames,), one frame per 16 ms, nan where unvoiced.

    Source: pYIN, Mauch & Dixon, ICASSP 2014, doi:10.1109/ICASSP.2014.6853678, by librosa, on the
    80 to 1000 Hz band, 65 to 400 Hz, in steps of a fifth of a semitone.
    """
    import librosa
    from scipy.signal import butter, sosfiltfilt

    samples = _waveform(wave)
    window = round(F0_WINDOW * rate)
    hop = round(F0_HOP * rate)
    if len(samples) < window or not np.any(samples):
        return np.full(len(samples) // hop + 1, np.nan)
    band = sosfiltfilt(butter(4, F0_BAND, "bandpass", fs=rate, output="sos"), samples)
    track, _, _ = librosa.pyin(
        band,
        fmin=F0_LOWEST,
        fmax=F0_HIGHEST,
        sr=rate,
        frame_length=window,
        hop_length=hop,
        resolution=F0_RESOLUTION,
    )
    return np.asarray(track, dtype=np.float64)


def f0_correlation(
    reference: ArrayLike,
    degraded: ArrayLike,
    rate: int = SAMPLE_RATE,
    reference_track: ArrayLike | None = None,
) -> float:
    """Pearson correlation of the two F0 tracks (Hz) over frames voiced in both, at true length.

    `reference_track` is `f0_track(reference)`, given so that a reference heard against several
    reconstructions is analysed once. nan with under 10 frames voiced in both (0.16 s) or a track
    that does not move. One octave error outweighs many right frames: a recording that has lost its
    fundamental (a telephone band) can score near 0 though the pitch is heard.

    Source: the pitch correlation of the VoicePrivacy 2022 evaluation plan, Tomashenko et al.,
    arXiv:2203.12468.
    """
    true, fitted = _at_true_length(reference, degraded)
    first = f0_track(true, rate) if reference_track is None else np.asarray(reference_track)
    second = f0_track(fitted, rate)
    if len(first) != len(second):
        raise ValueError(f"reference_track has {len(first)} frames, not {len(second)}")
    voiced = np.isfinite(first) & np.isfinite(second)
    if voiced.sum() < FEWEST_VOICED:
        return float("nan")
    return _pearson(first[voiced], second[voiced])


def envelope_correlation(
    reference: ArrayLike, degraded: ArrayLike, rate: int = SAMPLE_RATE
) -> float:
    """Pearson correlation of the log-energy envelopes, 25 ms frames every 10 ms, at true length.

    Each envelope is floored 60 dB under its own peak, so digital silence does not outweigh the
    speech. nan when either envelope is flat (silence) or there are under two frames.

    Source: Pearson's correlation of `log_energy`; the rhythm and loudness contour of an utterance.
    """
    true, fitted = _at_true_length(reference, degraded)
    return _pearson(log_energy(true, rate), log_energy(fitted, rate))


def log_energy(wave: ArrayLike, rate: int = SAMPLE_RATE) -> Floats:
    """Energy of each 25 ms frame in dB relative to the loudest, (frames,), -60 at the lowest."""
    samples = _waveform(wave)
    window, hop = round(ENVELOPE_WINDOW * rate), round(ENVELOPE_HOP * rate)
    if len(samples) < window:
        return np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop]
    energy = np.einsum("fs,fs->f", frames, frames)
    if not energy.max() > 0:
        return np.full(len(energy), -DYNAMIC_RANGE)
    levels: Floats = 10 * np.log10(np.maximum(energy / energy.max(), 10 ** (-DYNAMIC_RANGE / 10)))
    return levels


def relative_length_error(true_seconds: float, predicted_seconds: float) -> float:
    """|predicted - true| / true; nan when the true length is not positive.

    Source: the absolute percentage error of one value, as a share.
    """
    if not true_seconds > 0:
        return float("nan")
    return abs(predicted_seconds - true_seconds) / true_seconds


def _intelligibility(reference: ArrayLike, degraded: ArrayLike, rate: int, extended: bool) -> float:
    import pystoi

    true, fitted = _at_true_length(reference, degraded)
    # pystoi fails outright, without its warning, below one frame of 25.6 ms.
    if len(true) < 0.03 * rate or not np.any(true):
        return float("nan")
    score: Callable[..., float] = pystoi.stoi
    with warnings.catch_warnings(), _own_random_state():
        # Its only sign of a recording that is too short is this warning, and a made-up 1e-5.
        warnings.filterwarnings("error", message="Not enough STFT frames", category=RuntimeWarning)
        try:
            value = float(score(true, fitted, rate, extended=extended))
        except RuntimeWarning:
            return float("nan")
    # For silence, ESTOI would report how well the reference matches pystoi's guard noise.
    return value if np.any(fitted) else 0.0


@contextmanager
def _own_random_state() -> Iterator[None]:
    """pystoi adds guard noise from numpy's global generator: seed it, then put it back."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(state)


def _at_true_length(reference: ArrayLike, degraded: ArrayLike) -> tuple[Floats, Floats]:
    true, other = _waveform(reference), _waveform(degraded)
    fitted = np.zeros_like(true)
    shared = min(len(true), len(other))
    fitted[:shared] = other[:shared]
    return true, fitted


def _waveform(wave: ArrayLike) -> Floats:
    samples = np.asarray(wave, dtype=np.float64)
    if samples.ndim != 1:
        raise ValueError(f"a waveform has shape (samples,), not {samples.shape}")
    if not np.isfinite(samples).all():
        raise ValueError("a waveform holds samples that are no finite numbers")
    return samples


def _pearson(first: Floats, second: Floats) -> float:
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])
