"""An audit in parts: one attack at one tap with one seed, whose answers lie in a file of their own."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from esrt_privacy.progress import Reporter

if TYPE_CHECKING:
    import numpy as np

    from esrt_privacy.attacks.attackers import TrainedInverter
    from esrt_privacy.attacks.families import FamilyModule
    from esrt_privacy.attacks.inputs import Inputs
    from esrt_privacy.attacks.trials import TrialList
    from esrt_privacy.captures import Capture
    from esrt_privacy.corpora import Corpus, Utterance


@dataclass(frozen=True)
class Target:
    """One system with all that was captured of it. Plain data, so that another process can take it over."""

    system: str
    tests: Corpus
    training: Corpus | None
    captures: Mapping[str, Path]  # a store's folder, by tap
    captured: Corpus  # the utterances of tests and training
    inverters: Mapping[str, Path]  # trained attackers that turn tensors into sound, by tap
    seed: int
    folds: int
    budget: float
    trials: TrialList | None = None
    weights: Path | None = None  # a folder to look for model weights in
    model: str = ""  # as the system was asked for
    allow_remote_code: bool = False  # the user's consent to its publisher's code

    def inputs(self, taps: Iterable[str]) -> Inputs:
        """What an attack on these taps gets to see."""
        from esrt_privacy.attacks.inputs import Inputs

        captures = {tap: self.capture(tap) for tap in dict.fromkeys(taps) if tap in self.captures}
        return Inputs(
            system=self.system,
            captures=captures,
            test=self.tests,
            training=self.training,
            seed=self.seed,
            folds=self.folds,
            budget=self.budget,
            trials=self.trials,
            weights=self.weights,
            model=self.model,
            allow_remote_code=self.allow_remote_code,
            reconstructions={
                tap: Reconstructed(path, captures[tap], self.tests)
                for tap, path in self.inverters.items()
                if tap in captures
            },
        )

    def capture(self, tap: str) -> Capture:
        """The tensors of one tap."""
        from esrt_privacy.captures import Capture
        from esrt_privacy.captures.store import TapStore

        return Capture(self.captured, TapStore.open(self.captures[tap]))


@dataclass(frozen=True)
class Part:
    """One attack at one tap with one seed."""

    target: int  # its place among the audit's targets
    family: str
    module: str  # where the family is
    tap: str
    seed: int
    answers: Path

    @property
    def label(self) -> str:
        """As progress shows it."""
        return f"{self.family} at {self.tap}, seed {self.seed}"

    def run(self, target: Target, report: Reporter) -> None:
        """Measure, and write the answers. Raises AttackError where the data cannot answer."""
        module = cast("FamilyModule", importlib.import_module(self.module))
        inputs = target.inputs([self.tap, *module.FAMILY.taps])

        def say(label: str, done: float, total: float) -> None:
            report(f"{self.label}: {label}", done, total)

        module.measure(inputs, self.tap, self.seed, say).save(self.answers)


def answers_path(out: Path, module: FamilyModule, inputs: Inputs, tap: str, seed: int) -> Path:
    """Where the answers of one part lie: named by all that decides them, so that others are not mistaken for them."""
    from esrt_privacy import __version__
    from esrt_privacy.attacks.families import assets_key

    family = module.FAMILY
    read = [name for name in (tap, *family.taps) if name in inputs.captures]
    decisive = [
        __version__,
        family.version,
        [inputs.captures[name].fingerprint for name in dict.fromkeys(read)],
        inputs.test.fingerprint,
        None if inputs.training is None else inputs.training.fingerprint,
        sorted(
            (name, sounds.fingerprint)
            for name, sounds in inputs.reconstructions.items()
            if name in read and isinstance(sounds, Reconstructed)
        ),
        None if inputs.trials is None else inputs.trials.fingerprint,
        assets_key(module, inputs),
        [inputs.seed, inputs.folds, inputs.budget, tap, seed],
    ]
    key = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:20]
    return out / "answers" / f"{family.name}-{tap}-{seed}-{key}.safetensors"


class Reconstructed(Mapping[str, "np.ndarray"]):
    """What a trained attacker makes of the test utterances, by id; each sound is made when it is asked for."""

    def __init__(self, inverter: Path, capture: Capture, tests: Corpus) -> None:
        self._path = inverter
        self._capture = capture
        self._utterances: dict[str, Utterance] = {u.id: u for u in tests}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the trained attacker's file."""
        with self._path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def __getitem__(self, key: str) -> np.ndarray:
        """(samples,) at 16 kHz, as long as the attacker believes it was."""
        from esrt_privacy.attacks.reconstruction import sound

        utterance = self._utterances[key]
        return sound(self._attacker, self._capture, utterance, utterance, own_length=True)

    def __iter__(self) -> Iterator[str]:
        return iter(self._utterances)

    def __len__(self) -> int:
        return len(self._utterances)

    @cached_property
    def _attacker(self) -> TrainedInverter:
        from esrt_privacy.attacks.attackers import TrainedInverter

        return TrainedInverter.load(self._path, "shipped")
