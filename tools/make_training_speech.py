"""Synthesise the speech that the reference adapter is trained on: a manifest and Ogg/Opus files.

    python tools/make_training_speech.py --weights FOLDER [--out tools/training_speech] [--workers 2]

The repository keeps the result in tools/training_speech (an hour on two cores); the package does not hold it.

Training voices and sentences, and a held-out part with other voices and other sentences. Each recording is drawn
from its own seed, so that the result does not depend on the number of workers and a killed run goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
from pathlib import Path

import numpy as np
import soundfile
from kokoro import Kokoro, fetch
from training_sentences import training_sentences
from voices import Voice, make_voices

# language: (sentences for training, sentences held out)
COUNTS = {"eng": (2350, 90), "spa": (420, 25), "jpn": (240, 15)}
TRAINING_VOICES, HELD_OUT_VOICES = 60, 10
SEED = 20260528
OUT = Path(__file__).with_name("training_speech")
OPUS_COMPRESSION = 0.95  # of libsndfile's scale from 0 to 1
LICENCE = "Apache-2.0, synthesised by the project"


def plan(styles: dict[str, np.ndarray]) -> list[tuple[dict, Voice]]:
    """Every recording to be made, as (manifest row, voice), in an order that mixes the languages."""
    training = make_voices(TRAINING_VOICES, SEED, styles, prefix="t")
    held_out = make_voices(HELD_OUT_VOICES, SEED + 1, styles, prefix="h")
    rows = []
    for language, (train_count, test_count) in COUNTS.items():
        sentences = training_sentences(language, train_count + test_count, SEED)
        for i, text in enumerate(sentences):
            part, voices = ("train", training) if i < train_count else ("test", held_out)
            voice = voices[int(_generator(text).integers(len(voices)))]
            name = f"synth-{part}-{language}-{i:04d}"
            row = {
                "audio": f"{part}/{name}.ogg",
                "id": name,
                "corpus": f"synth-{part}",
                "speaker": voice.name,
                "language": language,
                "sex": voice.sex,
                "text": text,
                "licence": LICENCE,
            }
            rows.append((row, voice))
    order = np.random.default_rng(SEED).permutation(len(rows))
    return [rows[i] for i in order]


def _generator(text: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{SEED}|{text}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def work(arguments: tuple[Path, Path, int, int]) -> None:
    """Synthesise every `workers`-th recording that does not exist yet."""
    out, weights, worker, workers = arguments
    kokoro = Kokoro(weights, threads=1)
    rows = plan(kokoro.styles)[worker::workers]
    for done, (row, voice) in enumerate(rows, 1):
        path = out / row["audio"]
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            wave = voice.render(kokoro, row["text"], row["language"])
            partial = path.with_suffix(".part")
            write_opus(partial, wave)
            partial.replace(path)
        if done % 50 == 0:
            print(f"worker {worker}: {done}/{len(rows)}", flush=True)


def write_opus(path: Path, wave: np.ndarray) -> None:
    """Ogg/Opus at about 20 kbit/s, 16 kHz mono."""
    soundfile.write(
        path, wave, 16_000, format="OGG", subtype="OPUS", compression_level=OPUS_COMPRESSION
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--weights", type=Path, required=True, help="folder for Kokoro's files")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    fetch(options.weights)  # once, before the workers look for it
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        jobs = [(options.out, options.weights, i, options.workers) for i in range(options.workers)]
        for _ in pool.imap_unordered(work, jobs):  # a worker's error ends the run at once
            pass
    rows = plan(Kokoro(options.weights).styles)
    with open(options.out / "manifest.jsonl", "w", encoding="utf-8") as file:
        for row, _ in rows:
            row["duration"] = round(soundfile.info(options.out / row["audio"]).duration, 3)
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
