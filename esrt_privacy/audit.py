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
from esrt_privacy.errors import AttackError, ReportError, SystemUnavailable
from esrt_privacy.progress import Reporter, silent

if TYPE_CHECKING:
    from esrt_privacy.attacks.hearing import Judge
    from esrt_privacy.attacks.reconstruction import Outcome
    from esrt_privacy.attacks.reconstruction_speakers import SpeakerTrials
    from esrt_privacy.corpora import Corpus, Split
    from esrt_privacy.findings import Example, Run
    from esrt_privacy.systems.base import ControlledSystem

MOST_EXAMPLES = 4
LIBRARIES = ("torch", "torchaudio", "transformers", "numpy", "scipy", "librosa", "pystoi")


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
class Done:
    """Where the results lie."""

    run: Run
    report: Path
    notes: tuple[str, ...] = field(default=())


def reconstruct(
    request: ReconstructionRequest, report: Reporter = silent, judge: Judge | None = None
) -> Done:
    """Attack one tap of one system by reconstruction, and write findings.json and report.html.

    `judge` measures the sounds; by default Whisper-tiny.en and GE2E. Raises one of the package's errors, in one line,
    where the request cannot be carried out.
    """
    from esrt_privacy.assets import cache_folder
    from esrt_privacy.attacks import reconstruction
    from esrt_privacy.attacks.inverter_training import Budget, TrainingOptions
    from esrt_privacy.attacks.reconstruction_speakers import enrol
    from esrt_privacy.corpora import load_corpus
    from esrt_privacy.findings import write_run
    from esrt_privacy.reports.page import write_page
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
    _make_folder(request.out)
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
    report("writing the report", 0, 1)
    run = _run(request, outcome, trials, judge, notes, parts.split)
    write_run(run, request.out)
    page = write_page(run, request.out)
    report("writing the report", 1, 1)
    return Done(run, page, run.corpus.notes)


@dataclass(frozen=True)
class _Parts:
    """What is trained on and what is tested, which share nothing; the split that says so, if there is one."""

    training: Corpus | None
    tests: Corpus
    split: Split | None
    notes: tuple[str, ...] = ()


def _parts(request: ReconstructionRequest, full: Corpus) -> _Parts:
    """Test and training utterances of a request. The shipped adapter's training data is never tested on."""
    from esrt_privacy.attacks import reconstruction
    from esrt_privacy.attacks.attackers import without
    from esrt_privacy.corpora import load_corpus
    from esrt_privacy.systems.registry import REFERENCE_NAMES

    split, heard = shipped_split() if request.system in REFERENCE_NAMES else (None, frozenset())
    tests = reconstruction.test_part(full, split, heard)
    if request.train_corpus is None:
        return _Parts(None, tests, split)
    same = _same_corpus(request.train_corpus, request.corpus)
    if same and len(tests) == len(full):
        training, tests, split = reconstruction.divided(full, request.seed)
        split.save(request.out / "split.json")
        return _Parts(training, tests, split)
    asked = full if same else load_corpus(request.train_corpus)
    training = without(asked, tests)
    notes = () if same else tuple(f"training corpus: {note}" for note in asked.notes)
    if len(training) < len(asked):
        left_out = len(asked) - len(training)
        notes += (
            f"left {left_out} training utterances out: their speaker, sentence or recording is in the"
            " test corpus",
        )
    if not len(training):
        raise AttackError(
            f"{asked.name}: nothing is left to train on that is not in the test corpus; give other recordings"
        )
    return _Parts(training, tests, split, notes)


def _same_corpus(first: str, second: str) -> bool:
    """Whether two specifications name one corpus; a folder may be spelled in several ways."""
    return first == second or (
        "demo" not in (first, second)
        and Path(first).expanduser().resolve() == Path(second).expanduser().resolve()
    )


def _judge(weights: Path | None) -> Judge:
    from esrt_privacy.attacks.hearing import Judge
    from esrt_privacy.judges.recogniser import Recogniser
    from esrt_privacy.judges.speakers import Ge2e

    # The dear one last: a missing speaker encoder is said at once.
    speakers = Ge2e.load(weights)
    return Judge(Recogniser.load("whisper-tiny.en", weights), speakers)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(
            f"{out}: cannot hold the report ({error.strerror}); give another folder as --out"
        ) from error


def shipped_split() -> tuple[Split, frozenset[str]]:
    """The split that the shipped adapter and attackers keep to, and the recordings they were trained on."""
    from esrt_privacy.corpora import Split
    from esrt_privacy.systems.registry import reference_folder

    folder = reference_folder()
    path = folder / "training_audio.txt"
    try:
        heard = path.read_text(encoding="ascii").split()
    except OSError as error:
        raise SystemUnavailable(
            f"{path}: missing from this installation, so nobody knows what the reference was trained on;"
            " reinstall esrt-privacy"
        ) from error
    return Split.load(folder / "split.json"), frozenset(heard)


def _run(
    request: ReconstructionRequest,
    outcome: Outcome,
    trials: SpeakerTrials | None,
    judge: Judge,
    notes: Sequence[str],
    split: Split | None,
) -> Run:
    from esrt_privacy.attacks.reconstruction_findings import Findings
    from esrt_privacy.findings import AuditedCorpus, Run

    builder = Findings(outcome, trials, request.seed)
    fingerprints = {
        "corpus": outcome.corpus.fingerprint,
        "judge": judge.fingerprint,
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
