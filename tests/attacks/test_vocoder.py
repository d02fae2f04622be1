"""Mel inversion and Griffin-Lim: no training, so what they lose is the ceiling of every attack."""

import numpy as np
import pytest
import torch

from esrt_privacy.attacks.vocoder import HOP, mel_filters, power_spectrum, waveform
from esrt_privacy.corpora import load_corpus
from esrt_privacy.esrt.encoder import log_mel
from esrt_privacy.measures.speech import stoi
from tests.tiny import speech_like


def true_mel(wave: np.ndarray, mel_bins: int = 80) -> torch.Tensor:
    frames = -(-len(wave) // HOP)
    return log_mel([wave], mel_bins)[0].T[:frames]


@pytest.mark.parametrize("mel_bins", [80, 128])
def test_speech_from_its_true_mel_is_intelligible(mel_bins):
    wave = speech_like(140, 700, 2.5, seed=3)
    assert stoi(wave, waveform(true_mel(wave, mel_bins))) > 0.9


@pytest.mark.speech
def test_recorded_speech_from_its_true_mel_is_intelligible(speech_folder):
    recorded = load_corpus(speech_folder).select(corpus="vctk")
    for utterance in recorded.utterances[:3]:
        wave = utterance.waveform()
        assert stoi(wave, waveform(true_mel(wave))) > 0.9


def test_the_same_frames_give_the_same_sound():
    mel = true_mel(speech_like(110, 900, 1.2, seed=4))
    torch.manual_seed(1)
    first = waveform(mel)
    torch.manual_seed(2)
    assert np.array_equal(first, waveform(mel))


def test_the_power_spectrum_is_not_negative_and_fits_the_mel():
    mel = true_mel(speech_like(110, 900, 1.2, seed=5))
    power = power_spectrum(mel)
    assert power.shape == (201, len(mel) + 1)
    assert bool((power >= 0).all())
    wanted = 10.0 ** (4.0 * mel.T - 4.0)
    fitted = mel_filters(80) @ power[:, :-1]
    assert float((fitted - wanted).norm() / wanted.norm()) < 0.05


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 3000])
def test_any_number_of_frames_becomes_as_much_sound(frames):
    wave = waveform(torch.full((frames, 80), -0.5))
    assert wave.shape == (frames * HOP,)
    assert wave.dtype == np.float32
    assert np.isfinite(wave).all()


def test_frames_out_of_range_give_a_finite_sound_within_full_scale():
    wave = waveform(torch.randn(60, 80) * 50)
    assert np.isfinite(wave).all()
    assert np.abs(wave).max() <= 1.0
