"""Put a model that went through the three stages into the package: the reference.

    python tools/ship_reference.py --speech SPEECH --work WORK [--name stages] [--phrases SHARE]

Run after `train_reference.py --only stages`, with the same folders and share of the phrasebook. Writes adapter,
projector, LoRA and tag rows in float16, the curves of the stages, the list of recordings that were trained on, and a
new CTC head on the trained adapter, which stays as it is: the head only measures what its tensor carries. Then train
the Q-Former's attacker again: `train_attackers.py --taps qformer`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import ctc
import reference_data
import stage_card
import torch
from reference_data import SEED, SYNTHESISED
from safetensors.torch import save_file
from train_reference import (
    CHECKED,
    HEAD,
    OUT,
    frame_reader,
    note_heard,
    read_training,
    shipped,
    table,
)

from esrt_privacy.esrt.model import EsrtModel

HEAD_STEPS = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--name", default="stages", help="folder of the trained model, in WORK")
    parser.add_argument("--phrases", type=float, default=1.0, help="share of the phrasebook used")
    options = parser.parse_args()
    trained = options.work / options.name
    record = json.loads((trained / "training.json").read_text(encoding="utf-8"))
    EsrtModel.from_pretrained(trained).save_pretrained(OUT, half=True)
    stages = stage_card.record_of(record, trained / "metrics.csv")
    shares = reference_data.shares_with(options.phrases)
    data = reference_data.load(options.speech, SYNTHESISED, options.work, shares)
    system = reference_data.plain_system()
    captures = [
        reference_data.representations(system, corpus, options.work)["encoder"]
        for name, corpus in data.corpora.items()
        if name in reference_data.TRAINING or name in CHECKED
    ]
    frames_of = frame_reader(captures)
    head_steps = measured_by(data, frames_of, options.work / f"{options.name}-head")
    data.split.save(OUT / "split.json")
    note_heard(reference_data.joined(data, reference_data.TRAINING, "adapter-train"))
    cer = table(data, *shipped(), frames_of)
    body = read_training() | {
        "stages": stages,
        "head_steps": head_steps,
        "split": data.split.fingerprint,
        "cer": cer,
    }
    (OUT / "training.json").write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(cer, indent=1))


def measured_by(data: reference_data.ReferenceData, frames_of: Any, folder: Path) -> int:
    """Train a head on the shipped adapter, which is not changed, and keep it; return its steps."""
    qformer, head = shipped()
    before = {name: value.clone() for name, value in qformer.state_dict().items()}
    rows = [
        e
        for name in reference_data.TRAINING
        for e in ctc.examples(data.part(name, "adapter-train"))
    ]
    rows, _ = ctc.targets(rows)
    options = ctc.Options(HEAD_STEPS, full_steps=HEAD_STEPS // 10, head_steps=HEAD_STEPS, seed=SEED)
    ctc.train(qformer, head, rows, frames_of, options, folder, lambda step: {})
    changed = [n for n, v in qformer.state_dict().items() if not torch.equal(v, before[n])]
    if changed:
        raise SystemExit(f"the head's training changed the adapter: {changed[0]}")
    save_file({k: v.half().contiguous() for k, v in head.state_dict().items()}, HEAD)
    return HEAD_STEPS


if __name__ == "__main__":
    main()
