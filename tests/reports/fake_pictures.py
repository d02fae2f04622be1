"""Curves, tables and pairs as attacks give them, over scores and answers made here."""

from pathlib import Path

import numpy as np

from esrt_privacy.findings import Attacker, Confusion, DetCurve, Finding, Lengths, Run
from esrt_privacy.measures import verification
from tests.reports.fake_run import fake_run, finding, interval

LANGUAGES = ("ben", "cmn", "deu", "eng", "fra", "hin", "jpn", "por", "rus", "spa", "swh", "tam")
SPEAKER_TAPS = {"qformer": 0.35, "encoder": 1.6, "projector": 0.3, "mel": 2.8}


def speaker_finding(
    tap: str = "qformer", attacker: Attacker = "semi-informed", value: float = 42.0
) -> Finding:
    """An equal error rate beside chance, a confound, a control and a ceiling."""
    return finding(
        id=f"speaker.{tap}.{attacker}-eer",
        question="Is this tensor spoken by the person whom the attacker has enrolled?",
        tap=tap,
        attacker=attacker,
        attack="speaker",
        metric="speaker EER",
        unit="%",
        leaks_when="lower",
        estimate=interval(value, 3.0),
        floors={"chance": interval(50.0, 0.0), "duration only": interval(47.5, 2.0)},
        ceiling=interval(6.0, 1.2),
        ceiling_name="log-mel",
        control=interval(14.0, 2.5),
        control_name="transparent tensor",
        control_rule="EER at most 35%",
        reason="Its bound is compared with that of duration only.",
        notes=(),
    )


def det_curve(
    tap: str = "qformer",
    attacker: Attacker = "semi-informed",
    apart: float = 0.35,
    trials: int = 4_000,
    seed: int = 5,
) -> DetCurve:
    """The curve of two shifted Gaussians, `apart` deviations from each other."""
    rng = np.random.default_rng(seed)
    own, others = rng.normal(apart, 1, trials // 10), rng.normal(0, 1, trials)
    curve = verification.hull_det_curve(own, others, points=200)
    return DetCurve(
        finding=f"speaker.{tap}.{attacker}-eer",
        system="reference",
        tap=tap,
        attacker=attacker,
        asked="same speaker, one sex",
        trials=f"{len(own):,} target and {len(others):,} non-target trials",
        false_alarm=tuple(curve.false_alarm.tolist()),
        miss=tuple(curve.miss.tolist()),
        eer=verification.eer(own, others),
    )


def confusion(labels: tuple[str, ...] = LANGUAGES, seed: int = 3, right: float = 6.0) -> Confusion:
    """Answers that are right somewhat more often than by chance."""
    rng = np.random.default_rng(seed)
    chances = np.ones((len(labels), len(labels))) + right * np.eye(len(labels))
    rows = [rng.multinomial(40, row / row.sum()) for row in chances]
    return Confusion(
        finding="language.qformer.balanced-accuracy",
        system="reference",
        tap="qformer",
        asked="language",
        labels=labels,
        counts=tuple(tuple(row.tolist()) for row in rows),
    )


def lengths(count: int = 300, seed: int = 2, error: float = 0.06) -> Lengths:
    """Lengths of 1 to 25 s, inferred with a relative error."""
    rng = np.random.default_rng(seed)
    true = rng.gamma(4.0, 1.6, count).clip(1, 25)
    inferred = (true * (1 + error * rng.standard_normal(count))).clip(0, 30)
    return Lengths(
        finding="duration.qformer.mae",
        system="reference",
        tap="qformer",
        true=tuple(true.round(3).tolist()),
        inferred=tuple(inferred.round(3).tolist()),
        utterances=count,
    )


def pictured(folder: Path) -> Run:
    """`fake_run` with findings on speaker, language and duration, and all that their pictures need."""
    run = fake_run(folder)
    speakers = [
        speaker_finding(tap, value=value)
        for tap, value in {"qformer": 42.0, "encoder": 21.0, "projector": 43.5, "mel": 6.0}.items()
    ]
    language = finding(
        id="language.qformer.balanced-accuracy",
        question="Does the tensor tell which language is spoken?",
        attack="language",
        metric="balanced accuracy",
        leaks_when="higher",
        estimate=interval(41.0, 4.0),
        floors={"chance": interval(100 / 12, 0.0), "duration only": interval(9.1, 1.4)},
        ceiling=interval(88.0, 2.0),
        ceiling_name="log-mel",
        control=interval(70.0, 3.0),
        control_rule="balanced accuracy at least 30% of the way from chance to certainty",
    )
    duration = finding(
        id="duration.qformer.mae",
        question="Does the tensor tell how long the utterance was?",
        attack="duration",
        metric="duration MAE",
        unit="s",
        estimate=interval(0.31, 0.04),
        floors={"median duration": interval(2.5, 0.2)},
        ceiling=interval(0.05, 0.01),
        ceiling_name="log-mel",
        control=interval(0.1, 0.02),
        control_rule="R² at least 0.9",
    )
    curves = [det_curve(tap, apart=apart) for tap, apart in SPEAKER_TAPS.items()]
    return Run.model_validate(
        run.model_dump()
        | {
            "findings": (*run.findings, *speakers, language, duration),
            "det_curves": curves,
            "confusions": [confusion()],
            "lengths": [lengths()],
        }
    )
