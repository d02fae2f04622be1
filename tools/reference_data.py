"""The recordings that the reference is made from, their roles, and their cached representations."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from joining import join, name_of, plan
from torch import Tensor

from esrt_privacy.assets import whisper_folder
from esrt_privacy.captures import Capture, TapStore, capture
from esrt_privacy.corpora import Corpus, Split, load_corpus, make_split
from esrt_privacy.corpora.split import ROLES as SPLIT_ROLES
from esrt_privacy.errors import CorpusError
from esrt_privacy.esrt.config import REFERENCE
from esrt_privacy.esrt.edge import Edge
from esrt_privacy.esrt.encoder import Encoder
from esrt_privacy.esrt.qformer import QFormer
from esrt_privacy.judges.recogniser import Recogniser
from esrt_privacy.precision import fast_bfloat16
from esrt_privacy.systems.base import Tap
from esrt_privacy.systems.esrt_system import EsrtSystem

SEED = 20260528
SYNTHESISED = Path(__file__).with_name("training_speech")
PHRASEBOOK = Path(__file__).with_name("phrasebook_speech")
PHRASEBOOK_TESTS = (
    "phrasebook-test-sentences",
    "phrasebook-test-values",
    "phrasebook-test-templates",
)
# What the reference is trained on, in the role adapter-train.
TRAINING = ("an4", "librispeech", "synth-train", "synth-joined", "phrasebook-train")
# Of what is only trained on, the share that is used: encoding takes longest. Every synthesised sentence is heard in a
# recording joined from some of one voice; this share of them also alone. Were none, all short recordings of prose
# would be phrases of the phrasebook, and the LLM would learn to guess one.
SHARES = {"synth-train": 0.25, "phrasebook-train": 1.0}
# Of the demo corpus every third utterance is checked, of what no role may use nothing is encoded.
DEMO_EVERY = 3
# Shares of the speakers (voices) of each corpus. VoxLingua has no licence: nothing of it is used.
ROLES = {
    "an4": {"adapter-train": 0.75, "test": 0.25},
    "librispeech": {"adapter-train": 0.75, "attack-train": 0.05, "test": 0.20},
    "vctk": {"test": 1.0},
    "synth-train": {"adapter-train": 1.0},
    "synth-joined": {"adapter-train": 1.0},
    "synth-test": {"development": 0.4, "test": 0.6},
    "demo": {"test": 1.0},
    "phrasebook-train": {"adapter-train": 1.0},
} | {name: {"test": 1.0} for name in PHRASEBOOK_TESTS}


@dataclass(frozen=True)
class ReferenceData:
    """Corpora by name, the one split, and the folder where representations are cached.

    `synthesised` is all of synth-train: what synth-joined was joined from.
    """

    corpora: dict[str, Corpus]
    split: Split
    work: Path
    synthesised: Corpus

    def part(self, name: str, *roles: str) -> Corpus:
        """The utterances of one corpus that the roles may use."""
        return self.split.select(self.corpora[name], *roles)


def shares_with(phrases: float) -> dict[str, float]:
    """SHARES, with another share of the phrasebook."""
    return SHARES | {"phrasebook-train": phrases}


def load(
    speech: Path, synth: Path, work: Path, shares: Mapping[str, float] = SHARES
) -> ReferenceData:
    """Load every corpus; LibriSpeech gets its transcripts from Whisper-base (cached in `work`)."""
    recorded = load_corpus(speech)
    corpora = {name: recorded.select(corpus=name) for name in ("an4", "librispeech", "vctk")}
    synthesised = load_corpus(synth)
    for name in ("synth-train", "synth-test"):
        corpora[name] = synthesised.select(corpus=name)
    phrases = load_corpus(PHRASEBOOK)
    for name in ("phrasebook-train", *PHRASEBOOK_TESTS):
        corpora[name] = phrases.select(corpus=name)
    whole = corpora["synth-train"]
    corpora["synth-joined"] = join(whole, work / "joined", SEED)
    try:
        corpora["demo"] = load_corpus("demo")
    except CorpusError as error:
        print(f"no demo corpus yet: {error}", file=sys.stderr)
    corpora["librispeech"] = with_transcripts(corpora["librispeech"], work / "librispeech.json")
    split = joined_split(corpora)
    for name, share in shares.items():
        kept = np.random.default_rng(SEED).random(len(corpora[name])) < share
        ids = {u.id for u, chosen in zip(corpora[name], kept, strict=True) if chosen}
        corpora[name] = corpora[name].select(ids=ids)
    if "demo" in corpora:
        demo = corpora["demo"]
        corpora["demo"] = replace(demo, utterances=demo.utterances[::DEMO_EVERY])
    corpora = {name: split.select(corpus, *SPLIT_ROLES) for name, corpus in corpora.items()}
    return ReferenceData(corpora, split, work, whole)


def joined_split(corpora: dict[str, Corpus]) -> Split:
    """One split over all corpora, each with its own shares; a sentence of a test role is a test sentence.

    Test comes first: a sentence that a test corpus shares with a training corpus is lost to training.
    """
    speakers: dict[str, str] = {}
    sentences: dict[str, str] = {}
    for name, corpus in corpora.items():
        part = make_split(corpus, SEED, ROLES[name])
        speakers |= part.speakers
        for key, role in part.sentences.items():
            if sentences.get(key) != "test":
                sentences[key] = role
    return Split(SEED, speakers, sentences)


def with_transcripts(corpus: Corpus, cache: Path) -> Corpus:
    """The corpus with Whisper-base's transcripts as texts."""
    texts: dict[str, str] = json.loads(cache.read_text()) if cache.exists() else {}
    missing = [u for u in corpus if u.id not in texts]
    if missing:
        recogniser = Recogniser(whisper_folder("whisper-base"))
        for start in range(0, len(missing), 8):
            batch = missing[start : start + 8]
            heard = recogniser.transcribe([u.waveform() for u in batch], "eng")
            texts |= {u.id: text for u, text in zip(batch, heard, strict=True)}
            cache.parent.mkdir(parents=True, exist_ok=True)
            cache.write_text(json.dumps(texts, ensure_ascii=False, indent=0))
            print(f"transcribed {start + len(batch)}/{len(missing)}", flush=True)
    return replace(
        corpus, utterances=tuple(replace(u, text=texts.get(u.id)) for u in corpus.utterances)
    )


def sentences_joined(data: ReferenceData) -> int:
    """How many distinct synthesised sentences the adapter is trained on: each is in a joined recording."""
    rows = plan(data.synthesised, SEED)
    trained = {u.id for u in data.part("synth-joined", "adapter-train")}
    return len({u.text for row in rows if name_of(row) in trained for u in row.parts})


def plain_system() -> EsrtSystem:
    """The reference's encoder with an untrained Q-Former: for what lies before the Q-Former."""
    encoder = Encoder.from_folder(whisper_folder("whisper-base"), REFERENCE.encoder)
    return EsrtSystem(Edge(REFERENCE, encoder, QFormer(REFERENCE.qformer, REFERENCE.encoder)))


def representations(system: EsrtSystem, corpus: Corpus, work: Path) -> dict[str, Capture]:
    """Mel and encoder frames of a corpus, computed once; in bfloat16 where that is faster.

    Kept apart from the captures that audits make, which are computed in float32.
    """
    began = time.time()

    def progress(done: int, total: int) -> None:
        if done % 80 < 8:
            print(f"{corpus.name}: {done}/{total} {time.time() - began:.0f} s", flush=True)

    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_bfloat16()):
        return capture(system, ["mel", "encoder"], corpus, work / "frames", progress, batch=16)


def joined(data: ReferenceData, names: tuple[str, ...], *roles: str) -> Corpus:
    """Several corpora as one."""
    parts = [data.part(name, *roles) for name in names]
    return Corpus("reference training", tuple(u for part in parts for u in part))


@torch.inference_mode()
def derived(
    source: Capture, tap: Tap, function: Callable[[Tensor], Tensor], system: str, work: Path
) -> Capture:
    """A later tap's capture from an earlier one's, without the audio and the encoder."""
    store = TapStore.create(
        work / "derived" / f"{tap.name}-{tap.fingerprint[:16]}",
        system=system,
        tap=tap.name,
        fingerprint=tap.fingerprint,
        shape=tap.shape,
    )
    missing = [u for u in source.corpus if u.fingerprint not in store]
    for start in range(0, len(missing), 16):
        batch = missing[start : start + 16]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_bfloat16()):
            output = function(source.batch(batch)).to(tap.dtype)
        store.add({u.fingerprint: t.clone() for u, t in zip(batch, output, strict=True)})
    return Capture(source.corpus, store)
