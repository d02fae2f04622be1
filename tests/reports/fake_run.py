"""A run as the reconstruction attack writes one, over sounds made here: no model is needed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from esrt_privacy.findings import (
    AuditedCorpus,
    BudgetPoint,
    Example,
    Finding,
    Interval,
    Rendition,
    Run,
)

RATE = 16_000
SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
SAID = (
    ("demo-017-eng", "eng", "the ferry leaves at seven in the morning", "the very leaves a seven"),
    ("demo-041-spa", "spa", "mañana compramos pan en la esquina", "mañana compra pan"),
    ("demo-102-eng", "eng", "please call me back before noon", "please come back be for new"),
)


def interval(value: float, half: float, method: str = "speaker bootstrap, 1000 draws") -> Interval:
    return Interval(value=value, low=value - half, high=value + half, method=method, n=240)


def finding(**changes: Any) -> Finding:
    """A finding of the reconstruction attack, with some fields changed."""
    fields: dict[str, Any] = {
        "id": "reconstruction-qformer-wer",
        "question": "Can a recogniser read the words in the reconstruction?",
        "system": "reference",
        "system_fingerprint": SHA,
        "corpus": "demo",
        "tap": "qformer",
        "attacker": "semi-informed",
        "position": "network plaintext",
        "attack": "reconstruction",
        "metric": "word error rate",
        "unit": "%",
        "leaks_when": "lower",
        "estimate": interval(71.4, 4.2),
        "floors": {"mean mel": interval(100.0, 0.4), "another utterance": interval(98.7, 1.1)},
        "ceiling": interval(11.2, 1.8),
        "ceiling_name": "Griffin-Lim from the true mel",
        "control": interval(34.9, 3.5),
        "control_name": "transparent tensor",
        "control_rule": "word error rate at most 40% and STOI at least 0.70 at true length",
        "control_passed": True,
        "verdict": "leaks",
        "reason": "The 95% bound of 75.6% lies below the strongest floor, another utterance.",
        "utterances": 240,
        "speakers": 24,
        "seeds": (1, 2, 3),
        "notes": ("The recogniser is a relative of the system's encoder.",),
    }
    return Finding.model_validate(fields | changes)


MEASURES = (
    (
        "stoi",
        "Is the reconstruction intelligible by its envelopes?",
        "STOI",
        "",
        "higher",
        (0.44, 0.02),
        (0.17, 0.19),
        0.74,
        0.91,
        "leaks",
    ),
    (
        "mcd",
        "How far is its timbre from the original?",
        "mel cepstral distortion",
        "dB",
        "lower",
        (7.9, 0.3),
        (9.6, 9.1),
        5.1,
        3.2,
        "leaks",
    ),
    (
        "f0",
        "Does the melody of the voice come through?",
        "F0 correlation",
        "",
        "higher",
        (0.09, 0.08),
        (0.0, 0.02),
        0.61,
        0.88,
        "inconclusive",
    ),
    (
        "length",
        "Is the length of the utterance betrayed?",
        "relative length error",
        "%",
        "lower",
        (6.3, 0.9),
        (41.0, 38.2),
        2.2,
        0.0,
        "leaks",
    ),
    (
        "speaker-eer",
        "Is the speaker recognised in the reconstruction?",
        "equal error rate of speaker trials",
        "%",
        "lower",
        (47.2, 3.9),
        (50.0, 49.5),
        28.4,
        12.5,
        "not detected",
    ),
)


def findings() -> tuple[Finding, ...]:
    found = [finding()]
    for name, question, metric, unit, leaks, value, floors, control, ceiling, verdict in MEASURES:
        found.append(
            finding(
                id=f"reconstruction-qformer-{name}",
                question=question,
                metric=metric,
                unit=unit,
                leaks_when=leaks,
                estimate=interval(*value),
                floors={
                    "mean mel": interval(floors[0], value[1] / 2),
                    "another utterance": interval(floors[1], value[1] / 2),
                },
                control=interval(control, value[1]),
                ceiling=interval(ceiling, value[1] / 3),
                verdict=verdict,
                reason=f"Compared with another utterance, the bound gives: {verdict}.",
                notes=(),
            )
        )
    found.append(
        finding(
            id="reconstruction-encoder-wer",
            tap="encoder",
            estimate=interval(18.3, 2.4),
            reason="The 95% bound of 20.7% lies below the strongest floor.",
        )
    )
    return tuple(found)


def sentence_like(seed: int, seconds: float = 2.6) -> np.ndarray:
    """A buzzing voice with moving formants and pauses: (samples,) float32, like nobody's."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    pitch = 130 + 40 * np.sin(2 * np.pi * 0.6 * time + rng.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    wave = np.zeros_like(time)
    knots = np.linspace(0, seconds, int(seconds * 5) + 2)
    formants = [
        np.interp(time, knots, rng.uniform(low, high, len(knots)))
        for low, high in ((300, 850), (900, 2300), (2400, 3200))
    ]
    for harmonic in range(1, 45):
        gain = sum(np.exp(-(((harmonic * pitch - formant) / 160) ** 2)) for formant in formants)
        wave += (0.02 + gain) * np.sin(harmonic * phase) / harmonic**0.5
    loudness = np.interp(time, knots, rng.uniform(0, 1, len(knots)) > 0.25)
    wave = wave * loudness + 0.004 * rng.standard_normal(len(time))
    return (0.6 * wave / np.abs(wave).max()).astype(np.float32)


def write_sounds(folder: Path, name: str, seed: int) -> dict[str, Rendition]:
    """Five sounds of one utterance in `folder`, as renditions without transcripts."""
    original = sentence_like(seed)
    smear = np.hanning(12) / np.hanning(12).sum()
    blurred = np.convolve(original, smear, mode="same")
    noise = np.random.default_rng(seed).standard_normal(len(original))
    sounds = {
        "original": original,
        "reconstruction": (0.8 * blurred + 0.012 * noise)[: int(0.94 * len(blurred))],
        "floor": sentence_like(seed + 1000, 2.1),
        "ceiling": original + 0.002 * noise,
        "control": 0.8 * blurred + 0.005 * noise,
    }
    (folder / "examples").mkdir(parents=True, exist_ok=True)
    renditions = {}
    for role, wave in sounds.items():
        path = f"examples/{name}-{role}.wav"
        soundfile.write(folder / path, np.clip(wave, -1, 1), RATE, subtype="PCM_16")
        renditions[role] = Rendition(audio=path)
    return renditions


def fake_run(folder: Path) -> Run:
    """A run with a leak, an open question and a bound; its sounds are written into `folder`."""
    examples = []
    names = {
        "floor": "another utterance",
        "ceiling": "Griffin-Lim from the true mel",
        "control": "transparent tensor",
    }
    for seed, (utterance, language, text, heard) in enumerate(SAID):
        stoi = {"reconstruction": 0.46, "floor": 0.18, "ceiling": 0.92, "control": 0.75}
        transcripts = {
            "original": text,
            "reconstruction": heard,
            "floor": "one more coffee",
            "ceiling": text,
            "control": text,
        }
        renditions = {
            role: rendition.model_copy(
                update={
                    "name": names.get(role, ""),
                    "transcript": transcripts[role],
                    "stoi": stoi.get(role),
                }
            )
            for role, rendition in write_sounds(folder, utterance, seed).items()
        }
        examples.append(
            Example(
                utterance=utterance,
                system="reference",
                tap="qformer",
                speaker=f"voice-{seed}",
                language=language,
                text=text,
                **renditions,
            )
        )
    budget = [
        BudgetPoint(tap=tap, amount=amount, amount_unit="steps", metric=metric, unit=unit, value=v)
        for metric, unit, curves in (
            (
                "word error rate",
                "%",
                {
                    "qformer": (99, 95, 86, 76, 71.4),
                    "transparent tensor": (97, 71, 48, 37, 34.9),
                    "encoder": (90, 45, 26, 19, 18.3),
                },
            ),
            (
                "STOI",
                "",
                {
                    "qformer": (0.2, 0.28, 0.36, 0.42, 0.44),
                    "transparent tensor": (0.3, 0.52, 0.66, 0.73, 0.74),
                    "encoder": (0.35, 0.6, 0.75, 0.79, 0.8),
                },
            ),
        )
        for tap, values in curves.items()
        for amount, v in zip((250, 500, 1000, 2000, 4000), values, strict=True)
    ]
    return Run(
        tool_version="0.1.0",
        created=datetime(2025, 3, 14, 15, 9, 26, tzinfo=UTC),
        command="esrt-privacy reconstruct --system reference --tap qformer --corpus demo --seed 1",
        system="reference",
        corpus=AuditedCorpus(
            name="demo",
            fingerprint=SHA,
            utterances=240,
            speakers=24,
            notes=(
                "Left out: broken.flac, which ends in the middle of a frame.",
                "Cut: lecture.flac, 31.2 s, into 2 windows of at most 30 s.",
            ),
        ),
        fingerprints={"system": SHA, "split": SHA[::-1], "attacker (qformer)": SHA},
        seeds={"split": 7, "attack": 1, "bootstrap": 1},
        versions={"python": "3.11.9", "torch": "2.5.1", "transformers": "4.46.0"},
        findings=findings(),
        examples=tuple(examples),
        budget=tuple(budget),
        comments=("The voices are synthetic; no verdict on speakers rests on them.",),
    )
