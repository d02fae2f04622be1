"""The frozen Whisper encoder: waveforms to log-mel to 1500 frames."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from esrt_privacy.errors import AssetError, SystemUnavailable, shown
from esrt_privacy.esrt.config import MEL_FRAMES, WINDOW_SAMPLES, EncoderConfig
from esrt_privacy.esrt.whisper import WhisperEncoder

WINDOW = 400  # samples: Whisper's analysis frames of 25 ms
HOP = 160  # samples: 10 ms
FLOOR = 1e-10  # of the mel power, before the logarithm


def log_mel(waves: Sequence[np.ndarray], mel_bins: int) -> Tensor:
    """Whisper's log-mel of waveforms (samples,) at 16 kHz, padded or cut to 30 s.

    Returns float32 (batch, mel_bins, 3000). Source: openai/whisper's audio.py (window, scaling, the
    clamp 8 under the maximum). Frames of nothing but padding all have one value, so they are filled
    in rather than transformed: most of a short recording's window.
    """
    kept = [np.asarray(wave[:WINDOW_SAMPLES], dtype=np.float32) for wave in waves]
    # A window of zeros behind the longest, so that the reflection at the end reflects silence.
    longest = max(len(wave) for wave in kept) + WINDOW
    samples = torch.zeros(len(kept), min(WINDOW_SAMPLES, -(-longest // HOP) * HOP))
    for row, wave in zip(samples, kept, strict=True):
        row[: len(wave)] = torch.from_numpy(wave)
    # A caller's autocast must not round the front end.
    with torch.autocast("cpu", enabled=False):
        spectrum = torch.stft(
            samples, WINDOW, HOP, window=torch.hann_window(WINDOW), return_complex=True
        )
        mel = mel_filters(mel_bins) @ spectrum[..., :-1].abs().square()
    logarithm = nn.functional.pad(
        mel.clamp(min=FLOOR).log10(), (0, MEL_FRAMES - mel.shape[-1]), value=math.log10(FLOOR)
    )
    peak = logarithm.amax(dim=(1, 2), keepdim=True)
    return (torch.maximum(logarithm, peak - 8.0) + 4.0) / 4.0


@cache
def mel_filters(mel_bins: int) -> Tensor:
    """Whisper's mel filter bank, float32 (mel bins, 201)."""
    from transformers import WhisperFeatureExtractor

    filters = WhisperFeatureExtractor(feature_size=mel_bins).mel_filters
    return torch.from_numpy(np.asarray(filters, dtype=np.float32).T).contiguous()


class Encoder(nn.Module):
    """A frozen Whisper encoder, without the decoder's weights."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.model = WhisperEncoder(config)
        self.requires_grad_(False)
        self.eval()

    @classmethod
    def from_folder(cls, folder: Path, config: EncoderConfig) -> Encoder:
        """Load the encoder from a `transformers` Whisper folder (model.safetensors, or shards).

        Raises AssetError where a file is missing or damaged, SystemUnavailable where the folder's
        sizes are not those of `config`.
        """
        _require_heads(folder, config)
        with torch.device("meta"):
            encoder = cls(config)
        found = _encoder_weights(folder)
        try:
            encoder.model.load_state_dict(found, assign=True)
        except RuntimeError as error:
            reason = shown(str(error).splitlines()[-1].strip())
            raise SystemUnavailable(
                f"{folder}: not the Whisper encoder of this system: {reason}"
            ) from error
        encoder.requires_grad_(False)
        return encoder.eval()

    def forward(self, mel: Tensor) -> Tensor:
        """(batch, mel_bins, 3000) -> the last layer's frames (batch, 1500, width)."""
        output: Tensor = self.model(mel)
        return output

    def layers(self, mel: Tensor) -> list[Tensor]:
        """Every layer's frames, index k as in the tap `encoder.k`; 0: the convolutions' output."""
        return list(self.model.states(mel))


def _require_heads(folder: Path, config: EncoderConfig) -> None:
    """The weights' shapes do not tell how many heads read them; the folder's config.json does."""
    path = folder / "config.json"
    if not path.is_file():
        return
    try:
        heads = json.loads(path.read_text(encoding="utf-8"))["encoder_attention_heads"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise AssetError(f"{path}: not the configuration of a Whisper ({shown(error)})") from error
    if heads != config.heads:
        raise SystemUnavailable(
            f"{folder}: not the Whisper encoder of this system: {shown(heads)} heads, not"
            f" {config.heads}"
        )


def _encoder_weights(folder: Path) -> dict[str, Tensor]:
    """Every weight of the encoder, so that a layer too many shows as well as one too few."""
    from safetensors import SafetensorError, safe_open

    # Hub folders may hold a second copy in another precision (model.fp32-00001-of-00002).
    files = [folder / "model.safetensors"]
    if not files[0].is_file():
        files = sorted(folder.glob("model-[0-9]*-of-[0-9]*.safetensors"))
    if not files:
        raise AssetError(f"{folder}: no Whisper weights here (model.safetensors is missing)")
    found: dict[str, Tensor] = {}
    for path in files:
        try:
            with safe_open(path, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (a safetensors file is no mapping)
                    name = key.removeprefix("model.")
                    if name.startswith("encoder."):
                        found[name.removeprefix("encoder.")] = file.get_tensor(key).float()
        except (OSError, SafetensorError) as error:
            raise AssetError(f"{path}: cannot be read as weights ({shown(error)})") from error
    return found
