"""Train the reference adapter: a Q-Former on Whisper-base that carries what was said.

    python tools/train_reference.py --speech SPEECH --work WORK [--continue-shipped]
    python tools/train_reference.py ... --only table    # the card's table again

SPEECH is a folder with a manifest of an4, librispeech and vctk; what make_training_speech.py made lies beside this
file. WORK keeps cached frames and checkpoints; a killed
run goes on. --continue-shipped starts from the adapter that the package ships, and the head that read it. Writes
esrt_privacy/data/reference: the adapter (float16), its configuration, the split, the head and the card's table.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import ctc
import letters
import reference_data
import stages
import torch
from reference_data import SEED, SYNTHESISED, TRAINING, ReferenceData
from safetensors.torch import load_file, save_file
from torch import Tensor

from esrt_privacy.captures import Capture
from esrt_privacy.corpora import Utterance
from esrt_privacy.esrt.config import REFERENCE
from esrt_privacy.esrt.edge import load_qformer, save_adapter
from esrt_privacy.esrt.qformer import QFormer
from esrt_privacy.esrt.training.options import TrainingOptions, whole_numbers

OUT = Path(__file__).parent.parent / "esrt_privacy" / "data" / "reference"
HEAD = (
    Path(__file__).parent / "reference_head.safetensors"
)  # not part of the system; measures its CER
# Fingerprints of the recordings that adapter and attackers learned from.
HEARD = "training_audio.txt"
# How often an epoch shows an utterance: of spelled letters (AN4) and of recorded long speech there is little.
REPETITIONS = {"an4": 2, "librispeech": 3}
FRAMES_WITH_SPEECH = 150  # of a recording, by which the scale of its codes is known
# What the card's table reports; the roles keep out what the adapter has been trained on.
CHECKED = {
    "synth-test": ("test",),
    "demo": ("test",),
    "an4": ("test",),
    "vctk": ("test",),
    "librispeech": ("test",),
}


def note_heard(utterances: Iterable[Utterance], others: Iterable[str] = ()) -> None:
    """Write the list of recordings that were trained on: of `utterances`, and `others` by fingerprint."""
    heard = sorted({u.fingerprint[:16] for u in utterances} | set(others))
    (OUT / HEARD).write_text("\n".join(heard) + "\n", encoding="ascii")


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
            checked = ctc.examples(part.select(language=language))[:limit]
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
    parser.add_argument("--synth", type=Path, default=SYNTHESISED)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--name", default="ctc", help="folder of the checkpoint, in WORK")
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--full-steps", type=int, default=40)
    parser.add_argument("--disturbed-from", type=int, default=900)
    parser.add_argument("--letter-steps", type=int, default=450)
    parser.add_argument("--place-steps", type=int, default=600)
    parser.add_argument("--guided-steps", type=int, default=900)
    parser.add_argument("--head-steps", type=int, default=0, help="at first, for the head alone")
    parser.add_argument("--rate", type=float, default=ctc.Options.learning_rate)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--continue-shipped", action="store_true")
    parser.add_argument("--only", choices=["frames", "table", "stages"], default=None)
    parser.add_argument(
        "--stage-steps", default="1000,500,1300", help="of each of the three stages"
    )
    parser.add_argument(
        "--without-warm-up", action="store_true", help="stages from a random Q-Former; not shipped"
    )
    parser.add_argument("--phrases", type=float, default=1.0, help="share of the phrasebook used")
    parser.add_argument("--stage-batch", type=int, default=8)
    parser.add_argument("--stage-rate", type=float, default=3e-4, help="learning rate")
    parser.add_argument("--stage-warm-up", type=int, default=100, help="steps")
    options = parser.parse_args()
    shares = reference_data.shares_with(options.phrases)
    data = reference_data.load(options.speech, options.synth, options.work, shares)
    system = reference_data.plain_system()
    if options.only == "stages":
        needed = [data.part(name, "adapter-train") for name in TRAINING]
    else:
        needed = [c for name, c in data.corpora.items() if name in TRAINING or name in CHECKED]
    captures = [
        reference_data.representations(system, corpus, options.work)["encoder"] for corpus in needed
    ]
    if options.only == "frames":
        return
    frames_of = frame_reader(captures)
    if options.only == "table":
        print(json.dumps(table(data, *shipped(), frames_of), indent=1))
        print("in the card:", json.dumps(read_training()["cer"], indent=1))
        return
    if options.only == "stages":
        schedule = TrainingOptions(
            steps=whole_numbers(options.stage_steps, "--stage-steps"),
            batch=options.stage_batch,
            learning_rate=options.stage_rate,
            warm_up=options.stage_warm_up,
            schedule="cosine",
            restrict_vocabulary=True,
            thin_padding=0.95,
            seed=SEED,
        )
        adapter, head = (None, None) if options.without_warm_up else (OUT, shipped()[1])
        stages.train(data, adapter, head, frames_of, schedule, options.work / options.name)
        return
    torch.manual_seed(SEED)
    qformer = QFormer(REFERENCE.qformer, REFERENCE.encoder)
    head = ctc.Head(REFERENCE.qformer.hidden, REFERENCE.qformer.query_sets)
    schedule = ctc.Options(
        options.steps,
        options.full_steps,
        options.batch,
        options.rate,
        head_steps=options.head_steps,
        disturbed_from=options.disturbed_from,
        letter_steps=options.letter_steps,
        place_steps=options.place_steps,
        guided_steps=options.guided_steps,
    )
    earlier: list[dict[str, Any]] = []
    if options.continue_shipped:
        qformer, head = shipped()
        qformer.requires_grad_(True)
        schedule = replace(schedule, letter_steps=0, place_steps=0, guided_steps=0)
        earlier = read_training()["rounds"]
    training = train(data, qformer, head, frames_of, schedule, options.work / options.name)
    # The card speaks of what is shipped: weights rounded to float16.
    save_adapter(OUT, REFERENCE, qformer)
    save_file({k: v.half().contiguous() for k, v in head.state_dict().items()}, HEAD)
    data.split.save(OUT / "split.json")
    note_heard(reference_data.joined(data, TRAINING, "adapter-train"))
    cer = table(data, *shipped(), frames_of)
    body = {"rounds": [*earlier, training], "split": data.split.fingerprint, "cer": cer}
    (OUT / "training.json").write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(cer, indent=1))


def train(
    data: ReferenceData,
    qformer: QFormer,
    head: ctc.Head,
    frames_of: Callable[[str], Tensor],
    schedule: ctc.Options,
    folder: Path,
) -> dict[str, Any]:
    """Train in place (or go on); return the record of this round."""
    parts = {name: data.part(name, "adapter-train") for name in TRAINING}
    rows = [e for part in parts.values() for e in ctc.examples(part)]
    rows = [e for e in rows for _ in range(REPETITIONS.get(e.group, 1))]
    rows, cut = ctc.targets(rows)
    development = ctc.examples(data.part("synth-test", "development"))
    print(f"{len(rows)} training utterances, {cut} texts cut to {ctc.CTC_STEPS} steps", flush=True)

    def check(step: int) -> dict[str, float]:
        keys = [e.key for e in development]
        rates = {}
        for queries in REFERENCE.qformer.query_sets:
            heard = ctc.transcribe(qformer, head, queries, keys, frames_of)
            rates[f"development_cer{queries}"] = round(ctc.error_rates(development, heard)[0], 4)
        return rates

    if schedule.letter_steps and not (folder / "checkpoint.pt").exists():
        some = torch.stack([frames_of(e.key) for e in rows[:: len(rows) // 64]]).float()
        spoken = some[:, :FRAMES_WITH_SPEECH]
        found = letters.learn(rows, frames_of, spoken, REFERENCE, schedule)
        letters.put_into(found, qformer, head, spoken)
    ctc.train(qformer, head, rows, frames_of, schedule, folder, check)
    counts = Counter(row.group for row in rows)
    curve = (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()
    return {
        "options": asdict(schedule),
        "utterances": {n: count // REPETITIONS.get(n, 1) for n, count in counts.items()},
        "synthesised_sentences": reference_data.sentences_joined(data),
        "repetitions": REPETITIONS,
        "texts_cut": cut,
        "curve": [json.loads(line) for line in curve],
    }


def shipped() -> tuple[QFormer, ctc.Head]:
    """The adapter of the package and the head that reads it."""
    head = ctc.Head(REFERENCE.qformer.hidden, REFERENCE.qformer.query_sets)
    head.load_state_dict(load_file(HEAD))
    return load_qformer(OUT, REFERENCE), head


def read_training() -> dict[str, Any]:
    """training.json of the shipped adapter."""
    body: dict[str, Any] = json.loads((OUT / "training.json").read_text(encoding="utf-8"))
    return body


if __name__ == "__main__":
    main()
