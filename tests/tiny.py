"""The smallest things that an audit runs on: an ESRT system, judges and speech-like recordings, all made from seeds."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import torch

from esrt_privacy.attacks.hearing import Judge
from esrt_privacy.esrt.config import EncoderConfig, QFormerConfig, SystemConfig
from esrt_privacy.esrt.edge import save_adapter
from esrt_privacy.esrt.qformer import QFormer
from esrt_privacy.judges.recogniser import Recogniser
from esrt_privacy.judges.speakers import EMBEDDING, N_MELS, Ge2e

RATE = 16_000
WIDTH = 32
QUERIES = 8
WORDS = [
    "red",
    "green",
    "blue",
    "white",
    "black",
    "brown",
    "grey",
    "pink",
    "gold",
    "silver",
    "north",
    "south",
]


def write_system(folder: Path, seed: int = 0, name: str = "tiny") -> Path:
    """A Whisper encoder folder and an adapter folder on top of it, both random; the adapter's."""
    from transformers import WhisperConfig, WhisperFeatureExtractor
    from transformers.models.whisper.modeling_whisper import WhisperModel

    torch.manual_seed(seed)
    encoder_folder = folder / "encoder"
    sizes = {"d_model": WIDTH, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "vocab_size": 64}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    tokens = dict.fromkeys(
        ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"), 1
    )
    whisper = WhisperConfig(encoder_layers=2, decoder_layers=1, **sizes, **heads, **tokens)
    WhisperModel(whisper).save_pretrained(encoder_folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(encoder_folder)
    encoder = EncoderConfig(str(encoder_folder), 80, WIDTH, 2, 2, 64)
    qformer = QFormerConfig(
        layers=1,
        hidden=24,
        heads=2,
        feed_forward=32,
        cross_attention_frequency=1,
        query_sets=(QUERIES, 4),
    )
    config = SystemConfig(name, encoder, qformer, queries=QUERIES)
    save_adapter(folder / "adapter", config, QFormer(qformer, encoder))
    return folder / "adapter"


def write_recogniser(folder: Path) -> Path:
    """A random English Whisper with the real vocabulary, in a folder of the asset's name; the folder around it."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    from esrt_privacy.assets.whisper_format import (
        _token_ids,
        _write_feature_extractor,
        _write_generation_config,
        _write_tokenizer,
    )

    target = folder / "whisper-tiny.en"
    torch.manual_seed(1)
    config = WhisperConfig(
        vocab_size=51_864,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=1,
        decoder_attention_heads=1,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        begin_suppress_tokens=None,
        **_token_ids(51_864, "tests"),
    )
    WhisperForConditionalGeneration(config).save_pretrained(target)
    _write_generation_config(target, config)
    _write_feature_extractor(target, 80)
    _write_tokenizer(target, config.vocab_size, None)
    return folder


@cache
def speaker_encoder() -> Ge2e:
    """GE2E of the real sizes with random weights."""
    torch.manual_seed(2)
    network = torch.nn.ModuleDict(
        {
            "lstm": torch.nn.LSTM(N_MELS, EMBEDDING, num_layers=3, batch_first=True),
            "linear": torch.nn.Linear(EMBEDDING, EMBEDDING),
        }
    )
    return Ge2e(network.state_dict())


def judge(weights: Path) -> Judge:
    """A judge that hears nonsense, but always the same."""
    return Judge(Recogniser(weights / "whisper-tiny.en"), speaker_encoder())


def speech_like(pitch: float, formant: float, seconds: float, seed: int) -> np.ndarray:
    """Syllables of harmonics with a gliding pitch under a moving formant, float32 (samples,) at 16 kHz."""
    rng = np.random.default_rng(seed)
    count = int(seconds * RATE)
    time = np.arange(count) / RATE
    syllables = rng.uniform(3.0, 5.0)
    glide = pitch * (
        1 + 0.15 * np.sin(2 * np.pi * rng.uniform(0.4, 0.9) * time + rng.uniform(0, 6))
    )
    phase = 2 * np.pi * np.cumsum(glide) / RATE
    centre = formant * (1 + 0.4 * np.sin(2 * np.pi * syllables / 2 * time + rng.uniform(0, 6)))
    wave = np.zeros(count)
    for k in range(1, 25):
        frequency = k * glide
        level = np.exp(-(((frequency - centre) / 500) ** 2)) + 0.3 * np.exp(-frequency / 400)
        wave += np.where(frequency < 7000, level, 0) * np.sin(k * phase)
    envelope = np.clip(np.sin(2 * np.pi * syllables * time + rng.uniform(0, 6)) + 0.4, 0, None)
    wave = wave * envelope + 0.003 * rng.standard_normal(count)
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)


def write_speech(
    folder: Path, speakers: int = 4, each: int = 6, shortest: float = 1.0, longest: float = 2.2
) -> Path:
    """`speakers` sub-folders of `each` FLAC files; every utterance a sentence of its own."""
    for s in range(speakers):
        (folder / f"speaker{s}").mkdir(parents=True, exist_ok=True)
        for n in range(each):
            seed = 100 * s + n
            seconds = float(np.random.default_rng(seed).uniform(shortest, longest))
            wave = speech_like(90 + 35 * s, 600 + 250 * s, seconds, seed)
            soundfile.write(folder / f"speaker{s}" / f"{n}.flac", wave, RATE)
    return folder


def write_manifest(folder: Path, corpus: str = "tiny", language: str = "eng") -> Path:
    """A manifest beside the recordings of `write_speech`, with text and sex; its path."""
    path = folder / "manifest.jsonl"
    rows = []
    for number, audio in enumerate(sorted(folder.rglob("*.flac"))):
        speaker = audio.parent.name
        words = np.random.default_rng(number).choice(WORDS, 4)
        row = {
            "id": f"{speaker}-{audio.stem}",
            "audio": str(audio.relative_to(folder)),
            "corpus": corpus,
            "speaker": speaker,
            "language": language,
            "sex": "FM"[int(speaker[-1]) % 2],
            "text": f"{' '.join(words)} {number}",
        }
        rows.append(json.dumps(row))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path
