"""One reconstruction attack, from a request to a report: `esrt-privacy reconstruct`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from esrt_privacy import __version__
from esrt_privacy.audit.material import Material, learnt_from, same_corpus, tested
from esrt_privacy.audit.pictures import pictured
from esrt_privacy.audit.record import DEMO_IS_SYNTHETIC, Done, versions
from esrt_privacy.progress import Reporter, silent

if TYPE_CHECKING:
    from esrt_privacy.attacks.drafts import Draft
    from esrt_privacy.attacks.hearing import Judge
    from esrt_privacy.attacks.reconstruction import Outcome
    from esrt_privacy.attacks.reconstruction_findings import Findings
    from esrt_privacy.corpora import Corpus, Split
    from esrt_privacy.findings import Example, Run
    from esrt_privacy.systems.base import ControlledSystem

MOST_EXAMPLES = 4


@dataclass(frozen=True)
class ReconstructionRequest:
    """What `esrt-privacy reconstruct` was asked for."""

    system: str = "reference"
    tap: str = "qformer"
    corpus: str = "demo"
    train_corpus: str | None = None
    budget: str = "5m"
    go_on: bool = False
    out: Path = Path("runs/reconstruct")
    seed: int = 0
    utterances: int = 48
    channel: int | None = None
    weights: Path | None = None
    captures: Path | None = None  # where captures lie; by default in the cache folder
    allow_remote_code: bool = False  # the user's consent to the code of the system's publisher
    command: str = ""


@dataclass(frozen=True)
class Attacked:
    """What the attack found, before verdicts and before anything but sounds is written."""

    outcome: Outcome
    findings: Findings
    judge: Judge
    split: Split | None
    notes: tuple[str, ...]


def reconstruct(
    request: ReconstructionRequest, report: Reporter = silent, judge: Judge | None = None
) -> Done:
    """Attack one tap of one system by reconstruction, and write findings.json, replicates.safetensors and report.html.

    `judge` measures the sounds; by default Whisper-tiny.en and GE2E. Raises one of the package's errors, in one line,
    where the request cannot be carried out.
    """
    from esrt_privacy.attacks.draft_replicates import kept_replicates
    from esrt_privacy.findings import write_run
    from esrt_privacy.replicates import write_replicates
    from esrt_privacy.reports.build import build_report

    attacked = attack_by_ear(request, report, judge)
    report("writing the report", 0, 1)
    drafts = attacked.findings.drafts()
    run = _run(request, attacked, drafts)
    write_replicates(kept_replicates(drafts), request.out)
    write_run(run, request.out)
    page = build_report(run, request.out).page
    report("writing the report", 1, 1)
    return Done(run, page, run.corpus.notes)


def attack_by_ear(
    request: ReconstructionRequest, report: Reporter = silent, judge: Judge | None = None
) -> Attacked:
    """The attack itself; an audit of several attacks judges its findings with the others'. See `reconstruct`."""
    from esrt_privacy.assets import cache_folder
    from esrt_privacy.attacks import reconstruction
    from esrt_privacy.attacks.inverter_training import Budget, TrainingOptions
    from esrt_privacy.attacks.reconstruction_findings import Findings
    from esrt_privacy.attacks.reconstruction_speakers import enrol
    from esrt_privacy.corpora import load_corpus
    from esrt_privacy.findings import make_folder
    from esrt_privacy.systems.registry import build_system

    options = TrainingOptions(Budget.parse(request.budget), seed=request.seed)
    full = load_corpus(request.corpus)
    system: ControlledSystem = build_system(
        request.system, request.weights, request.allow_remote_code
    )
    compared = ["encoder"] if "encoder" in system.taps else []
    taps = list(dict.fromkeys([request.tap, reconstruction.CONTROL_TAP, *compared]))
    reconstruction.require_taps(system, taps)
    # The judge before any work: a missing one is said now, not after hours.
    judge = judge or _judge(request.weights)
    make_folder(request.out)
    parts = _parts(request, full)
    tests, notes = parts.tests, list(parts.notes)
    if request.channel is not None:
        tests = tests.with_channel(request.channel)
        notes.append(
            f"each test utterance went through a random channel of its own (seed {request.channel})"
        )
    chosen = reconstruction.chosen_utterances(tests, request.utterances, request.seed)
    if len(chosen) < len(tests):
        notes.append(
            f"{len(chosen)} of {len(tests)} utterances were attacked, drawn by seed {request.seed}"
            " (--utterances)"
        )
    captures_root = request.captures or cache_folder() / "captures"
    notes += system.notes
    system, attackers = reconstruction.attackers_for(
        system, taps, parts.training, options, captures_root, request.out, request.go_on, report
    )
    outcome = reconstruction.attack(
        system, request.tap, attackers, chosen, judge, captures_root, request.out, report
    )
    trials = enrol(tests, outcome.corpus, judge, report)
    if trials is None:
        notes.append("no speaker findings: they need two speakers with two recordings each")
    findings = Findings(outcome, trials, request.seed)
    return Attacked(outcome, findings, judge, parts.split, tuple(notes))


def _parts(request: ReconstructionRequest, full: Corpus) -> Material:
    """Test and training utterances of a request. The shipped adapter's training data is never tested on."""
    from esrt_privacy.attacks import reconstruction
    from esrt_privacy.corpora import load_corpus

    tests, split = tested(request.system, full)
    if request.train_corpus is None:
        return Material(None, tests, split)
    same = same_corpus(request.train_corpus, request.corpus)
    if same and len(tests) == len(full):
        training, tests, split = reconstruction.divided(full, request.seed)
        split.save(request.out / "split.json")
        return Material(training, tests, split)
    asked = full if same else load_corpus(request.train_corpus)
    training, notes = learnt_from(asked, tests, same)
    return Material(training, tests, split, notes)


def _judge(weights: Path | None) -> Judge:
    from esrt_privacy.attacks.hearing import Judge
    from esrt_privacy.judges.recogniser import Recogniser
    from esrt_privacy.judges.speakers import Ge2e

    # The dear one last: a missing speaker encoder is said at once.
    speakers = Ge2e.load(weights)
    return Judge(Recogniser.load("whisper-tiny.en", weights), speakers)


def _run(request: ReconstructionRequest, attacked: Attacked, drafts: Sequence[Draft]) -> Run:
    from esrt_privacy.attacks.drafts import judged
    from esrt_privacy.findings import AuditedCorpus, Run

    outcome, findings = attacked.outcome, attacked.findings
    drawn = pictured(drafts, ())
    return Run(
        tool_version=__version__,
        created=datetime.now(UTC),
        command=request.command or shlex.join(sys.argv),
        system=outcome.system.name,
        corpus=AuditedCorpus(
            name=outcome.corpus.name,
            fingerprint=outcome.corpus.fingerprint,
            utterances=len(outcome.corpus),
            speakers=len(outcome.corpus.speakers),
            notes=(*outcome.corpus.notes, *attacked.notes),
        ),
        fingerprints={"corpus": outcome.corpus.fingerprint, **fingerprints(attacked)},
        seeds={"audit": request.seed},
        versions=versions(),
        findings=judged(drafts),
        examples=examples(outcome, request.out),
        budget=findings.budget(),
        det_curves=drawn.det_curves,
        comments=comments(attacked),
    )


def fingerprints(attacked: Attacked) -> dict[str, str]:
    """Of everything that decided the figures but the corpus."""
    captures = attacked.outcome.captures.items()
    found = {
        "judge": attacked.judge.fingerprint,
        **{f"system at {name}": c.system_fingerprint for name, c in captures},
        **{f"capture at {name}": c.fingerprint for name, c in captures},
    }
    return found if attacked.split is None else found | {"split": attacked.split.fingerprint}


def comments(attacked: Attacked) -> tuple[str, ...]:
    """Who attacked, and what a reader must know of it."""
    said = [
        f"attacker at {tap}: {r.attacker.source}, trained on {r.attacker.trained_on}"
        f" ({r.attacker.utterances} utterances, budget {r.attacker.budget})"
        for tap, r in attacked.outcome.taps.items()
    ]
    said += [
        f"attacker at {tap}: the vectors do not lie in the order of time and were put into it"
        for tap, r in attacked.outcome.taps.items()
        if r.attacker.model.config.reorders
    ]
    said.append(f"positive control: {attacked.findings.control_words}")
    if "demo" in {u.corpus for u in attacked.outcome.corpus}:
        said.append(DEMO_IS_SYNTHETIC)
    return tuple(said)


def examples(outcome: Outcome, out: Path, folder: str = "audio") -> tuple[Example, ...]:
    """A few utterances of different speakers, with the sounds written to `folder` beside the findings."""
    import soundfile

    from esrt_privacy.attacks.reconstruction import CONTROL_TAP
    from esrt_privacy.findings import Example, Rendition

    audited, result = next(iter(outcome.taps.items()))
    speakers: set[str | None] = set()
    chosen = []
    for u in sorted(outcome.corpus, key=lambda u: (not u.text, abs((u.duration or 30) - 5))):
        if u.speaker not in speakers or u.speaker is None:
            speakers.add(u.speaker)
            chosen.append(u)
    (out / folder).mkdir(parents=True, exist_ok=True)
    control = outcome.taps.get(CONTROL_TAP) if audited != CONTROL_TAP else None
    found = []
    for number, u in enumerate(chosen[:MOST_EXAMPLES], 1):
        renditions = {
            "reconstruction": (audited, result.at_true_length, f"from {audited}"),
            "floor": ("floor", outcome.mean_mel, "mean mel"),
            "ceiling": ("ceiling", outcome.ceiling, "Griffin-Lim from the true mel"),
        }
        if control is not None:
            renditions["control"] = (CONTROL_TAP, control.at_true_length, "transparent tensor")
        shown = {}
        for place, (sound, judgements, name) in renditions.items():
            path = f"{folder}/{number}-{place}.wav"
            soundfile.write(out / path, outcome.sounds[sound](u), 16_000, subtype="PCM_16")
            heard = judgements[u.id]
            shown[place] = Rendition(
                audio=path, name=name, transcript=heard.transcript, stoi=heard.stoi
            )
        original = f"{folder}/{number}-original.wav"
        soundfile.write(out / original, u.waveform(), 16_000, subtype="PCM_16")
        found.append(
            Example(
                utterance=u.id,
                system=outcome.system.name,
                tap=audited,
                speaker=u.speaker,
                language=u.language,
                text=u.text,
                original=Rendition(audio=original, name="original"),
                **shown,
            )
        )
    return tuple(found)
