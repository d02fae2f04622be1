import json
import math

import numpy as np
import pytest
from scipy.signal import butter, resample_poly, sosfilt

from esrt_privacy.measures import speech
from esrt_privacy.measures.speech import (
    cepstral_distance,
    envelope_correlation,
    estoi,
    f0_correlation,
    f0_track,
    log_energy,
    mcd_dtw,
    mel_cepstra,
    relative_length_error,
    stoi,
)

RATE = 16_000


def voice(seconds=2.0, pitch=(120.0, 180.0), seed=0):
    """A buzz whose pitch glides, in four syllables a second through two moving formants."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    frequency = np.linspace(*pitch, len(time))
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    buzz = sum(np.cos(k * phase) for k in range(1, 20))
    blocks = np.array_split(buzz, int(seconds * 8))
    shaped = []
    for block in blocks:
        low, high = rng.uniform(300, 800), rng.uniform(1000, 2500)
        shaped.append(
            sosfilt(butter(1, (low * 0.8, low * 1.2), "bandpass", fs=RATE, output="sos"), block)
            + sosfilt(butter(1, (high * 0.9, high * 1.1), "bandpass", fs=RATE, output="sos"), block)
        )
    syllables = 0.1 + np.sin(2 * np.pi * 2 * time) ** 2
    return np.concatenate(shaped) * syllables * 0.1 + rng.normal(0, 1e-4, len(time))


@pytest.fixture(scope="module")
def clean():
    return voice()


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(5).normal(0, 0.1, 2 * RATE)


@pytest.mark.parametrize("measure", [stoi, estoi])
def test_intelligibility_is_one_for_itself_falls_with_noise_and_ends_near_none(
    measure, clean, noise
):
    assert measure(clean, clean) == pytest.approx(1.0, abs=1e-6)
    slightly, badly = (measure(clean, clean + share * noise) for share in (0.2, 2.0))
    assert 1 > slightly > badly
    assert measure(clean, noise) < 0.5


@pytest.mark.parametrize("measure", [stoi, estoi])
def test_intelligibility_of_too_short_or_silent_recordings(measure, clean):
    assert math.isnan(measure(clean[:4000], clean[:4000]))  # 0.25 s: pystoi would say 1e-5
    assert math.isnan(measure(clean[:100], clean[:100]))
    assert math.isnan(measure([], clean))
    assert math.isnan(measure(np.zeros(RATE), clean))
    assert measure(clean, np.zeros(RATE)) == 0.0


@pytest.mark.parametrize("measure", [stoi, estoi, envelope_correlation, f0_correlation])
def test_degraded_is_brought_to_the_true_length(measure, clean, noise):
    assert measure(clean, np.r_[clean, noise]) == pytest.approx(measure(clean, clean))
    cut = clean[: len(clean) * 3 // 4]
    padded = np.r_[cut, np.zeros(len(clean) - len(cut))]
    assert measure(clean, cut) == pytest.approx(measure(clean, padded))


def test_estoi_is_repeatable_and_leaves_the_global_generator_alone(clean, noise):
    np.random.seed(1)
    expected = np.random.random()
    np.random.seed(1)
    first = estoi(clean, clean + noise)
    assert np.random.random() == expected
    assert estoi(clean, clean + noise) == first


def test_cepstral_distance_matches_a_hand_computed_value():
    # d = (0.3, 0.4): 10/ln 10 · sqrt(2 · 0.25) = 4.34294 · 0.70711
    assert cepstral_distance([[1.0, 2.0]], [[1.3, 2.4]]) == pytest.approx([3.07092], abs=1e-5)


def test_cepstral_distance_is_the_rms_difference_of_log_spectra_in_decibel():
    # A ripple of 2·a·cos(3θ) in ln power has c_3 = a and an RMS of 10/ln 10 · a·sqrt(2) dB.
    theta = np.pi * (np.arange(40) + 0.5) / 40
    ripple = 10 / np.log(10) * 2 * 0.25 * np.cos(3 * theta)
    coefficients = np.zeros((1, 13))
    coefficients[0, 2] = 0.25
    found = cepstral_distance(coefficients, np.zeros((1, 13)))
    assert found == pytest.approx([np.sqrt(np.mean(ripple**2))])


def test_mel_cepstra_are_the_cosine_series_of_log_power(clean, monkeypatch):
    import librosa

    theta = np.pi * (np.arange(speech.MEL_BANDS) + 0.5) / speech.MEL_BANDS
    power = np.exp(1.0 + 2 * 0.5 * np.cos(theta) + 2 * 0.25 * np.cos(4 * theta))[:, None]
    monkeypatch.setattr(librosa.feature, "melspectrogram", lambda **_: power)
    expected = np.zeros(13)
    expected[[0, 3]] = 0.5, 0.25
    assert mel_cepstra(clean) == pytest.approx(expected[None], abs=1e-6)


def test_mcd_ignores_loudness_and_tempo_and_hears_another_spectrum(clean, noise):
    assert mcd_dtw(clean, clean) == pytest.approx(0.0, abs=1e-6)
    assert mcd_dtw(clean, 0.1 * clean) == pytest.approx(0.0, abs=1e-6)
    slowed = np.repeat(clean.reshape(-1, 400), 2, axis=0).ravel()  # every 25 ms said twice
    assert mcd_dtw(clean, slowed) < 0.5 * mcd_dtw(clean, noise)
    assert mcd_dtw(clean, noise) > 5
    assert math.isnan(mcd_dtw(clean, np.zeros(RATE)))
    assert math.isnan(mcd_dtw([], clean))


def test_f0_track_follows_a_glide():
    track = f0_track(voice(pitch=(120, 180)))
    true = np.interp(np.arange(len(track)) * speech.F0_HOP, [0, 2], [120, 180])
    voiced = np.isfinite(track)
    assert voiced.mean() > 0.5
    assert np.median(np.abs(track[voiced] / true[voiced] - 1)) < 0.02


def test_f0_track_holds_under_mains_hum(clean):
    hum = 0.1 * np.sin(2 * np.pi * 50 * np.arange(len(clean)) / RATE)
    track = f0_track(clean + hum)
    assert np.nanmedian(track) == pytest.approx(np.nanmedian(f0_track(clean)), rel=0.05)


def test_f0_correlation_tells_a_rise_from_a_fall(clean):
    rise, fall = voice(pitch=(120, 180), seed=3), voice(pitch=(180, 120), seed=3)
    assert f0_correlation(clean, rise) > 0.9
    assert f0_correlation(clean, fall) < -0.9
    track = f0_track(clean)
    assert f0_correlation(clean, rise, reference_track=track) == f0_correlation(clean, rise)


def test_f0_correlation_without_voice_is_undefined(clean, noise):
    assert math.isnan(f0_correlation(clean, np.zeros(RATE)))
    assert math.isnan(f0_correlation(clean[:500], clean[:500]))
    with pytest.raises(ValueError, match="reference_track"):
        f0_correlation(clean, clean, reference_track=np.zeros(3))


def test_log_energy_is_in_decibel_under_the_peak():
    wave = np.r_[np.ones(RATE), 0.1 * np.ones(RATE), np.zeros(RATE)]
    levels = log_energy(wave)
    assert levels[[10, 150, 250]] == pytest.approx([0, -20, -60])
    assert len(levels) == 1 + (3 * RATE - 400) // 160


def test_envelope_correlation_hears_rhythm_not_loudness_or_words(clean):
    carrier = np.random.default_rng(2).normal(size=len(clean))
    rhythm = 0.1 + np.sin(2 * np.pi * 2 * np.arange(len(clean)) / RATE) ** 2
    assert envelope_correlation(clean, 0.2 * clean) == pytest.approx(1.0)
    assert envelope_correlation(clean, carrier * rhythm) > 0.6
    assert abs(envelope_correlation(clean, carrier)) < 0.3
    assert math.isnan(envelope_correlation(clean, np.zeros(RATE)))
    assert math.isnan(envelope_correlation(clean[:100], clean))


def test_relative_length_error_is_a_share_of_the_true_length():
    assert relative_length_error(4.0, 5.0) == 0.25
    assert relative_length_error(4.0, 3.0) == 0.25
    assert math.isnan(relative_length_error(0.0, 1.0))


def test_waveforms_that_are_none_are_refused(clean):
    with pytest.raises(ValueError, match=r"\(samples,\)"):
        stoi(np.zeros((2, RATE)), clean)
    with pytest.raises(ValueError, match="finite"):
        stoi(clean, np.full(RATE, np.nan))


@pytest.mark.speech
def test_measures_of_recorded_speech_rank_a_telephone_band_above_another_utterance(speech_folder):
    import soundfile

    rows = [json.loads(line) for line in (speech_folder / "manifest.jsonl").open(encoding="utf-8")]
    paths = [row["audio"] for row in rows if row["corpus"] == "vctk" and row["duration"] > 3][:2]
    waves = []
    for path in paths:
        wave, rate = soundfile.read(speech_folder / path)
        waves.append(resample_poly(wave, RATE, rate))
    own, other = waves
    narrow = sosfilt(butter(4, (300, 3400), "bandpass", fs=RATE, output="sos"), own)
    assert stoi(own, narrow) > 0.8 > 0.5 > stoi(own, other)
    assert estoi(own, narrow) > estoi(own, other)
    assert envelope_correlation(own, narrow) > envelope_correlation(own, other)
    assert mcd_dtw(own, own) < mcd_dtw(own, narrow)
    hiss = np.random.default_rng(0).normal(0, 0.2 * own.std(), len(own))
    assert f0_correlation(own, own + hiss) > 0.9
    assert 60 < np.nanmedian(f0_track(own)) < 300
