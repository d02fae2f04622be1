"""The linear-probe attacks, whole: folds, trials, training, choice on development speakers, figures and judgement.

The heads that take minutes are left out, for hundreds of reruns; everything else is the audit's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from esrt_privacy.attacks import attributes, duration, language, speaker_findings
from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.drafts import LEVEL, Draft
from esrt_privacy.attacks.duration_reader import infer_lengths, seconds_of
from esrt_privacy.attacks.fold_trials import trial_table
from esrt_privacy.attacks.folds import make_folds
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.label_answers import Question, measure_label
from esrt_privacy.attacks.sequences import remembered
from esrt_privacy.attacks.speaker import semi_informed
from esrt_privacy.attacks.speaker_controls import CONTROLS
from esrt_privacy.captures import Capture
from esrt_privacy.corpora.corpus import speakers_of
from esrt_privacy.validity.held import Held
from esrt_privacy.validity.simulated import believed, judged_drafts, statistic_name

HEAD = "linear"
SEX = next(question for question in attributes.QUESTIONS if question.name == "sex")


@dataclass(frozen=True)
class Probe:
    """One question, the label that it asks for, and the figure that counts as its detection."""

    label: str
    headline: str  # as `statistic_name` gives it
    answer: Callable[[Inputs, Capture, int], Answers]
    drafts: Callable[[Inputs, Mapping[tuple[str, int], Answers]], Sequence[Draft]]
    # Figures that are not null under shuffled labels, so that they are not read.
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """One figure of one rerun, judged alone."""

    statistic: str
    leaks: bool
    beats_chance: (
        bool  # its first floor (chance, or the median length), whatever the other floors say
    )
    value: float  # in the finding's unit
    undefined: bool


def read(probe: Probe, held: Held, system: str, folds: int, seed: int) -> tuple[Reading, ...]:
    """Attack `held` from beginning to end and judge each figure alone. Errors as the attack's own."""
    tap = held.capture.tap
    inputs = Inputs(system, {tap: held.capture}, held.corpus, None, seed, folds)
    answers = {(tap, seed): probe.answer(inputs, held.capture, seed)}
    named = ((statistic_name(d), believed(d)) for d in probe.drafts(inputs, answers))
    drafts = {name: draft for name, draft in named if name not in probe.left_out}
    verdicts = judged_drafts(drafts).alone
    readings = []
    for name, draft in drafts.items():
        first = draft.comparisons[0].difference(LEVEL, np.random.default_rng([draft.seed, 1]))
        readings.append(
            Reading(
                name,
                verdicts[name] == "leaks",
                bool(first.low > 0),
                float("nan")
                if draft.finding.estimate.value is None
                else draft.finding.estimate.value,
                not np.isfinite(first.low),
            )
        )
    return tuple(readings)


def _speaker(inputs: Inputs, capture: Capture, seed: int) -> Answers:
    """As `speaker.measure` for the semi-informed attacker with the linear head alone."""
    table = trial_table(inputs, capture.tap)
    kept = remembered(capture)
    columns = {name: np.full(len(table.trials), np.nan) for name in ("semi-informed", *CONTROLS)}
    for part in table.parts:
        trained = semi_informed(kept, part, seed, inputs.budget, heads=(HEAD,))
        columns["semi-informed"][part.places] = trained.scores[HEAD]
        for name, control in CONTROLS.items():
            guesses = control(part)
            if guesses is not None:
                columns[name][part.places] = guesses
    known = {name: scores for name, scores in columns.items() if not np.isnan(scores).all()}
    return Answers(
        {"target": table.target, "same_sex": table.same_sex, **known},
        {
            "enrol": tuple(t.speaker for t in table.trials),
            "test": table.speakers,
            "heads": tuple(HEAD for _ in table.parts),
            "trial_list": (table.fingerprint,),
        },
    )


def _label(question: Question) -> Callable[[Inputs, Capture, int], Answers]:
    def answer(inputs: Inputs, capture: Capture, seed: int) -> Answers:
        return measure_label(inputs, remembered(capture), seed, question, tried=(HEAD,))

    return answer


def _seconds(inputs: Inputs, capture: Capture, seed: int) -> Answers:
    """As `duration.measure`, without the mask of speech and pauses."""
    test = inputs.test
    folds = make_folds(test, None, inputs.folds, seed)
    lengths = infer_lengths(capture, test, folds, seed, inputs.budget)
    return Answers(
        {
            "duration.truth": seconds_of(test),
            "duration.predicted": lengths.predicted,
            "duration.median": lengths.median,
        },
        {
            "duration.ids": tuple(u.id for u in test),
            "duration.speakers": tuple(speakers_of(test)),
            "duration.heads": (HEAD,),
        },
    )


PROBES: dict[str, Probe] = {
    # Speakers are shuffled within their sex, so mixed trials still tell men from women, as they may.
    "speaker": Probe(
        "speaker",
        "speaker.semi-informed-eer",
        _speaker,
        speaker_findings.drafts,
        ("speaker.semi-informed-eer-mixed",),
    ),
    "sex": Probe("sex", "attributes.sex-balanced-accuracy", _label(SEX), attributes.drafts),
    "language": Probe(
        "language", "language.balanced-accuracy", _label(language.QUESTION), language.drafts
    ),
    "duration": Probe("duration", "duration.r2", _seconds, duration.drafts),
}
