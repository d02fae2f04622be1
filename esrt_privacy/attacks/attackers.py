"""Trained attackers: those that ship with the package, found by the fingerprint of the tap that they attack."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from esrt_privacy.attacks.inverter import Inverter, load_inverter, save_inverter
from esrt_privacy.attacks.inverter_training import CurvePoint
from esrt_privacy.corpora import Corpus, Split, Utterance
from esrt_privacy.corpora.split import sentence_key, speaker_key
from esrt_privacy.errors import AttackError
from esrt_privacy.systems.base import Tap


@dataclass(frozen=True)
class TrainedInverter:
    """A reconstruction network with what is known of its training."""

    model: Inverter
    tap: str
    tap_fingerprint: str
    trained_on: str  # in words
    utterances: int
    budget: str
    seed: int
    curve: tuple[CurvePoint, ...]
    source: str  # "shipped", or the file it lies in

    def save(self, path: Path) -> None:
        """Write as safetensors (float16)."""
        curve = [[p.steps, round(p.seconds, 1), round(p.loss, 5)] for p in self.curve]
        about = {
            "tap": self.tap,
            "tap_fingerprint": self.tap_fingerprint,
            "trained_on": self.trained_on,
            "utterances": str(self.utterances),
            "budget": self.budget,
            "seed": str(self.seed),
            "curve": json.dumps(curve),
        }
        save_inverter(self.model, path, about)

    @classmethod
    def load(cls, path: Path, source: str) -> TrainedInverter:
        """Read what `save` wrote. Raises AttackError naming the file."""
        model, about = load_inverter(path)
        try:
            curve = tuple(
                CurvePoint(int(a), float(b), float(c)) for a, b, c in json.loads(about["curve"])
            )
            return cls(
                model,
                about["tap"],
                about["tap_fingerprint"],
                about["trained_on"],
                int(about["utterances"]),
                about["budget"],
                int(about["seed"]),
                curve,
                source,
            )
        except (KeyError, ValueError, TypeError) as error:
            raise AttackError(f"{path}: not a trained attacker ({error})") from error


def attackers_folder() -> Path:
    """Where the shipped attackers lie."""
    return Path(str(resources.files("esrt_privacy") / "data" / "attackers"))


def shipped_path(tap: Tap) -> Path:
    """The file of the shipped attacker of a tap, whether it exists or not."""
    return attackers_folder() / f"reconstruction-{tap.name}-{tap.fingerprint[:16]}.safetensors"


def shipped_inverter(tap: Tap) -> TrainedInverter | None:
    """The shipped attacker of exactly this tap of exactly this system; None where there is none."""
    path = shipped_path(tap)
    if not path.exists():
        return None
    attacker = TrainedInverter.load(path, "shipped")
    return attacker if attacker.tap_fingerprint == tap.fingerprint else None


def unseen(corpus: Corpus, split: Split, heard: frozenset[str]) -> Corpus:
    """The utterances that the shipped adapter and attackers have not been trained on.

    Left out: speakers and sentences with a training role in the shipped split, and recordings whose fingerprint is
    among those trained on (`heard`, first 16 hex digits), whatever name they go by here.
    """

    def is_new(utterance: Utterance) -> bool:
        roles = {split.speakers.get(speaker_key(utterance))}
        sentence = sentence_key(utterance.text)
        if sentence is not None:
            roles.add(split.sentences.get(sentence))
        return roles <= {None, "test"} and utterance.fingerprint[:16] not in heard

    return corpus.filter(is_new)


def without(training: Corpus, test: Corpus) -> Corpus:
    """The training utterances that share no speaker, sentence or recording with the test corpus."""
    speakers = {speaker_key(u) for u in test}
    sentences = {sentence_key(u.text) for u in test} - {None}
    audio = {u.fingerprint for u in test}
    return training.filter(
        lambda u: (
            speaker_key(u) not in speakers
            and sentence_key(u.text) not in sentences
            and u.fingerprint not in audio
        )
    )
