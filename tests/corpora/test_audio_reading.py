import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import correlate

from esrt_privacy.corpora import audio
from esrt_privacy.corpora.audio import SAMPLE_RATE, audio_seconds, read_audio
from esrt_privacy.errors import AudioError


def lag(a, b) -> int:
    """Samples by which ``a`` comes later than ``b``."""
    size = min(a.size, b.size)
    return int(np.argmax(correlate(a[:size], b[:size], method="fft"))) - (size - 1)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp3", "libmp3lame"), ("a.opus", "libopus"), ("a.m4a", "aac"), ("a.webm", "libopus")],
)
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_lossy_formats_keep_length_and_alignment(tmp_path, murmur, coded, name, codec, rate):
    wave = murmur(6.1, rate)
    reference = tmp_path / "a.wav"
    soundfile.write(reference, wave, rate)
    reference = read_audio(reference)
    path = coded(tmp_path / name, wave, rate, codec)
    whole = read_audio(path)
    assert whole.dtype == np.float32 and whole.ndim == 1
    assert abs(whole.size - reference.size) <= 2
    assert audio_seconds(path) == pytest.approx(6.1, abs=0.02)
    assert lag(whole, reference) == 0
    assert np.corrcoef(whole[: reference.size], reference[: whole.size])[0, 1] > 0.95


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.aiff"])
def test_lossless_and_vorbis_are_read(write, name):
    assert read_audio(write(name, 0.5)).size == SAMPLE_RATE // 2


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.flac", "flac"), ("a.mp3", "libmp3lame"), ("a.opus", "libopus"), ("a.m4a", "aac"),
     ("a.webm", "libopus")],
)  # fmt: skip
def test_a_window_equals_that_stretch_of_the_whole(tmp_path, murmur, coded, name, codec):
    path = coded(tmp_path / name, murmur(9.0), 16_000, codec)
    whole, window = read_audio(path), read_audio(path, 3.0, 7.5)
    assert window.size == 72_000
    inner = slice(800, -800)  # resampling knows nothing beyond the window's edges
    assert np.corrcoef(whole[48_000:120_000][inner], window[inner])[0, 1] > 0.999


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 96_000])
def test_any_rate_becomes_16_khz_without_a_shift(tmp_path, rate):
    times = np.arange(round(2.0 * rate)) / rate
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 440 * times), rate, subtype="FLOAT")
    wave = read_audio(path)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(32_000) / SAMPLE_RATE)
    assert wave.size == 32_000
    assert np.abs(wave - expected)[400:-400].max() < 1e-3


def test_resampling_in_blocks_leaves_no_seam(tmp_path, monkeypatch, murmur):
    path = tmp_path / "a.wav"
    soundfile.write(path, murmur(5.0, 44_100), 44_100, subtype="FLOAT")
    at_once = read_audio(path)
    monkeypatch.setattr(audio, "_BLOCK_SECONDS", 1)
    assert np.abs(read_audio(path) - at_once).max() < 1e-5


def test_stereo_is_averaged(tmp_path):
    path = tmp_path / "stereo.wav"
    left, right = np.full(8_000, 0.5), np.full(8_000, -0.25)
    soundfile.write(path, np.stack([left, right], axis=1), 16_000, subtype="FLOAT")
    assert read_audio(path) == pytest.approx(np.full(8_000, 0.125))


def truncate(path: Path, share: float = 0.6) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_truncated_file_is_named_as_such(write, name):
    path = truncate(write(name, 4.0))
    with pytest.raises(AudioError, match=r"a\.\w+: .*truncated") as caught:
        read_audio(path)
    assert "\n" not in str(caught.value)


def test_truncated_m4a_with_its_index_in_front(tmp_path, murmur, coded):
    path = coded(tmp_path / "a.m4a", murmur(8.0), 16_000, "aac", movflags="faststart")
    assert read_audio(path).size == 128_000
    with pytest.raises(AudioError, match="truncated"):
        read_audio(truncate(path))


def test_damage_inside_a_flac_is_an_error(write):
    path = write("a.flac", 4.0)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4_000] = bytes(4_000)
    path.write_bytes(data)
    with pytest.raises(AudioError, match="damaged"):
        read_audio(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_samples_that_are_no_numbers_are_refused(tmp_path, murmur, bad, rate):
    wave = murmur(1.0, rate)
    wave[-1] = bad
    soundfile.write(tmp_path / "a.wav", wave, rate, subtype="FLOAT")
    with pytest.raises(AudioError, match="NaN or infinite"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize(
    "content",
    [b"", b"hello\n", b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nother.wav\n",
     b"ffconcat version 1.0\nfile other.wav\n", b"RIFF\x00\x00\x00\x00WAVE", bytes(5_000)],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a.wav", "a.raw", "a.m3u8"])
def test_what_is_no_audio_is_refused_in_one_line(tmp_path, write, content, name):
    write("other.wav")  # a playlist must not lead here
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AudioError) as caught:
        read_audio(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


def test_no_samples_missing_file_folder_and_pipe(tmp_path):
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    os.mkfifo(tmp_path / "pipe.wav")
    for name, why in [("empty.wav", "0 s"), ("gone.wav", "missing"), ("", "folder"),
                      ("pipe.wav", "no file"), ("x" * 300, "cannot be opened")]:  # fmt: skip
        with pytest.raises(AudioError, match=why):
            read_audio(tmp_path / name)


def test_a_recording_of_hours_is_refused_before_it_is_read(tmp_path):
    path, size = tmp_path / "long.wav", 5 * 3600 * 32_000
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    header = struct.pack("<4sI4s", b"RIFF", size + 36, b"WAVE") + fmt
    path.write_bytes(header + struct.pack("<4sI", b"data", size))
    os.truncate(path, size + 44)  # sparse: claims five hours, takes no room
    with pytest.raises(AudioError, match=r"5\.0 h"):
        read_audio(path)


def test_a_header_claiming_hours_over_a_few_bytes_is_refused(write):
    path = write("a.wav", 1.0)
    data = bytearray(path.read_bytes())
    data[40:44] = struct.pack("<I", 2_000_000_000)
    path.write_bytes(data)
    with pytest.raises(AudioError, match="truncated"):
        audio_seconds(path)


def test_a_wav_written_to_a_pipe_has_no_length_and_is_read(write):
    path = write("a.wav", 1.0)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert read_audio(path).size == SAMPLE_RATE


def test_a_flac_without_a_length_is_refused(write):
    path = write("a.flac", 1.0)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)  # STREAMINFO: total samples unknown
    path.write_bytes(data)
    with pytest.raises(AudioError, match="how long"):
        audio_seconds(path)


def test_implausible_rate_is_refused(tmp_path):
    soundfile.write(tmp_path / "slow.wav", np.zeros(10), 1)
    with pytest.raises(AudioError, match="implausible"):
        audio_seconds(tmp_path / "slow.wav")


def test_window_beyond_the_end_is_an_error(write):
    with pytest.raises(AudioError, match="no audio from 5 s"):
        read_audio(write("a.flac", 1.0), 5.0, 6.0)


def test_an_mp3_without_a_length_is_counted_not_guessed(tmp_path, murmur, coded):
    # without its Xing header a file of several bit rates looks half or four times as long
    plain = {"write_xing": "0", "id3v2_version": "0"}
    for name, rate in [("slow", 16_000), ("fast", 128_000)]:
        coded(tmp_path / f"{name}.mp3", murmur(4.0), 16_000, "libmp3lame", bit_rate=rate, **plain)
    slow, fast = ((tmp_path / f"{name}.mp3").read_bytes() for name in ("slow", "fast"))
    for order in (slow + fast, fast + slow):
        path = tmp_path / "both.mp3"
        path.write_bytes(order)
        assert audio_seconds(path) == pytest.approx(8.0, abs=0.3)
        assert read_audio(path).size / SAMPLE_RATE == pytest.approx(8.0, abs=0.3)
        assert read_audio(path, 6.0, 7.0).size == SAMPLE_RATE
