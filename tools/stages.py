"""The three stages of the reference's training, behind the warm-up: recognition, translation, LoRA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import ctc
import torch
import words
from reference_data import SEED, TRAINING, ReferenceData
from torch import Tensor

from esrt_privacy.corpora import Utterance
from esrt_privacy.esrt.model import EsrtModel
from esrt_privacy.esrt.model_config import model_preset
from esrt_privacy.esrt.training.frames import StoredFrames
from esrt_privacy.esrt.training.options import TrainingOptions
from esrt_privacy.esrt.training.run import train_model
from esrt_privacy.esrt.training.selection import selected

FITTED_UTTERANCES = 2000  # from which the projector's start is fitted
LONGEST_TEXT = (
    120  # characters of a text that is trained on: longer ones make every step of their batch slow
)


def training_utterances(data: ReferenceData) -> list[Utterance]:
    """What the stages see, with texts as the system is to write them."""
    found = []
    for name in TRAINING:
        for u in data.part(name, "adapter-train"):
            text = (u.text or "").strip()
            if not text or len(text) > LONGEST_TEXT:
                continue
            # AN4's transcripts are in capitals, which a tokenizer reads letter by letter.
            found.append(replace(u, text=text.lower() if name == "an4" else text))
    return found


def started(
    utterances: Sequence[Utterance],
    adapter: Path,
    head: ctc.Head | None,
    frames_of: Callable[[str], Tensor],
) -> EsrtModel:
    """The LLM as published behind the adapter; the projector fitted by `words` where there is a head."""
    torch.manual_seed(SEED)
    model = EsrtModel.create(model_preset("reference"), adapter)
    if head is None:
        return model
    assert model.edge is not None
    chosen = [u for u in utterances if u.language != "jpn"]
    chosen = chosen[:: max(1, len(chosen) // FITTED_UTTERANCES)]
    said = {u.fingerprint: (u.text or "", u.language or "") for u in chosen}
    rows = ctc.examples(chosen)
    texts = [said[row.key] for row in rows]
    pairs = [
        words.aligned(model.edge.qformer, head, n, rows, texts, frames_of, model.tokenizer)
        for n in model.config.edge.qformer.query_sets
    ]
    vectors = torch.cat([v for v, _ in pairs])
    explained = words.put_into(model, vectors, [t for _, tokens in pairs for t in tokens])
    print(
        f"projector: {len(vectors)} vectors explain {explained:.0%} of the embeddings", flush=True
    )
    return model


def train(
    data: ReferenceData,
    adapter: Path,
    head: ctc.Head | None,
    frames_of: Callable[[str], Tensor],
    options: TrainingOptions,
    out: Path,
) -> None:
    """Train the stages (or go on) into `out`, a folder for `EsrtModel.from_pretrained`."""
    utterances = training_utterances(data)
    model = started(utterances, adapter, head, frames_of)
    selection = selected(utterances, None, options.seed)

    def report(label: str, done: int, total: int) -> None:
        if done % 20 == 0 or done == total:
            print(f"{label} {done}/{total}", flush=True)

    done = train_model(model, selection, StoredFrames(frames_of), options, out, report=report)
    print("\n".join(done.notes), flush=True)
