"""The frozen Whisper encoder: waveforms to log-mel to 1500 frames."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from esrt_privacy.errors import AssetError, SystemUnavailable, shown
from esrt_privacy.esrt.config import SAMPLE_RATE, WINDOW_SAMPLES, WINDOW_SECONDS, EncoderConfig


def log_mel(waves: Sequence[np.ndarray], mel_bins: int) -> Tensor:
    """Whisper's log-mel of waveforms (samples,) at 16 kHz, padded or cut to 30 s.

    Returns float32 (batch, mel_bins, 3000). Source: `transformers`' WhisperFeatureExtractor, the
    filter bank, window and scaling of openai/whisper's audio.py.
    """
    extractor = _extractor(mel_bins)
    # A caller's autocast must not round the front end.
    with torch.autocast("cpu", enabled=False):
        features = extractor(
            [np.asarray(wave[:WINDOW_SAMPLES], dtype=np.float32) for wave in waves],
            sampling_rate=SAMPLE_RATE,
            return_tensors="pt",
        )
    mel: Tensor = features.input_features
    return mel


_EXTRACTORS: dict[int, WhisperFeatureExtractor] = {}


def _extractor(mel_bins: int) -> WhisperFeatureExtractor:
    # Building the filter bank takes longer than a batch: one a process.
    if mel_bins not in _EXTRACTORS:
        _EXTRACTORS[mel_bins] = WhisperFeatureExtractor(
            feature_size=mel_bins, sampling_rate=SAMPLE_RATE, chunk_length=WINDOW_SECONDS
        )
    return _EXTRACTORS[mel_bins]


class Encoder(nn.Module):
    """A frozen Whisper encoder, without the decoder's weights."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.model = WhisperEncoder(
            WhisperConfig(
                num_mel_bins=config.mel_bins,
                d_model=config.width,
                encoder_layers=config.layers,
                encoder_attention_heads=config.heads,
                encoder_ffn_dim=config.feed_forward,
                attn_implementation="sdpa",  # type: ignore[call-arg]  # taken by **kwargs
            )
        )
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
        output: Tensor = self.model(mel).last_hidden_state
        return output

    def layers(self, mel: Tensor) -> list[Tensor]:
        """Every layer's frames, index k as in the tap `encoder.k`; 0: the convolutions' output."""
        output = self.model(mel, output_hidden_states=True)
        return list(output.hidden_states)


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
