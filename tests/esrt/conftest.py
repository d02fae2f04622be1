"""An ESRT system small enough to be drawn anew for each test."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperConfig, WhisperModel

from esrt_privacy.esrt.config import EncoderConfig, QFormerConfig, SystemConfig
from esrt_privacy.esrt.edge import Edge
from esrt_privacy.esrt.encoder import Encoder
from esrt_privacy.esrt.qformer import QFormer

TINY = SystemConfig(
    "tiny",
    EncoderConfig("tiny-whisper", mel_bins=80, width=32, layers=2, heads=2, feed_forward=64),
    QFormerConfig(
        layers=2,
        hidden=32,
        heads=2,
        feed_forward=64,
        cross_attention_frequency=1,
        query_sets=(8, 4),
    ),
    queries=8,
)


@pytest.fixture
def tiny() -> SystemConfig:
    return TINY


@pytest.fixture
def qformer() -> QFormer:
    torch.manual_seed(1)
    drawn = QFormer(TINY.qformer, TINY.encoder).eval()
    # As drawn, weights of deviation 0.02 hardly let the frames through.
    with torch.no_grad():
        for name, weight in drawn.model.named_parameters():
            if weight.ndim == 2:
                weight.mul_(20 if "crossattention" in name else 5)
    return drawn


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.randn(3, 1500, 32, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def edge(qformer: QFormer) -> Edge:
    torch.manual_seed(3)
    encoder = Encoder(TINY.encoder)
    encoder.model.conv1.weight.mul_(20)
    return Edge(TINY, encoder, qformer)


@pytest.fixture
def whisper() -> WhisperModel:
    """A whole Whisper, decoder too, of the tiny encoder's sizes."""
    torch.manual_seed(4)
    encoder = TINY.encoder
    config = WhisperConfig(
        vocab_size=64,
        num_mel_bins=encoder.mel_bins,
        d_model=encoder.width,
        encoder_layers=encoder.layers,
        encoder_attention_heads=encoder.heads,
        encoder_ffn_dim=encoder.feed_forward,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    return WhisperModel(config).eval()


@pytest.fixture
def whisper_folder(whisper: WhisperModel, tmp_path: Path) -> Path:
    whisper.save_pretrained(tmp_path / "whisper")
    return tmp_path / "whisper"


@pytest.fixture
def tone() -> Callable[..., np.ndarray]:
    """tone(seconds, seed) -> a gliding tone in noise, float32 (samples,) at 16 kHz."""

    def made(seconds: float, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        time = np.arange(round(seconds * 16_000)) / 16_000
        pitch = np.sin(2 * np.pi * (200 + 100 * seed) * time * (1 + 0.05 * time))
        return (0.3 * pitch + 0.02 * rng.standard_normal(time.size)).astype(np.float32)

    return made
