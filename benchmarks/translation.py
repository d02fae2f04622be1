"""One recording into six languages, beside six single translations, side by side.

    python benchmarks/translation.py [--model reference] [--speech FOLDER] [--recordings 3] [--rounds 3]

Together, the recording is encoded once and its prefix is computed once for all languages, which are decoded as one
batch. Printed: seconds a recording, and the ratio (median over rounds). Answers that differ between the two ways are
counted: rounding differs with the batch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import torch

from esrt_privacy.corpora import load_corpus
from esrt_privacy.evaluation.translation import TranslationOptions, translate
from esrt_privacy.systems.whole import load_model

LANGUAGES = ("spa", "deu", "fra", "ita", "jpn", "por")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="reference", help="a name, a folder, or untrained")
    parser.add_argument("--speech", default="demo", help="demo, or a corpus by path")
    parser.add_argument("--recordings", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most-tokens", type=int, default=160)
    options = parser.parse_args()
    if options.model == "untrained":
        from esrt_privacy.esrt.model import EsrtModel
        from esrt_privacy.esrt.model_config import model_preset

        model = EsrtModel.create(model_preset("reference")).eval()
    else:
        model = load_model(options.model)
    corpus = load_corpus(options.speech).select(language="eng")
    corpus = replace(corpus, utterances=corpus.utterances[: options.recordings])
    asked = TranslationOptions(LANGUAGES, most_tokens=options.most_tokens)
    singles = [replace(asked, to=(language,)) for language in LANGUAGES]
    translate(model, corpus, singles[0])  # warm-up
    together, apart, other = [], [], 0
    for _ in range(options.rounds):
        for utterance in corpus:
            one = replace(corpus, utterances=(utterance,))
            began = time.perf_counter()
            (row,), _notes = translate(model, one, asked)
            between = time.perf_counter()
            found = {}
            for single in singles:
                (answer,), _notes = translate(model, one, single)
                found |= answer.answers
            ended = time.perf_counter()
            together.append(between - began)
            apart.append(ended - between)
            other += sum(row.answers[t].translation != a.translation for t, a in found.items())
    ratio = statistics.median(a / b for a, b in zip(together, apart, strict=True))
    print(f"{options.model}, {len(together)} runs, {torch.get_num_threads()} threads")
    print(
        f"six languages at once {statistics.median(together):.2f} s, one by one"
        f" {statistics.median(apart):.2f} s, ratio {ratio:.2f}; answers that differ: {other}"
    )


if __name__ == "__main__":
    main()
