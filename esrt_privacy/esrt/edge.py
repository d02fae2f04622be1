"""The edge half: waveforms in, wire tensors out. Nothing else leaves the device."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from esrt_privacy.errors import AssetError, SystemUnavailable, shown
from esrt_privacy.esrt.config import SystemConfig
from esrt_privacy.esrt.encoder import Encoder, log_mel
from esrt_privacy.esrt.qformer import QFormer
from esrt_privacy.weights import fingerprint

CONFIG_FILE = "config.json"
ADAPTER_FILE = "qformer.safetensors"


class Edge(nn.Module):
    """Whisper encoder and Q-Former of one system."""

    def __init__(self, config: SystemConfig, encoder: Encoder, qformer: QFormer) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.qformer = qformer
        self.eval()

    @classmethod
    def from_adapter(
        cls, folder: Path, encoder_folder: Path, queries: int | None = None, name: str | None = None
    ) -> Edge:
        """Load an adapter folder (config.json, qformer.safetensors) on top of a Whisper folder.

        `queries` chooses another of the adapter's query sets than its configuration does.
        Raises SystemUnavailable or AssetError with the file's name where something does not fit.
        """
        config = read_config(folder)
        config = SystemConfig(
            name or config.name, config.encoder, config.qformer, queries or config.queries
        )
        encoder = Encoder.from_folder(encoder_folder, config.encoder)
        return cls(config, encoder, load_qformer(folder, config))

    @torch.inference_mode()
    def forward(self, mel: Tensor) -> Tensor:
        """(batch, mel bins, 3000) -> wire tensor, bfloat16 (batch, queries, hidden)."""
        return self.qformer(self.encoder(mel), self.config.queries).to(torch.bfloat16)

    def encode(self, waves: Sequence[np.ndarray]) -> Tensor:
        """Waveforms (samples,) at 16 kHz, up to 30 s -> wire tensor (batch, queries, hidden)."""
        wire: Tensor = self(log_mel(waves, self.config.encoder.mel_bins))
        return wire

    @cached_property
    def encoder_fingerprint(self) -> str:
        """SHA-256 of the encoder's weights."""
        return fingerprint(self.encoder.model)

    @cached_property
    def wire_fingerprint(self) -> str:
        """SHA-256 of everything that decides the wire tensor: encoder, Q-Former, query set."""
        parts = (self.encoder_fingerprint, fingerprint(self.qformer), str(self.config.queries))
        return hashlib.sha256("|".join(parts).encode()).hexdigest()


def read_config(folder: Path) -> SystemConfig:
    """The configuration of an adapter folder.

    Raises AssetError where there is none, SystemUnavailable where it is malformed.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise AssetError(f"{folder}: no adapter here ({CONFIG_FILE} is missing)")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise AssetError(f"{path}: cannot be read ({shown(error)})") from error
    return SystemConfig.from_json(text, path)


def save_adapter(
    folder: Path, config: SystemConfig, qformer: QFormer, dtype: torch.dtype = torch.float16
) -> None:
    """Write config.json and qformer.safetensors into `folder`, the weights in `dtype`."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(config.to_json() + "\n", encoding="utf-8")
    weights = {k: v.detach().to("cpu", dtype).contiguous() for k, v in qformer.state_dict().items()}
    save_file(weights, folder / ADAPTER_FILE)


def load_qformer(folder: Path, config: SystemConfig) -> QFormer:
    """Read qformer.safetensors. Raises AssetError or SystemUnavailable, naming the file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / ADAPTER_FILE
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise AssetError(f"{path}: cannot be read as an adapter ({shown(error)})") from error
    with torch.device("meta"):
        qformer = QFormer(config.qformer, config.encoder)
    try:
        # A Q-Former without text input has no non-persistent buffers: nothing stays on meta.
        qformer.load_state_dict({k: v.float() for k, v in weights.items()}, assign=True)
    except RuntimeError as error:
        reason = shown(str(error).splitlines()[-1].strip())
        raise SystemUnavailable(f"{path}: not an adapter of these sizes: {reason}") from error
    return qformer.requires_grad_(False).eval()
