"""An ESRT system small enough to be drawn anew for each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from transformers import WhisperConfig, WhisperModel

from esrt_privacy.esrt.config import EncoderConfig, QFormerConfig, SystemConfig
from esrt_privacy.esrt.edge import Edge
from esrt_privacy.esrt.encoder import Encoder
from esrt_privacy.esrt.qformer import QFormer

if TYPE_CHECKING:
    from esrt_privacy.esrt.model import EsrtModel, ModelConfig

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


@pytest.fixture(scope="session")
def llm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Gemma 3 text model with its tokenizer."""
    from tests import tiny_llm

    return tiny_llm.write_llm(tmp_path_factory.mktemp("llm"))


@pytest.fixture
def model_config(tiny_system: Path, llm_folder: Path) -> ModelConfig:
    """A whole model around the tiny system: 8 (or 4) x 24 on the wire, an LLM of width 48."""
    return tiny_model_config(tiny_system, llm_folder)


@pytest.fixture
def model(model_config: ModelConfig, tiny_system: Path) -> EsrtModel:
    """That model with adapters that change something: neither LoRA nor tag rows as they start."""
    return tiny_model(model_config, tiny_system)


def tiny_model_config(tiny_system: Path, llm_folder: Path) -> ModelConfig:
    """As the fixture `model_config`."""
    from esrt_privacy.esrt.edge import read_config
    from esrt_privacy.esrt.model_config import ModelConfig
    from tests import tiny_llm

    edge = read_config(tiny_system)
    return ModelConfig(edge, str(llm_folder), tiny_llm.WIDTH, lora_rank=4, lora_alpha=8)


def tiny_model(model_config: ModelConfig, tiny_system: Path) -> EsrtModel:
    """As the fixture `model`."""
    from esrt_privacy.esrt.model import EsrtModel

    torch.manual_seed(5)
    made = EsrtModel.create(model_config, tiny_system)
    with torch.no_grad():
        for name, weight in made.llm.named_parameters():
            if "lora_B" in name:
                weight.add_(0.1 * torch.randn_like(weight))
            elif "trainable_tokens" in name:  # little: or every answer is made of tags
                weight.add_(0.01 * torch.randn_like(weight))
    return made.eval()


@pytest.fixture
def wire() -> torch.Tensor:
    return torch.randn(3, 8, 24, generator=torch.Generator().manual_seed(6)).bfloat16()
