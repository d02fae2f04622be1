"""Speak the phrasebook, in every language that the synthesiser speaks intelligibly: a manifest and Ogg/Opus files.

    python tools/make_phrasebook_speech.py --weights FOLDER --out FOLDER [--workers 2]

Each row carries its text and the translations into all other languages of the phrasebook. Training voices and
sentences; and, in voices of their own, sentences, values and templates that are held out.
"""

from __future__ import annotations

import numpy as np
import phrasebook
from speaking import Planned, main
from voices import make_voices

# language spoken: recordings of each part
COUNTS = {
    "train": {"eng": 1800, "spa": 1500, "jpn": 600},
    "test-sentences": {"eng": 60, "spa": 40, "jpn": 20},
    "test-values": {"eng": 60, "spa": 40, "jpn": 20},
    "test-templates": {"eng": 80, "spa": 60, "jpn": 20},
}
VOICES = {"train": 60, "test": 12}
SEED = 20261124
LICENCE = "Apache-2.0, synthesised by the project"


def plan(styles: dict[str, np.ndarray]) -> list[Planned]:
    """Every recording to be made, in an order that mixes languages and parts.

    No sentence is spoken twice: the languages of a part take turns in one draw of the phrasebook.
    """
    training = make_voices(VOICES["train"], SEED, styles, prefix="p")
    held_out = make_voices(VOICES["test"], SEED + 1, styles, prefix="q")
    rng = np.random.default_rng(SEED)
    rows = []
    for part, counts in COUNTS.items():
        voices = training if part == "train" else held_out
        phrases = iter(phrasebook.draw(part, sum(counts.values()), SEED))
        languages = [language for language, count in counts.items() for _ in range(count)]
        for number, language in enumerate(rng.permutation(languages).tolist()):
            phrase, voice = next(phrases), voices[int(rng.integers(len(voices)))]
            texts = dict(phrase.texts)
            text = texts.pop(language)
            name = f"phrasebook-{part}-{language}-{number:04d}"
            row = {
                "audio": f"{part}/{name}.ogg",
                "id": name,
                "corpus": f"phrasebook-{part}",
                "speaker": voice.name,
                "language": language,
                "sex": voice.sex,
                "text": text,
                "translations": texts,
                "template": phrase.template,
                "licence": LICENCE,
            }
            rows.append(Planned(row, voice, phrase.reading if language == "jpn" else text))
    return [rows[i] for i in rng.permutation(len(rows))]


if __name__ == "__main__":
    main(plan, __doc__, None)
