"""Train the reconstruction attackers that ship with the package: encoder, transparent tensor, Q-Former.

    python tools/train_attackers.py --speech SPEECH --work WORK --steps 1600

Run after train_reference.py, with the same folders: its cached frames are used. All three get the same network, the
same recordings and the same number of steps. Writes esrt_privacy/data/attackers and the control basis, and adds to the
list of recordings that adapter and attackers were trained on.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import reference_data
from train_reference import HEARD, OUT, note_heard

from esrt_privacy.assets import whisper_folder
from esrt_privacy.attacks.attackers import TrainedInverter, attackers_folder, shipped_path
from esrt_privacy.attacks.inverter_training import (
    Budget,
    CurvePoint,
    TrainingOptions,
    frames_of,
    train_inverter,
)
from esrt_privacy.captures import Capture
from esrt_privacy.corpora import Corpus, Utterance
from esrt_privacy.esrt.edge import Edge
from esrt_privacy.systems.esrt_system import EsrtSystem
from esrt_privacy.systems.registry import basis_path
from esrt_privacy.systems.transparent import TransparentBasis, fit_basis

# Without the phrasebook: the attackers of all taps are trained on the same recordings.
TRAINING = ("an4", "librispeech", "synth-train", "synth-joined")
# Of the synthesised sentences alone a tenth: the joined recordings hold all of them.
SHARES = reference_data.SHARES | {"synth-train": 0.1}
BASIS_UTTERANCES = 1500
DEVELOPMENT_UTTERANCES = 48


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--synth", type=Path, default=reference_data.SYNTHESISED)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--taps", nargs="*", default=["transparent", "qformer", "encoder"])
    options = parser.parse_args()
    data = reference_data.load(options.speech, options.synth, options.work, SHARES)
    edge = Edge.from_adapter(OUT, whisper_folder("whisper-base"))
    lesson = Lesson.of(data, edge, options.steps)
    note_heard(lesson.everything, (OUT / HEARD).read_text(encoding="ascii").split())
    attackers_folder().mkdir(parents=True, exist_ok=True)
    for tap in options.taps:
        attacker = lesson.attacker(tap)
        for old in attackers_folder().glob(f"reconstruction-{tap}-*.safetensors"):
            old.unlink()
        attacker.save(shipped_path(lesson.system.taps[tap]))


@dataclass(frozen=True)
class Lesson:
    """What the attackers of one edge half learn from, the same recordings at every tap."""

    system: EsrtSystem
    everything: Corpus  # training and development
    development: list[Utterance]
    captures: dict[str, Capture]
    steps: int
    work: Path

    @classmethod
    def of(cls, data: reference_data.ReferenceData, edge: Edge, steps: int) -> Lesson:
        """Captures at every tap, from the cached frames."""
        training = reference_data.joined(data, TRAINING, "adapter-train", "attack-train")
        watched = data.part("synth-test", "development")
        order = np.random.default_rng(reference_data.SEED).permutation(len(watched))
        development = [watched.utterances[i] for i in order[:DEVELOPMENT_UTTERANCES]]
        everything = Corpus("reference training", (*training, *development))
        captures = reference_data.representations(EsrtSystem(edge), everything, data.work)
        mels = captures["mel"]
        system = EsrtSystem(edge, _basis(edge, mels))
        captures["transparent"] = reference_data.derived(
            mels,
            system.taps["transparent"],
            lambda mel: _project(system, mel),
            system.name,
            data.work,
        )
        queries = edge.config.queries
        captures["qformer"] = reference_data.derived(
            captures["encoder"],
            system.taps["qformer"],
            lambda frames: edge.qformer(frames, queries),
            system.name,
            data.work,
        )
        return cls(system, everything, development, captures, steps, data.work)

    def attacker(self, tap: str) -> TrainedInverter:
        """The network trained at one tap, or what is left to train of it."""
        settings = TrainingOptions(Budget(steps=self.steps), seed=reference_data.SEED)
        began = time.time()

        def watch(share: float, point: CurvePoint) -> None:
            if int(share * self.steps) % 50 == 0:
                spent = time.time() - began
                print(f"{tap}: {share:.0%} error {point.loss:.4f} {spent:.0f} s", flush=True)

        fingerprint = self.system.taps[tap].fingerprint
        checkpoint = self.work / "attackers" / f"{tap}-{fingerprint[:16]}-{self.steps}.pt"
        model, curve = train_inverter(
            self.captures[tap], self.captures["mel"], self.development, settings, checkpoint, watch
        )
        return TrainedInverter(
            model,
            tap,
            fingerprint,
            "AN4, LibriSpeech and synthesised speech (split.json: adapter-train, attack-train)",
            len(self.everything) - len(self.development),
            str(settings.budget),
            settings.seed,
            tuple(curve),
            "shipped",
        )


def _basis(edge: Edge, mels: Capture) -> TransparentBasis:
    """The control basis, fitted once on the training recordings and kept."""
    path = basis_path(*edge.config.wire_shape, edge.config.encoder.mel_bins)
    if not path.exists():
        rng = np.random.default_rng(reference_data.SEED)
        chosen = rng.permutation(len(mels.corpus))[:BASIS_UTTERANCES]
        utterances = [mels.corpus.utterances[i] for i in chosen]
        speech = [mels.tensor(u)[: frames_of(u)].T.float() for u in utterances]
        fit_basis(speech, *edge.config.wire_shape, rng).save(path)
    return TransparentBasis.load(path)


def _project(system: EsrtSystem, mel: reference_data.Tensor) -> reference_data.Tensor:
    assert system.transparent is not None
    with reference_data.torch.autocast("cpu", enabled=False):
        return system.transparent.project(mel.transpose(1, 2))


if __name__ == "__main__":
    main()
