"""Runs an audit from a request to a report: corpora, systems, captures, attacks, findings, pages.

The one place that knows every room. Each part writes to the output folder before the next begins, so that a killed run
goes on where it was when the same request is made again.
"""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from esrt_privacy import __version__
from esrt_privacy.errors import AttackError
from esrt_privacy.progress import Reporter, silent

if TYPE_CHECKING:
    from esrt_privacy.attacks.reconstruction import Outcome
    from esrt_privacy.corpora import Corpus, Split
    from esrt_privacy.findings import Example, Run

MOST_EXAMPLES = 4
LIBRARIES = ("torch", "torchaudio", "transformers", "numpy", "scipy", "librosa", "pystoi")


@dataclass(frozen=True)
class ReconstructionRequest:
    """What `esrt-privacy reconstruct` was asked for."""

    system: str = "reference"
    tap: str = "qformer"
    corpus: str = "demo"
    train_corpus: str | None = None
    budget: str = "10m"
    go_on: bool = False
    out: Path = Path("runs/reconstruct")
    seed: int = 0
    utterances: int = 48
    channel: int | None = None
    weights: Path | None = None
    command: str = ""


@dataclass(frozen=True)
class Done:
    """Where the results lie."""

    run: Run
    report: Path
    notes: tuple[str, ...] = field(default=())


def reconstruct(request: ReconstructionRequest, report: Reporter = silent) -> Done:
    """Attack one tap of one system by reconstruction, and write findings.json and report.html.

    Raises one of the package's errors, in one line, where the request cannot be carried out.
    """
    from esrt_privacy.assets import cache_folder, ge2e_weights, whisper_folder
    from esrt_privacy.attacks import attackers as trained
    from esrt_privacy.attacks import reconstruction
    from esrt_privacy.attacks.hearing import Judge
    from esrt_privacy.attacks.inverter_training import Budget, TrainingOptions
    from esrt_privacy.attacks.reconstruction_speakers import enrol
    from esrt_privacy.corpora import load_corpus
    from esrt_privacy.findings import write_run
    from esrt_privacy.judges.recogniser import Recogniser
    from esrt_privacy.judges.speakers import Ge2e
    from esrt_privacy.reports.page import write_page
    from esrt_privacy.systems.registry import build_system

    options = TrainingOptions(Budget.parse(request.budget), seed=request.seed)
    full = load_corpus(request.corpus)
    # Judges first: a missing one is said before hours of work, not after.
    judge = Judge(
        Recogniser(whisper_folder("whisper-tiny.en", request.weights)),
        Ge2e(ge2e_weights(request.weights)),
    )
    system = build_system(request.system, request.weights)
    split, heard = (
        shipped_split()
        if request.system in ("reference", "reference-lite")
        else (None, frozenset())
    )
    notes: list[str] = []
    training: Corpus | None = None
    if request.train_corpus is None:
        tests = reconstruction.test_part(full, split, heard)
    elif request.train_corpus == request.corpus:
        training, tests, own_split = reconstruction.divided(full, request.seed)
        request.out.mkdir(parents=True, exist_ok=True)
        own_split.save(request.out / "split.json")
    else:
        tests = full
        asked = load_corpus(request.train_corpus)
        training = trained.without(asked, tests)
        if len(training) < len(asked):
            notes.append(
                f"left {len(asked) - len(training)} training utterances out: their speaker, sentence or"
                " recording is in the test corpus"
            )
        if not len(training):
            raise AttackError(
                f"{asked.name}: nothing is left to train on that is not in the test corpus; give other recordings"
            )
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
    captures_root = cache_folder() / "captures"
    taps = list(dict.fromkeys([request.tap, reconstruction.CONTROL_TAP, "encoder"]))
    system, attackers = reconstruction.attackers_for(
        system, taps, training, options, captures_root, request.out, request.go_on, report
    )
    outcome = reconstruction.attack(
        system, request.tap, attackers, chosen, judge, captures_root, request.out, report
    )
    trials = enrol(tests, outcome.corpus, judge, report)
    if trials is None:
        notes.append("no speaker findings: they need two speakers with two recordings each")
    report("writing the report", 0, 1)
    run = _run(request, outcome, trials, (*notes, *outcome.notes), split)
    write_run(run, request.out)
    page = write_page(run, request.out)
    report("writing the report", 1, 1)
    return Done(run, page, run.corpus.notes)


def shipped_split() -> tuple[Split, frozenset[str]]:
    """The split that the shipped adapter and attackers keep to, and the recordings they were trained on."""
    from esrt_privacy.corpora import Split
    from esrt_privacy.systems.registry import reference_folder

    folder = reference_folder()
    heard = (folder / "training_audio.txt").read_text(encoding="ascii").split()
    return Split.load(folder / "split.json"), frozenset(heard)


def _run(
    request: ReconstructionRequest,
    outcome: Outcome,
    trials: object,
    notes: Sequence[str],
    split: Split | None,
) -> Run:
    from esrt_privacy.attacks.reconstruction_findings import Findings
    from esrt_privacy.findings import AuditedCorpus, Run

    builder = Findings(outcome, trials, request.seed)  # type: ignore[arg-type]
    fingerprints = {
        "corpus": outcome.corpus.fingerprint,
        **{f"system at {name}": c.system_fingerprint for name, c in outcome.captures.items()},
        **{f"capture at {name}": c.fingerprint for name, c in outcome.captures.items()},
    }
    if split is not None:
        fingerprints["split"] = split.fingerprint
    comments = [
        f"attacker at {tap}: {r.attacker.source}, trained on {r.attacker.trained_on}"
        f" ({r.attacker.utterances} utterances, budget {r.attacker.budget})"
        for tap, r in outcome.taps.items()
    ]
    comments.append(f"positive control: {builder.control_words}")
    corpora = {u.corpus for u in outcome.corpus}
    if "demo" in corpora:
        comments.append(
            "the demo corpus is synthetic: blended voices are no population, and clean read speech is easier"
            " than recordings of people"
        )
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
            notes=(*outcome.corpus.notes, *notes),
        ),
        fingerprints=fingerprints,
        seeds={"audit": request.seed},
        versions=_versions(),
        findings=builder.findings(),
        examples=_examples(outcome, request.out),
        budget=builder.budget(),
        comments=tuple(comments),
    )


def _examples(outcome: Outcome, out: Path) -> tuple[Example, ...]:
    """A few utterances of different speakers, with the sounds written beside the findings."""
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
    (out / "audio").mkdir(parents=True, exist_ok=True)
    control = outcome.taps.get(CONTROL_TAP) if audited != CONTROL_TAP else None
    examples = []
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
            path = f"audio/{number}-{place}.wav"
            soundfile.write(out / path, outcome.sounds[sound](u), 16_000, subtype="PCM_16")
            heard = judgements[u.id]
            shown[place] = Rendition(
                audio=path, name=name, transcript=heard.transcript, stoi=heard.stoi
            )
        original = f"audio/{number}-original.wav"
        soundfile.write(out / original, u.waveform(), 16_000, subtype="PCM_16")
        examples.append(
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
    return tuple(examples)


def _versions() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), **versions}
