"""One system of a plan, made ready: its recordings, and every tap captured that an attack on it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from esrt_privacy.attacks.families import RECONSTRUCTION, family_module
from esrt_privacy.audit.material import gathered
from esrt_privacy.audit.parts import Target
from esrt_privacy.audit.plan import WIRE, Plan
from esrt_privacy.progress import Reporter

if TYPE_CHECKING:
    from esrt_privacy.attacks.trials import TrialList
    from esrt_privacy.corpora import Corpus
    from esrt_privacy.systems.base import ControlledSystem


@dataclass(frozen=True)
class AuditRequest:
    """What `esrt-privacy audit`, or the command of one attack, was asked for."""

    plan: Plan
    out: Path = Path("runs/audit")
    weights: Path | None = None
    captures: Path | None = None  # where captures lie; by default in the cache folder
    trials: Path | None = None  # the user's own list of speaker trials
    allow_remote_code: bool = False  # the user's consent to the code of the systems' publishers
    jobs: int | None = None  # processes side by side; by default as many as processors
    command: str = ""


@dataclass(frozen=True)
class Prepared:
    """One system, ready to be attacked."""

    asked: str  # as the plan names it
    target: Target
    taps: Mapping[str, tuple[str, ...]]  # under audit, by attack
    order: tuple[str, ...]  # of all taps that are read, those under audit first
    shipped: (
        bool  # whether a trained reconstruction attacker ships for every tap that one is asked for
    )
    fingerprints: Mapping[str, str]
    notes: tuple[str, ...]


def prepare(request: AuditRequest, name: str, report: Reporter) -> Prepared:
    """Build the system called `name`, and encode what is not captured yet.

    Raises one of the package's errors, in one line, for a tap or corpus that is not there.
    """
    from esrt_privacy.assets import cache_folder
    from esrt_privacy.attacks.attackers import shipped_inverter, shipped_path
    from esrt_privacy.attacks.reconstruction import CONTROL_TAP, with_basis
    from esrt_privacy.captures import capture
    from esrt_privacy.systems.base import require_taps, wire_tap
    from esrt_privacy.systems.registry import build_system

    plan = request.plan
    material = gathered(name, plan.corpus, plan.train_corpus, plan.channel, plan.seed, report)
    system: ControlledSystem = build_system(name, request.weights, request.allow_remote_code)
    taps = _taps(plan, wire_tap(system).name)
    audited = list(dict.fromkeys(tap for names in taps.values() for tap in names))
    require_taps(system, audited)
    trials = None if request.trials is None else _trials(request.trials, material.tests)
    notes = [*system.notes, *material.notes]
    root = request.captures or cache_folder() / "captures"
    beside = _beside(plan)
    if CONTROL_TAP in beside and CONTROL_TAP not in system.taps:
        if material.training is None:
            notes.append(
                f"no control basis is shipped for {system.name}'s tensor; give --train-corpus to fit one"
            )
        else:
            system = with_basis(system, material.training, root, plan.seed, report)
    read = [tap for tap in dict.fromkeys([*audited, *beside]) if tap in system.taps]

    def captured(corpus: Corpus, what: str) -> Corpus:
        label = f"encoding {len(corpus)} {what} utterances for {system.name}"
        made = capture(system, read, corpus, root, lambda d, t: report(label, d, t))
        stores.update({tap: each.store.folder for tap, each in made.items()})
        return made[read[0]].corpus

    stores: dict[str, Path] = {}
    tests = captured(material.tests, "test")
    training = None if material.training is None else captured(material.training, "training")
    heard = () if training is None else training.utterances
    inverters = {
        tap: shipped_path(system.taps[tap])
        for tap in system.taps
        if shipped_inverter(system.taps[tap]) is not None
    }
    by_ear = {*taps.get(RECONSTRUCTION, ()), CONTROL_TAP, "encoder"}
    target = Target(
        system=system.name,
        tests=tests,
        training=training,
        captures=stores,
        captured=replace(tests, utterances=(*tests.utterances, *heard)),
        inverters={tap: path for tap, path in inverters.items() if tap in read},
        seed=plan.seed,
        folds=plan.folds,
        budget=plan.budget,
        trials=trials,
        weights=request.weights,
        model=name,
        allow_remote_code=request.allow_remote_code,
    )
    fingerprints = {f"system at {tap}": target.capture(tap).system_fingerprint for tap in read}
    fingerprints |= {f"capture at {tap}": target.capture(tap).fingerprint for tap in read}
    if material.split is not None:
        fingerprints["split"] = material.split.fingerprint
    if trials is not None:
        fingerprints["trials"] = trials.fingerprint
    return Prepared(
        asked=name,
        target=target,
        taps=taps,
        order=tuple(read),
        shipped=all(tap in inverters for tap in by_ear if tap in system.taps),
        fingerprints=fingerprints,
        notes=tuple(notes),
    )


def _taps(plan: Plan, wire: str) -> dict[str, tuple[str, ...]]:
    return {
        attack.name: tuple(dict.fromkeys(wire if t == WIRE else t for t in plan.taps_of(attack)))
        for attack in plan.attacks
    }


def _beside(plan: Plan) -> list[str]:
    """What the attacks read beside the taps under audit."""
    names = [attack.name for attack in plan.attacks if attack.name != RECONSTRUCTION]
    return [tap for name in names for tap in family_module(name).FAMILY.taps]


def _trials(path: Path, tests: Corpus) -> TrialList:
    from esrt_privacy.attacks.trials import read_trials

    return read_trials(path, tests)
