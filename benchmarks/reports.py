"""What a report of a large run costs: seconds to write, read and build it, and the size of each file.

    python benchmarks/reports.py [--findings 5000] [--examples 40] [--pdf] [--out FOLDER]

The run is generated: findings of every metric over systems and taps, examples with noise for sounds, as many DET
curves, confusion matrices and pairs of lengths as findings ask for. Printed, by the clock and of processor time, which
other programs disturb less: writing and reading findings.json, building the report, reading it back; then file sizes,
and what the page left out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np
import soundfile

from esrt_privacy.findings import (
    AuditedCorpus,
    BudgetPoint,
    Confusion,
    DetCurve,
    Example,
    Finding,
    Interval,
    Lengths,
    Rendition,
    Run,
    read_run,
    write_run,
)
from esrt_privacy.reports.build import build_report
from esrt_privacy.reports.record import read_report_record

METRICS = (
    ("speaker", "speaker EER", "%", "lower"),
    ("linkage", "top-1", "%", "higher"),
    ("language", "balanced accuracy", "%", "higher"),
    ("duration", "duration R²", "", "higher"),
    ("attributes", "macro-F1", "%", "higher"),
    ("structure", "NMI", "", "higher"),
    ("reconstruction", "WER", "%", "lower"),
    ("reconstruction", "STOI", "", "higher"),
)
TAPS = ("qformer", "waveform", "mel", "encoder.2", "encoder.4", "encoder", "projector")
VERDICTS = ("leaks", "not detected", "inconclusive", "invalid")
RATE = 16_000
SECONDS = 6
Value = TypeVar("Value")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--findings", type=int, default=5000)
    parser.add_argument("--examples", type=int, default=40)
    parser.add_argument("--pdf", action="store_true")
    parser.add_argument("--out", type=Path, help="by default a folder that is thrown away")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        run = large_run(folder, options.findings, options.examples)
        print(f"{len(run.findings):,} findings, {len(run.examples)} examples")
        _timed("findings.json written", lambda: write_run(run, folder))
        whole = time.perf_counter()
        read = _timed("findings.json read", lambda: read_run(folder))
        built = _timed("report built", lambda: build_report(read, folder, pdf=options.pdf))
        print(f"read and built together: {time.perf_counter() - whole:.1f} s")
        _timed("report.json read", lambda: read_report_record(folder))
        for path in sorted(built.files):
            print(f"   {path.name}: {path.stat().st_size / 2**20:.2f} MB")
        page = built.page.read_text()
        print(
            f"   players in the page: {page.count('<audio ')}, pictures: {page.count('<svg class')}"
        )


def large_run(folder: Path, findings: int, examples: int) -> Run:
    """A run with so many findings, and with examples whose sounds are written to `folder`."""
    rng = np.random.default_rng(0)
    found = tuple(_finding(number, rng) for number in range(findings))
    return Run(
        tool_version="0",
        created=datetime(2025, 3, 14, tzinfo=UTC),
        command="esrt-privacy audit",
        system="system-0",
        corpus=AuditedCorpus(name="generated", fingerprint="f" * 64, utterances=9, speakers=9),
        findings=found,
        examples=tuple(_example(folder, number, rng) for number in range(examples)),
        budget=tuple(
            BudgetPoint(
                tap=tap, amount=amount, amount_unit="steps", metric=metric, unit=unit, value=v
            )
            for _, metric, unit, _ in METRICS
            for tap in TAPS
            for amount, v in zip((100, 1000, 10_000), rng.random(3), strict=True)
        ),
        det_curves=tuple(_curve(f) for f in found if f.metric == "speaker EER")[:2000],
        confusions=tuple(_confusion(f, rng) for f in found if f.metric == "balanced accuracy")[:50],
        lengths=tuple(_lengths(f, rng) for f in found if f.metric == "duration R²")[:50],
    )


def _finding(number: int, rng: np.random.Generator) -> Finding:
    attack, metric, unit, leaks_when = METRICS[number % len(METRICS)]
    tap = TAPS[number // len(METRICS) % len(TAPS)]
    system = f"system-{number // (len(METRICS) * len(TAPS))}"
    scale = 100.0 if unit == "%" else 1.0

    def interval() -> Interval:
        low, value, high = np.sort(rng.random(3)) * scale
        method = "speaker bootstrap, 1000 draws"
        return Interval(value=value, low=low, high=high, method=method, n=240)

    return Finding(
        id=f"{system}.{attack}.{tap}.{number}",
        question=f"What does a tensor give away that the {attack} attack can find?",
        system=system,
        system_fingerprint="f" * 64,
        corpus="generated",
        tap=tap,
        attacker="semi-informed",
        position="network plaintext",
        attack=attack,
        metric=metric,
        unit=unit,
        leaks_when="lower" if leaks_when == "lower" else "higher",
        estimate=interval(),
        floors={"chance": interval(), "duration only": interval()},
        ceiling=interval(),
        ceiling_name="log-mel",
        control=interval(),
        control_name="transparent tensor",
        control_rule="what it must reach, said in a few words",
        control_passed=True,
        verdict=VERDICTS[int(rng.integers(len(VERDICTS)))],
        reason=f"{system} at {tap}, {metric}: beats the floor 'duration only' by 1.23 (95%: 1.1 to 1.4)",
        utterances=494,
        speakers=26,
        seeds=(0, 1, 2),
        notes=("one session a speaker: room and microphone may betray a speaker too",),
    )


def _curve(finding: Finding) -> DetCurve:
    alarms = np.linspace(1, 0, 200)
    return DetCurve(
        finding=finding.id,
        system=finding.system,
        tap=finding.tap,
        attacker=finding.attacker,
        trials="240 of one speaker, 5000 of two",
        false_alarm=tuple(alarms.tolist()),
        miss=tuple(((1 - alarms) ** 2).tolist()),
        eer=0.38,
    )


def _confusion(finding: Finding, rng: np.random.Generator) -> Confusion:
    size = 45
    return Confusion(
        finding=finding.id,
        system=finding.system,
        tap=finding.tap,
        asked="language",
        labels=tuple(f"l{n:02d}" for n in range(size)),
        counts=tuple(tuple(row) for row in rng.integers(0, 9, (size, size)).tolist()),
    )


def _lengths(finding: Finding, rng: np.random.Generator) -> Lengths:
    true = rng.uniform(1, 30, 2000)
    return Lengths(
        finding=finding.id,
        system=finding.system,
        tap=finding.tap,
        true=tuple(true.tolist()),
        inferred=tuple((true * rng.uniform(0.9, 1.1, 2000)).tolist()),
        utterances=2000,
    )


def _example(folder: Path, number: int, rng: np.random.Generator) -> Example:
    def rendition(role: str) -> Rendition:
        path = f"audio/{number}-{role}.wav"
        (folder / "audio").mkdir(exist_ok=True)
        noise = 0.1 * rng.standard_normal(RATE * SECONDS)  # hardly compresses: the worst case
        soundfile.write(folder / path, noise, RATE, subtype="PCM_16")
        return Rendition(audio=path, name=role, transcript="what was heard", stoi=0.5)

    roles = ("original", "reconstruction", "floor", "ceiling", "control")
    return Example(
        utterance=f"utterance-{number}",
        system="system-0",
        tap="qformer",
        text="what was said",
        **{role: rendition(role) for role in roles},
    )


def _timed(what: str, work: Callable[[], Value]) -> Value:
    began, spent = time.perf_counter(), time.process_time()
    value = work()
    print(
        f"{what}: {time.perf_counter() - began:.1f} s ({time.process_time() - spent:.1f} s of processor)"
    )
    return value


if __name__ == "__main__":
    main()
