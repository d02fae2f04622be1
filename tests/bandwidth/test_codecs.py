import base64
import io
import json

import numpy as np
import pytest
import soundfile
from scipy.signal import correlate

from esrt_privacy.bandwidth.codecs import audio_formats, encode_all
from esrt_privacy.measures.speech import stoi

FORMATS = {each.name: each for each in audio_formats()}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_comes_back_at_its_length_and_in_its_place(name, sound):
    each = FORMATS[name]
    decoded = each.decode(each.encode(sound))
    assert decoded.dtype == np.float32
    assert abs(decoded.size - sound.size) <= 16_000 * 0.06
    similarity = correlate(decoded, sound, method="fft")
    lag = int(np.argmax(similarity)) - (sound.size - 1)
    assert abs(lag) <= 4  # samples: the codec's delay is taken out again
    assert stoi(sound, decoded) > 0.6


@pytest.mark.parametrize("name", [n for n, each in FORMATS.items() if each.lossless])
def test_lossless_formats_give_the_16_bit_samples_back(name, sound):
    given = (np.round(sound * 20_000) / 32_768).astype(np.float32)
    each = FORMATS[name]
    np.testing.assert_array_equal(each.decode(each.encode(given)), given)


def test_wav_sizes_are_header_and_samples(sound):
    assert len(FORMATS["wav-16"].encode(sound)) == 44 + 2 * sound.size
    float32 = len(FORMATS["wav-float32"].encode(sound))
    assert 4 * sound.size < float32 <= 4 * sound.size + 100


def test_json_holds_the_wav_in_base64_as_a_cloud_api_takes_it(sound):
    body = json.loads(FORMATS["wav-16-json"].encode(sound))
    assert body["config"]["encoding"] == "LINEAR16"
    content = base64.b64decode(body["audio"]["content"])
    assert content == FORMATS["wav-16"].encode(sound)


def test_files_are_what_other_software_reads(sound):
    kinds = {"wav-16": "WAV", "flac": "FLAC", "opus-16": "OGG", "mp3-32": "MP3"}
    for name, kind in kinds.items():
        with soundfile.SoundFile(io.BytesIO(FORMATS[name].encode(sound))) as file:
            assert file.format == kind
            assert file.channels == 1


def test_more_bits_are_more_bytes_and_the_same_sound_gives_the_same_bytes(sound):
    bodies = encode_all(sound, audio_formats())
    opus = [len(bodies[f"opus-{kbit}"]) for kbit in (6, 8, 12, 16, 24, 32)]
    assert opus == sorted(opus)
    assert len(bodies["flac"]) < len(bodies["wav-16"]) < len(bodies["wav-float32"])
    assert encode_all(sound, audio_formats()) == bodies


def test_opus_keeps_near_the_rate_that_was_asked_for(sound):
    long = np.tile(sound, 5)
    for kbit in (16, 32):
        size = len(FORMATS[f"opus-{kbit}"].encode(long))
        assert size * 8 / 10 / 1_000 == pytest.approx(kbit, rel=0.35)


@pytest.mark.parametrize("wave", [np.zeros(0, np.float32), np.zeros((2, 100), np.float32)])
def test_what_is_no_waveform_is_refused(wave):
    with pytest.raises(ValueError, match="shape"):
        FORMATS["wav-16"].encode(wave)


def test_a_sound_of_one_sample_can_be_sent():
    for each in FORMATS.values():
        assert each.decode(each.encode(np.full(1, 0.1, np.float32))).size >= 1
