"""Train the reference adapter: a Q-Former on Whisper-base that carries what was said.

    python tools/make_training_speech.py SYNTH --weights KOKORO
    python tools/train_reference.py --speech SPEECH --synth SYNTH --work WORK

SPEECH is a folder with a manifest of an4, librispeech and vctk. WORK keeps cached frames and checkpoints; a killed
run goes on. Writes esrt_privacy/data/reference: the adapter (float16), its configuration, the split and the card's
table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import alphabet
import ctc
import reference_data
import torch
from reference_data import SEED, ReferenceData
from safetensors.torch import load_file, save_file
from torch import Tensor

from esrt_privacy.captures import Capture
from esrt_privacy.corpora import Corpus
from esrt_privacy.esrt.config import REFERENCE
from esrt_privacy.esrt.edge import load_qformer, save_adapter
from esrt_privacy.esrt.qformer import QFormer

OUT = Path(__file__).parent.parent / "esrt_privacy" / "data" / "reference"
TRAINING = ("an4", "librispeech", "synth-train")
# How often an epoch shows an utterance: AN4 is small, and its spelled letters are learnt by practice.
REPETITIONS = {"an4": 2}
# What the card's table reports; the roles keep out what the adapter has been trained on.
CHECKED = {
    "synth-test": ("test",),
    "demo": ("test",),
    "an4": ("test",),
    "vctk": ("test",),
    "librispeech": ("test",),
}


def examples(corpus: Corpus) -> list[ctc.Example]:
    """Utterances with a text that can be spelled (digits cannot: Whisper writes some)."""
    rows = []
    for u in corpus:
        if u.text and not any(c.isdigit() for c in u.text):
            text = alphabet.spelled(u.text, u.language)
            rows.append(ctc.Example(u.fingerprint, u.duration or 30.0, text, u.corpus or ""))
    return [row for row in rows if row.text]


def frame_reader(captures: list[Capture]) -> Callable[[str], Tensor]:
    """Frames (1500, 512) by audio fingerprint, from whichever capture holds them."""
    stores = [capture.store for capture in captures]

    def frames_of(key: str) -> Tensor:
        return next(store for store in stores if key in store).tensor(key)

    return frames_of


def table(
    data: ReferenceData,
    qformer: QFormer,
    head: ctc.Head,
    frames_of: Callable[[str], Tensor],
    limit: int | None = None,
) -> list[dict[str, object]]:
    """CER of each checked corpus and language for both query sets, beside the swapped floor."""
    rows: list[dict[str, object]] = []
    for name, roles in CHECKED.items():
        if name not in data.corpora:
            continue
        part = data.part(name, *roles)
        for language in sorted({u.language or "" for u in part}):
            checked = examples(part.select(language=language))[:limit]
            if not checked:
                continue
            for queries in REFERENCE.qformer.query_sets:
                keys = [e.key for e in checked]
                heard = ctc.transcribe(qformer, head, queries, keys, frames_of)
                cer, floor = ctc.error_rates(checked, heard)
                rows.append(
                    {
                        "corpus": name,
                        "language": language,
                        "queries": queries,
                        "utterances": len(checked),
                        "speakers": len(part.select(language=language).speakers),
                        "cer": round(cer, 4),
                        "cer_swapped": round(floor, 4),
                    }
                )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--synth", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--full-steps", type=int, default=80)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--only", choices=["frames", "table"], default=None)
    options = parser.parse_args()
    data = reference_data.load(options.speech, options.synth, options.work)
    system = reference_data.plain_system()
    captures = [
        reference_data.representations(system, corpus, options.work)["encoder"]
        for corpus in data.corpora.values()
    ]
    if options.only == "frames":
        return
    frames_of = frame_reader(captures)
    torch.manual_seed(SEED)
    qformer = QFormer(REFERENCE.qformer, REFERENCE.encoder)
    head = ctc.Head(REFERENCE.qformer.hidden, REFERENCE.qformer.query_sets)
    rows = [e for name in TRAINING for e in examples(data.part(name, "adapter-train"))]
    rows = [e for e in rows for _ in range(REPETITIONS.get(e.group, 1))]
    rows, cut = ctc.targets(rows)
    development = examples(data.part("synth-train", "development"))[:64]
    print(f"{len(rows)} training utterances, {cut} texts cut to {ctc.CTC_STEPS} steps", flush=True)

    def check(step: int) -> dict[str, float]:
        keys = [e.key for e in development]
        rates = {}
        for queries in REFERENCE.qformer.query_sets:
            heard = ctc.transcribe(qformer, head, queries, keys, frames_of)
            rates[f"development_cer{queries}"] = round(ctc.error_rates(development, heard)[0], 4)
        return rates

    schedule = ctc.Options(options.steps, options.full_steps, options.batch)
    folder = options.work / "ctc"
    if options.only == "table":
        shown = json.loads((OUT / "training.json").read_text(encoding="utf-8"))
        qformer = load_qformer(OUT, REFERENCE)
        head.load_state_dict(load_file(folder / "head.safetensors"))
        print(json.dumps(table(data, qformer, head, frames_of), indent=1))
        print("in the card:", json.dumps(shown["cer"], indent=1))
        return
    ctc.train(qformer, head, rows, frames_of, schedule, folder, check)
    save_file(head.state_dict(), folder / "head.safetensors")
    # The card speaks of what is shipped: weights rounded to float16.
    save_adapter(OUT, REFERENCE, qformer)
    qformer = load_qformer(OUT, REFERENCE)
    data.split.save(OUT / "split.json")
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.group] = counts.get(row.group, 0) + 1
    counts = {name: count // REPETITIONS.get(name, 1) for name, count in counts.items()}
    training = {
        "options": asdict(schedule),
        "utterances": counts,
        "repetitions": REPETITIONS,
        "texts_cut": cut,
        "split": data.split.fingerprint,
        "curve": [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()],
        "cer": table(data, qformer, head, frames_of),
    }
    (OUT / "training.json").write_text(json.dumps(training, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(training["cer"], indent=1))


if __name__ == "__main__":
    main()
