"""What the edge half costs beside the bare encoder, side by side on the same recordings.

    python benchmarks/encoding.py --speech FOLDER [--utterances 32] [--rounds 3]

Each round runs, in turn: the bare `transformers` encoder on ready mel batches; everything (read, mel, encoder,
Q-Former, store on disk); the encoder in bfloat16, with int8 linear layers, and by CTranslate2 where that is installed.
Printed: seconds an utterance, and the ratio to the bare encoder of the same round (median over rounds).
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from esrt_privacy.assets import whisper_folder
from esrt_privacy.captures import capture
from esrt_privacy.corpora import Corpus, load_corpus
from esrt_privacy.esrt.encoder import log_mel
from esrt_privacy.systems.registry import build_system

BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", default="demo", help="demo, or a corpus by path")
    parser.add_argument("--utterances", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    corpus = load_corpus(options.speech)
    corpus = replace(corpus, utterances=corpus.utterances[: options.utterances])
    system = build_system("reference")
    encoder = system.edge.encoder
    waves = [u.waveform() for u in corpus]
    bins = encoder.config.mel_bins
    mels = [log_mel(waves[i : i + BATCH], bins) for i in range(0, len(waves), BATCH)]

    def run(model: Callable[[torch.Tensor], object]) -> None:
        for mel in mels:
            model(mel)

    int8 = torch.ao.quantization.quantize_dynamic(
        encoder.model, {torch.nn.Linear}, dtype=torch.qint8
    )
    variants: dict[str, Callable[[], None]] = {
        "bare transformers encoder, float32": lambda: run(encoder),
        "everything: read, mel, encoder, Q-Former, store": lambda: _everything(system, corpus),
        "encoder, bfloat16 autocast": lambda: _bfloat16(run, encoder),
        "encoder, int8 linear layers": lambda: run(int8),
    }
    fast = _ctranslate2()
    if fast is not None:
        variants["encoder, CTranslate2 float32"] = lambda: run(fast("float32"))
        variants["encoder, CTranslate2 int8"] = lambda: run(fast("int8"))
    times: dict[str, list[float]] = {name: [] for name in variants}
    with torch.inference_mode():
        run(encoder)  # warm-up
        for _ in range(options.rounds):
            for name, variant in variants.items():
                began = time.perf_counter()
                variant()
                times[name].append((time.perf_counter() - began) / len(waves))
    bare = times["bare transformers encoder, float32"]
    print(f"{len(waves)} utterances, batch {BATCH}, {torch.get_num_threads()} threads")
    for name, seconds in times.items():
        ratio = statistics.median(a / b for a, b in zip(seconds, bare, strict=True))
        print(f"{name:50s} {statistics.median(seconds):.3f} s an utterance, ratio {ratio:.3f}")


def _everything(system: object, corpus: Corpus) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        capture(system, ["qformer"], corpus, folder, batch=BATCH)  # type: ignore[arg-type]
    finally:
        shutil.rmtree(folder)


def _bfloat16(
    run: Callable[[Callable[[torch.Tensor], object]], None], encoder: torch.nn.Module
) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        run(encoder)


def _ctranslate2() -> Callable[[str], Callable[[torch.Tensor], object]] | None:
    """CTranslate2's encoder from the fetched file, where both are here."""
    try:
        import ctranslate2
    except ImportError:
        print("CTranslate2 is not installed: not measured (pip install ctranslate2)")
        return None
    source = whisper_folder("whisper-base")
    folder = Path(tempfile.mkdtemp()) / "whisper-base"
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(source)).convert(str(folder))
    loaded: dict[str, object] = {}

    def model(kind: str) -> Callable[[torch.Tensor], object]:
        if kind not in loaded:
            loaded[kind] = ctranslate2.models.Whisper(str(folder), compute_type=kind)

        def encode(mel: torch.Tensor) -> object:
            view = ctranslate2.StorageView.from_array(mel.numpy())
            return loaded[kind].encode(view)  # type: ignore[attr-defined]

        return encode

    return model


if __name__ == "__main__":
    main()
