"""Spectrograms of sounds, as PNG."""

import io

import numpy as np

from esrt_privacy.reports.figures.style import styled

SPECTROGRAM_SIZE = (4.0, 1.75)  # inches
SPECTROGRAM_DPI = 130
FRAME_SECONDS = 0.025
HOP_SECONDS = 0.010
DYNAMIC_RANGE_DB = 70.0
TOP_HERTZ = 8_000.0


def spectrogram_db(wave: np.ndarray, rate: int) -> np.ndarray:
    """Short-time power spectrum in dB below its own peak, (frequencies, frames), float32.

    Hann window of 25 ms every 10 ms; floored at -70 dB. Silence is all floor.
    """
    size = max(round(FRAME_SECONDS * rate), 2)
    hop = max(round(HOP_SECONDS * rate), 1)
    padded = np.pad(wave.astype(np.float64), (size // 2, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(size), n=2 * size, axis=1)) ** 2
    peak = power.max()
    if not peak > 0:
        return np.full(power.T.shape, -DYNAMIC_RANGE_DB, dtype=np.float32)
    decibels = 10 * np.log10(np.maximum(power / peak, 10 ** (-DYNAMIC_RANGE_DB / 10)))
    return decibels.T.astype(np.float32)


@styled
def spectrogram_png(wave: np.ndarray, rate: int, seconds: float) -> bytes:
    """Picture of a waveform (samples,) from 0 to `seconds`, so that several share one time axis."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SPECTROGRAM_SIZE)
    axes = figure.add_axes((0.085, 0.215, 0.9, 0.745))
    axes.imshow(
        spectrogram_db(wave, rate),
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=-DYNAMIC_RANGE_DB,
        vmax=0,
        extent=(0, len(wave) / rate, 0, rate / 2000),
        interpolation="bilinear",
    )
    axes.set_xlim(0, max(seconds, HOP_SECONDS))
    axes.set_ylim(0, min(TOP_HERTZ, rate / 2) / 1000)
    axes.set_facecolor("#f1f3f5")  # after the sound's end there is nothing, not silence
    axes.set_yticks([0, 2, 4, 6, 8])
    axes.tick_params(labelsize=8)
    axes.set_xlabel("seconds", fontsize=8, labelpad=1)
    axes.set_ylabel("kHz", fontsize=8, labelpad=1)
    figure.set_dpi(SPECTROGRAM_DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return _few_colours(np.asarray(canvas.buffer_rgba()))


def _few_colours(drawn: np.ndarray) -> bytes:
    """(height, width, 4) as PNG with 192 colours of the map and 64 greys, at about a third of the size of all."""
    from matplotlib import colormaps
    from PIL import Image

    shades = (255 * colormaps["magma"](np.linspace(0, 1, 192))[:, :3]).round().astype(np.uint8)
    greys = np.repeat(np.linspace(0, 255, 64).round().astype(np.uint8)[:, None], 3, axis=1)
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([shades, greys]).tobytes())
    small = io.BytesIO()
    picture = Image.fromarray(drawn[..., :3])
    reduced = picture.quantize(palette=palette, dither=Image.Dither.NONE)
    reduced.save(small, format="png", compress_level=6)  # more takes long for a twentieth
    return small.getvalue()
