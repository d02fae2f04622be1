"""The reconstruction attack: train a network from intercepted tensors to speech, and judge what comes back.

The attacker is semi-informed: the edge half is public, so that any recording of other people gives a (tensor, speech)
pair. The same network, data and budget attack the transparent tensor, where everything is there to be read: that is the
positive control, without which nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from esrt_privacy.attacks.attackers import (
    TrainedInverter,
    shipped_inverter,
    shipped_path,
    unseen,
)
from esrt_privacy.attacks.hearing import Judge, Judgement
from esrt_privacy.attacks.inverter_training import (
    CurvePoint,
    TrainingOptions,
    frames_of,
    train_inverter,
)
from esrt_privacy.attacks.vocoder import waveform
from esrt_privacy.captures import Capture, capture
from esrt_privacy.corpora import Corpus, Split, Utterance, make_split
from esrt_privacy.corpora.drawing import drawn_evenly
from esrt_privacy.errors import AttackError
from esrt_privacy.progress import Reporter, silent
from esrt_privacy.systems.base import ControlledSystem, wire_tap
from esrt_privacy.systems.transparent import fit_basis

CONTROL_TAP = "transparent"
MOST_DEVELOPMENT = 32
BASIS_UTTERANCES = 400


@dataclass(frozen=True)
class Reconstruction:
    """Everything that was judged at one tap, by utterance id."""

    tap: str
    attacker: TrainedInverter
    at_true_length: dict[str, Judgement]
    at_own_length: dict[str, Judgement]  # only at the audited tap
    another: dict[str, Judgement]  # another utterance's tensor, only at the audited tap


@dataclass(frozen=True)
class Outcome:
    """What the attack found, before it is put into figures."""

    system: ControlledSystem
    corpus: Corpus  # the test utterances
    captures: dict[str, Capture]
    taps: dict[str, Reconstruction]  # audited tap first
    ceiling: dict[str, Judgement]
    mean_mel: dict[str, Judgement]
    sounds: dict[str, Callable[[Utterance], np.ndarray]]


def chosen_utterances(corpus: Corpus, most: int, seed: int) -> Corpus:
    """At most `most` utterances, as many speakers as possible, in the corpus's order.

    Drawn from the seed and the ids, so that the order of files does not matter. English with a text comes first, since
    only there words can be counted.
    """
    wanted = drawn_evenly(
        corpus, most, seed, lambda u: u.speaker, lambda u: not (u.language == "eng" and u.text)
    )
    return corpus.filter(lambda u: u.id in wanted)


def require_taps(system: ControlledSystem, taps: Sequence[str]) -> None:
    """Raise AttackError for a tap that the system does not have; a control basis may still be fitted."""
    for tap in taps:
        if tap not in system.taps and tap != CONTROL_TAP:
            known = ", ".join(system.taps)
            raise AttackError(f"system {system.name} has no tap '{tap}'; it has {known}")


def attackers_for(
    system: ControlledSystem,
    taps: Sequence[str],
    training: Corpus | None,
    options: TrainingOptions,
    captures_root: Path,
    out: Path,
    go_on: bool = False,
    report: Reporter = silent,
) -> tuple[ControlledSystem, dict[str, TrainedInverter]]:
    """The attacker of each tap: shipped ones, or trained on `training` (`go_on`: from the shipped ones).

    `training` shares nothing with the test utterances: see `attackers.without`. Returns the system
    too, which gets a control basis fitted on the training corpus where none is shipped for its shape.
    Raises AttackError where there is neither a shipped attacker nor a corpus to train one on.
    """
    if training is None:
        return system, {tap: _shipped_or_error(system, tap) for tap in taps}
    if CONTROL_TAP not in system.taps:
        system = with_basis(system, training, captures_root, options.seed, report)
    label = f"encoding {len(training)} training utterances"
    captures = capture(
        system, [*taps, "mel"], training, captures_root, lambda d, t: report(label, d, t)
    )
    training = captures["mel"].corpus
    development = _development(training, options.seed)
    attackers = {}
    for tap in taps:
        start = shipped_inverter(system.taps[tap]) if go_on else None
        if go_on and start is None:
            raise AttackError(
                f"no shipped attacker of {system.name} at {tap} to go on from; leave --continue out"
            )
        label = f"training on {tap} ({options.budget})"

        def watch(share: float, point: CurvePoint, label: str = label) -> None:
            report(f"{label}, error {point.loss:.4f}", share, 1.0)

        key = (
            f"{system.taps[tap].fingerprint[:12]}-{captures['mel'].fingerprint[:12]}-{options.seed}"
            f"{'-continued' if start else ''}"
        )
        model, curve = train_inverter(
            captures[tap],
            captures["mel"],
            development,
            options,
            out / "training" / f"{tap}-{key}-{options.budget}.pt",
            watch,
            start.model if start else None,
        )
        path = f"attackers/{tap}.safetensors"
        attackers[tap] = TrainedInverter(
            model,
            tap,
            system.taps[tap].fingerprint,
            training.name,
            len(training) - len(development),
            str(options.budget),
            options.seed,
            tuple(curve),
            path,
        )
        attackers[tap].save(out / path)
    return system, attackers


def attack(
    system: ControlledSystem,
    tap: str,
    attackers: dict[str, TrainedInverter],
    test: Corpus,
    judge: Judge,
    captures_root: Path,
    out: Path,
    report: Reporter = silent,
) -> Outcome:
    """Reconstruct every test utterance from each attacked tap, and judge the sounds.

    `attackers` has the audited tap first. Judgements are kept in `out`, so that a killed run goes on.
    """
    label = f"encoding {len(test)} test utterances"
    captures = capture(
        system, [*attackers, "mel"], test, captures_root, lambda d, t: report(label, d, t)
    )
    test = captures["mel"].corpus
    utterances = sorted(test, key=frames_of)
    partner = _partners(test)
    store = out / "judgements"

    def judged(
        name: str, key: str, sound: Callable[[Utterance], np.ndarray]
    ) -> dict[str, Judgement]:
        def listen(done: int) -> None:
            report(f"listening: {name}", done, len(utterances))

        return judge.judge(utterances, sound, store, f"{name}|{key}", listen)

    mels = captures["mel"]
    mean = attackers[tap].model.mel_mean

    def true_mel(u: Utterance) -> np.ndarray:
        return waveform(mels.tensor(u)[: frames_of(u)].float())

    def mean_mel(u: Utterance) -> np.ndarray:
        return waveform(mean.expand(frames_of(u), -1))

    def made_by(
        name: str, source: Callable[[Utterance], Utterance], own_length: bool
    ) -> Callable[[Utterance], np.ndarray]:
        return lambda u: sound(attackers[name], captures[name], u, source(u), own_length)

    sounds: dict[str, Callable[[Utterance], np.ndarray]] = {"ceiling": true_mel, "floor": mean_mel}
    taps = {}
    for name, attacker in attackers.items():
        at_true = made_by(name, lambda u: u, own_length=False)
        sounds[name] = at_true
        key = _weights_key(attacker) + captures[name].system_fingerprint
        own: dict[str, Judgement] = {}
        another: dict[str, Judgement] = {}
        result = judged(f"{name}", key, at_true)
        if name == tap:
            own_length = made_by(name, lambda u: u, own_length=True)
            own = judged(f"{name} at its own length", key, own_length)
            if partner:
                swapped = made_by(name, lambda u: partner[u.id], own_length=False)
                pairs = "".join(partner[u.id].fingerprint for u in utterances)
                another = judged("another utterance", key + pairs, swapped)
        taps[name] = Reconstruction(name, attacker, result, own, another)
    return Outcome(
        system,
        test,
        captures,
        taps,
        ceiling=judged("true mel", f"griffin-lim {mels.system_fingerprint}", true_mel),
        mean_mel=judged("mean mel", mean.numpy().tobytes().hex(), mean_mel),
        sounds=sounds,
    )


@torch.inference_mode()
def sound(
    attacker: TrainedInverter,
    tensors: Capture,
    utterance: Utterance,
    source: Utterance,
    own_length: bool,
) -> np.ndarray:
    """What an attacker makes of `source`'s tensor, (samples,) at 16 kHz.

    As long as `utterance` is, or with `own_length` as the attacker believes it to be.
    """
    frames: Tensor | None = None if own_length else torch.tensor([frames_of(utterance)])
    mel, predicted = attacker.model(tensors.batch([source]), frames)
    length = round(float(predicted[0])) if own_length else frames_of(utterance)
    return waveform(mel[0, : max(1, length)])


def test_part(corpus: Corpus, shipped: Split | None, heard: frozenset[str]) -> Corpus:
    """What of a corpus the shipped attackers may be tested on. Raises AttackError when nothing is left."""
    if shipped is None:
        return corpus
    part = unseen(corpus, shipped, heard)
    if not len(part):
        raise AttackError(
            f"{corpus.name}: the shipped attackers or the adapter were trained on all of it; give other recordings"
        )
    left_out = len(corpus) - len(part)
    if left_out:
        note = f"left out {left_out} utterances whose speaker, sentence or recording was trained on"
        part = replace(part, notes=(*part.notes, note))
    return part


def divided(corpus: Corpus, seed: int) -> tuple[Corpus, Corpus, Split]:
    """One corpus for both: an attack-train part and a test part that share no speaker and no sentence."""
    split = make_split(corpus, seed, {"attack-train": 0.65, "test": 0.35})
    training, test = split.select(corpus, "attack-train"), split.select(corpus, "test")
    if not len(training) or not len(test):
        raise AttackError(
            f"{corpus.name}: too few speakers to keep some for testing; give another --train-corpus"
        )
    return training, test, split


def with_basis(
    system: ControlledSystem, training: Corpus, root: Path, seed: int, report: Reporter
) -> ControlledSystem:
    """The system with a transparent tap of its wire tensor's shape, fitted on the training corpus."""
    part = replace(training, utterances=training.utterances[:BASIS_UTTERANCES])
    label = "fitting the transparent control"
    mels = capture(system, ["mel"], part, root, lambda d, t: report(label, d, t))["mel"]
    speech = [mels.tensor(u)[: frames_of(u)].T.float() for u in mels.corpus]
    basis = fit_basis(speech, *wire_tap(system).shape, np.random.default_rng(seed))
    return system.with_transparent(basis)


def _shipped_or_error(system: ControlledSystem, tap: str) -> TrainedInverter:
    require_taps(system, [tap])
    if tap not in system.taps:
        raise AttackError(
            f"no control basis is shipped for {system.name}'s tensor; give --train-corpus to fit one"
        )
    attacker = shipped_inverter(system.taps[tap])
    if attacker is None:
        raise AttackError(
            f"no trained attacker ships for {system.name} at {tap} ({shipped_path(system.taps[tap]).name});"
            " train one with --train-corpus PATH --budget 10m"
        )
    return attacker


def _development(training: Corpus, seed: int) -> list[Utterance]:
    """A tenth of the utterances, at most 32, to watch the training by."""
    order = np.random.default_rng(seed).permutation(len(training))
    count = min(MOST_DEVELOPMENT, len(training) // 10)
    return [training.utterances[i] for i in order[:count]]


def _partners(test: Corpus) -> dict[str, Utterance]:
    """For each utterance one of another speaker (where there is one) that is as long as possible alike."""
    partners = {}
    for u in test:
        others = [v for v in test if v.id != u.id and v.text != u.text] or [
            v for v in test if v.id != u.id
        ]
        others = [v for v in others if v.speaker != u.speaker] or others
        if others:
            partners[u.id] = min(others, key=lambda v: (abs(frames_of(v) - frames_of(u)), v.id))
    return partners


def _weights_key(attacker: TrainedInverter) -> str:
    from esrt_privacy.weights import fingerprint

    return fingerprint(attacker.model)
