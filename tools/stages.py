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
from esrt_privacy.esrt.training.balance import seconds
from esrt_privacy.esrt.training.frames import speech_frames
from esrt_privacy.esrt.training.options import TrainingOptions
from esrt_privacy.esrt.training.run import train_model
from esrt_privacy.esrt.training.selection import selected
from esrt_privacy.weights import fingerprint

FITTED_UTTERANCES = 2000  # from which the projector's start is fitted
# Characters of a text that is trained on: longer ones make every step of their batch slow. Recorded long speech and
# joined sentences have up to 300; a model that never writes as much recognises nothing of it.
LONGEST_TEXT = 330


class Letters:
    """The warm-up's head, frozen: what it misspells from the wire tensor is a side loss, so that letters stay.

    Without it the stages unlearn them: the tensor keeps to the sentences of the phrasebook, and to no order in time.
    """

    def __init__(self, head: ctc.Head, rows: Sequence[ctc.Example], weight: float = 1.0) -> None:
        self._head = head.eval().requires_grad_(False)
        self._rows = {row.key: row for row in rows}
        self._weight = weight
        self.about = f"letters {fingerprint(head)} {weight:g}"

    def __call__(self, wire: Tensor, queries: int, keys: Sequence[str]) -> Tensor:
        """CTC loss a character of the rows whose text can be spelled, over all rows."""
        known = [place for place, key in enumerate(keys) if key in self._rows]
        if not known:
            return wire.new_zeros(())
        spelled = self._head(wire[known].float(), queries)
        loss = ctc.ctc_loss(spelled, [self._rows[keys[place]] for place in known])
        return self._weight * loss * (len(known) / len(keys))


class DisturbedFrames:
    """Stored frames whose speech got the noise of the warm-up: few voices are trained on, and a model learns them.

    Drawn from torch's own generator, which the trainer seeds by step, so that a killed run goes on as it was.
    """

    def __init__(self, frames_of: Callable[[str], Tensor]) -> None:
        self._frames_of = frames_of

    def __call__(self, utterances: Sequence[Utterance]) -> list[Tensor]:
        """(1500, encoder width) in float32 for each; the padding as it was."""
        found = []
        for utterance in utterances:
            frames = self._frames_of(utterance.fingerprint).to(torch.float32, copy=True)
            spoken = speech_frames(seconds(utterance))
            frames[:spoken] = ctc.disturbed_frames(frames[None, :spoken])[0]
            found.append(frames)
        return found


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
    adapter: Path | None,
    head: ctc.Head | None,
    frames_of: Callable[[str], Tensor],
) -> EsrtModel:
    """The LLM as published behind the adapter, or a random one; the projector fitted by `words` with a head."""
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
    adapter: Path | None,
    head: ctc.Head | None,
    frames_of: Callable[[str], Tensor],
    options: TrainingOptions,
    out: Path,
) -> None:
    """Train the stages (or go on) into `out`, a folder for `EsrtModel.from_pretrained`.

    Without adapter and head there is no warm-up, as in the paper: everything begins from random weights.
    """
    utterances = training_utterances(data)
    model = started(utterances, adapter, head, frames_of)
    selection = selected(utterances, None, options.seed)

    side = None
    if head is not None:
        rows, _ = ctc.targets(ctc.examples(utterances))
        side = Letters(head, rows)

    def report(label: str, done: int, total: int) -> None:
        if done % 20 == 0 or done == total:
            print(f"{label} {done}/{total}", flush=True)

    done = train_model(
        model, selection, DisturbedFrames(frames_of), options, out, report=report, side=side
    )
    print("\n".join(done.notes), flush=True)
