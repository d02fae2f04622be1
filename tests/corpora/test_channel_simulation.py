import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate, sosfreqz

from esrt_privacy.corpora import Channel, Corpus, Utterance, channel


def rms(wave) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**63), samples=st.integers(1, 20_000))
def test_same_seed_same_sound_same_length(murmur_of, seed, samples):
    wave = murmur_of(samples)
    once, again = Channel(seed).apply(wave, 16_000), Channel(seed).apply(wave, 16_000)
    assert np.array_equal(once, again)
    assert once.shape == wave.shape and once.dtype == np.float32
    assert np.isfinite(once).all() and np.abs(once).max() <= 1.0


@pytest.fixture(scope="module")
def murmur_of():
    noise = np.random.default_rng(5).standard_normal(20_000).astype(np.float32) * 0.1
    return lambda samples: noise[:samples]


def test_channels_differ_from_seed_to_seed(murmur):
    wave = murmur(2.0)
    sounds = [Channel(seed).apply(wave, 16_000) for seed in range(4)]
    for i in range(4):
        for j in range(i):
            assert rms(sounds[i] - sounds[j]) > 0.1 * rms(wave)


def test_speech_stays_where_it_was_and_as_loud(murmur):
    wave = np.concatenate([np.zeros(8_000, np.float32), murmur(2.0)])
    for seed in range(12):  # both codecs and both noises come up
        sound = Channel(seed).apply(wave, 16_000)
        lag = int(np.argmax(correlate(sound, wave, method="fft"))) - (wave.size - 1)
        assert abs(lag) <= 8  # half a millisecond: the equaliser's own phase
        assert rms(sound) == pytest.approx(rms(wave), rel=0.05)
        assert rms(sound[:7_000]) < 0.35 * rms(sound[8_000:])  # no echo before its sound


def test_silence_stays_silence():
    assert not Channel(1).apply(np.zeros(16_000, np.float32), 16_000).any()
    assert Channel(1).apply(np.zeros(0, np.float32), 16_000).size == 0


def test_input_is_left_untouched(murmur):
    wave = murmur(0.5)
    before = wave.copy()
    Channel(3).apply(wave, 16_000)
    assert np.array_equal(wave, before)


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
def test_other_rates_keep_their_length(murmur, rate):
    wave = murmur(1.0, rate)
    assert Channel(2).apply(wave, rate).size == wave.size


@pytest.mark.parametrize("codec", channel.CODECS)
def test_a_codec_alone_keeps_the_waveform_aligned(murmur, monkeypatch, codec):
    monkeypatch.setattr(channel, "CODECS", (codec,))
    wave = murmur(3.0).astype(np.float64)
    coded = channel._through_codec(wave, 16_000, np.random.default_rng(0))
    assert coded.size == wave.size
    assert np.corrcoef(coded, wave)[0, 1] > 0.9


def test_noise_has_the_signal_to_noise_ratio_drawn(murmur, monkeypatch):
    monkeypatch.setattr(channel, "SNR_DB", (20.0, 20.0))
    wave = murmur(2.0).astype(np.float64)
    for seed in range(4):
        noisy = channel._with_noise(wave, np.random.default_rng(seed))
        assert 20 * np.log10(rms(wave) / rms(noisy - wave)) == pytest.approx(20.0, abs=1e-6)


def test_room_falls_by_60_db_within_its_reverberation_time(monkeypatch):
    monkeypatch.setattr(channel, "RT60_SECONDS", (0.4, 0.4))
    click = np.zeros(16_000)
    click[0] = 1.0
    response = channel._through_room(click, 16_000, np.random.default_rng(0))
    assert response[0] == pytest.approx(1.0, abs=1e-6)
    assert np.abs(response[1:30]).max() < 1e-9  # the first reflection comes 2 ms later at least
    early, late = rms(response[1_600:2_000]), rms(response[4_800:5_200])  # 0.2 s apart
    assert 20 * np.log10(early / late) == pytest.approx(30.0, abs=2.0)
    assert np.abs(response[6_401:]).max() < 1e-9


def test_biquads_have_their_gain_where_they_should():
    def gain_db(section, frequency):
        _, response = sosfreqz(np.array([section]), worN=[frequency], fs=16_000)
        return 20 * np.log10(abs(response[0]))

    assert gain_db(channel._peak(16_000, 1_000, 6.0, 1.0), 1_000) == pytest.approx(6.0)
    assert gain_db(channel._peak(16_000, 1_000, 6.0, 1.0), 0) == pytest.approx(0.0)
    low, high = channel._low_shelf(16_000, 300, -6.0), channel._high_shelf(16_000, 3_000, 9.0)
    assert gain_db(low, 0) == pytest.approx(-6.0) and gain_db(low, 300) == pytest.approx(-3.0)
    assert gain_db(low, 7_999) == pytest.approx(0.0, abs=1e-3)
    assert gain_db(high, 0) == pytest.approx(0.0) and gain_db(high, 3_000) == pytest.approx(4.5)
    assert gain_db(high, 7_999) == pytest.approx(9.0, abs=1e-3)


def test_each_utterance_of_a_corpus_gets_its_own_channel(write):
    path = write("a.wav", 0.5)
    corpus = Corpus("x", tuple(Utterance(i, path) for i in "abc"))
    through = corpus.with_channel(7)
    assert len({u.channel for u in through}) == 3
    assert through.utterances == corpus.with_channel(7).utterances
    assert through.utterances != corpus.with_channel(8).utterances
    assert len({u.fingerprint for u in through}) == 3
    a, b, _ = through
    assert not np.array_equal(a.waveform(), b.waveform())
