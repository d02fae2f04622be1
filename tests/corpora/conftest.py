"""Small recordings, written as each test needs them."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

Wave = np.ndarray
Writer = Callable[..., Path]


def murmur(seconds: float, rate: int = 16_000, seed: int = 0) -> Wave:
    """Noise below 3 kHz that swells three times a second: a stand-in for speech, (samples,)."""
    samples = round(seconds * rate)
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum[np.fft.rfftfreq(samples, 1 / rate) > 3_000] = 0
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * np.arange(samples) / rate)
    wave = np.fft.irfft(spectrum, samples) * swell
    return (0.3 * wave / max(np.abs(wave).max(), 1e-9)).astype(np.float32)


def write_coded(
    path: Path, wave: Wave, rate: int, codec: str, bit_rate: int = 64_000, **options: str
) -> Path:
    """Write one channel through PyAV."""
    with av.open(str(path), "w", options=options) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(wave[None, :], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        to_codec = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate)
        for part in to_codec.resample(frame):
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return path


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, named to the package."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("ESRT_PRIVACY_CACHE", str(folder))
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """write("a/b.flac", seconds=1.0, rate=16_000, seed=0) -> path of a recording in tmp_path."""

    def written(name: str, seconds: float = 1.0, rate: int = 16_000, seed: int = 0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, murmur(seconds, rate, seed), rate)
        return path

    return written


@pytest.fixture
def coded() -> Callable[..., Path]:
    return write_coded


@pytest.fixture(name="murmur")
def _murmur() -> Callable[..., Wave]:
    return murmur
