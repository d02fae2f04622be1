"""What the trained reference recognises and translates, beside two floors; the card's table.

    python tools/reference_scores.py --speech SPEECH --work WORK [--model FOLDER] [--limit N] [--corpora NAME ...]

Floors: the answers to other recordings (swapped), and the sentence of the training data that is nearest to what was
said, with its translation (nearest): what a system would score that only found the right sentence to repeat. Writes
scores.json beside the model, a corpus after the other; rows of corpora that are not asked for stay.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import reference_data
from reference_data import PHRASEBOOK_TESTS, SEED, SYNTHESISED
from sklearn.feature_extraction.text import TfidfVectorizer
from train_reference import OUT

from esrt_privacy.corpora import Corpus, Utterance
from esrt_privacy.esrt.model import EsrtModel
from esrt_privacy.evaluation.evaluate import Score, evaluate, without_nan
from esrt_privacy.evaluation.translation import TranslationOptions
from esrt_privacy.judges.transcripts import recognition_errors
from esrt_privacy.measures.translation import chrf

LANGUAGES = ("eng", "spa", "deu", "fra", "ita", "jpn")
RECOGNISED = ("an4", "librispeech", "vctk")  # no translations
CORPORA = (*PHRASEBOOK_TESTS, *RECOGNISED)
MOST_TOKENS = 100
BATCH = 24  # recordings; each step of decoding reads all weights, whatever the batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=OUT)
    parser.add_argument("--limit", type=int, default=None, help="recordings of a test, to try")
    parser.add_argument("--corpora", nargs="*", default=CORPORA, choices=CORPORA)
    options = parser.parse_args()
    data = reference_data.load(options.speech, SYNTHESISED, options.work)
    model = EsrtModel.from_pretrained(options.model).merge()
    known = data.part("phrasebook-train", "adapter-train")
    out = options.model / "scores.json"
    for name in options.corpora:
        rows: list[dict[str, object]] = []
        corpus = data.part(name, "test")
        if options.limit is not None:
            corpus = replace(corpus, utterances=corpus.utterances[: options.limit])
        to = LANGUAGES if name in PHRASEBOOK_TESTS else ()
        for language in sorted({u.language or "" for u in corpus}):
            part = corpus.select(language=language)
            asked = TranslationOptions(
                tuple(t for t in to if t != language), batch=BATCH, most_tokens=MOST_TOKENS
            )
            repeated = (
                nearest(part.utterances, known.select(language=language).utterances) if to else None
            )
            for score in evaluate(model, part, asked, beams=(1,), seed=SEED).scores:
                floor = nearest_floor(part, repeated, score) if repeated else None
                rows.append(without_nan({"corpus": name, **asdict(score), "nearest": floor}))
                print(in_words(rows[-1]), flush=True)
        write(out, name, rows)


def write(out: Path, corpus: str, rows: Sequence[dict[str, object]]) -> None:
    """Put the rows of one corpus into the file, in place of its earlier ones, in the card's order."""
    known = json.loads(out.read_text(encoding="utf-8")) if out.exists() else []
    every = [*(row for row in known if row["corpus"] != corpus), *rows]
    every.sort(key=lambda row: CORPORA.index(row["corpus"]))
    out.write_text(json.dumps(every, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def nearest_floor(part: Corpus, repeated: Sequence[Utterance], score: Score) -> float | None:
    """The same measure where `repeated` is said in place of the recordings; None for a measure without a floor."""
    if score.measure == "chrf":
        given = [u.translations[score.target] for u in repeated]
        references = [u.translations[score.target] for u in part]
        rng = np.random.default_rng(SEED)
        return chrf(given, references, list(range(len(given))), rng, draws=1).value
    if score.measure not in ("wer", "cer"):
        return None
    texts, said = ([u.text or "" for u in rows] for rows in (part, repeated))
    counts = recognition_errors(texts, said, score.source)
    return sum(c.errors for c in counts) / max(1, sum(c.length for c in counts))


def nearest(utterances: Sequence[Utterance], known: Sequence[Utterance]) -> list[Utterance]:
    """Of each utterance the known one whose text shares most with it (character 2- to 5-grams, TF-IDF cosine)."""
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5))
    theirs = vectorizer.fit_transform([k.text or "" for k in known])
    ours = vectorizer.transform([u.text or "" for u in utterances])
    return [known[i] for i in np.asarray((ours @ theirs.T).argmax(1)).ravel()]


def in_words(row: dict[str, object]) -> str:
    """One line for the terminal."""
    shown = {k: v for k, v in row.items() if k not in ("beam", "method")}
    return " ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in shown.values())


if __name__ == "__main__":
    main()
