"""Synthesise the speech that the reference adapter is trained on: a manifest and Ogg/Opus files.

    python tools/make_training_speech.py --weights FOLDER [--out tools/training_speech] [--workers 2]

The repository keeps the result in tools/training_speech (an hour on two cores); the package does not hold it.
Training voices and sentences, and a held-out part with other voices and other sentences.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from speaking import Planned, main
from training_sentences import training_sentences
from voices import make_voices

# language: (sentences for training, sentences held out)
COUNTS = {"eng": (2350, 90), "spa": (420, 25), "jpn": (240, 15)}
TRAINING_VOICES, HELD_OUT_VOICES = 60, 10
SEED = 20260528
OUT = Path(__file__).with_name("training_speech")
LICENCE = "Apache-2.0, synthesised by the project"


def plan(styles: dict[str, np.ndarray]) -> list[Planned]:
    """Every recording to be made, in an order that mixes the languages."""
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
            rows.append(Planned(row, voice, text))
    order = np.random.default_rng(SEED).permutation(len(rows))
    return [rows[i] for i in order]


def _generator(text: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{SEED}|{text}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


if __name__ == "__main__":
    main(plan, __doc__, OUT)
