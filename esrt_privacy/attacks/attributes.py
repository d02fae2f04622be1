"""What else does a voice give away: sex, age group, accent, emotion, whatever the corpus labels."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.confounds import synthetic_voices
from esrt_privacy.attacks.drafts import Draft
from esrt_privacy.attacks.families import Family
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.label_answers import Question, measure_label
from esrt_privacy.attacks.label_findings import label_budget, label_drafts
from esrt_privacy.attacks.sequences import remembered
from esrt_privacy.corpora import Utterance
from esrt_privacy.errors import AttackError
from esrt_privacy.findings import BudgetPoint
from esrt_privacy.progress import Reporter, silent

FAMILY = Family(
    name="attributes",
    question="Does the tensor tell the speaker's sex, age group, accent or emotion?",
    version=3,
)
_YEARS = re.compile(r"(\d{1,3})(?:\s*(?:years?|y))?", re.ASCII)
OLDEST = 120


def age_group(utterance: Utterance) -> str | None:
    """The decade of an age in years ("30-39"), or the corpus's own group in lower case; None where unknown."""
    age = (utterance.age or "").strip().lower()
    years = _YEARS.fullmatch(age)
    if years is None:
        return age or None
    if int(years[1]) > OLDEST:
        return None
    decade = int(years[1]) // 10 * 10
    return f"{decade}-{decade + 9}"


def _lower(label: str | None) -> str | None:
    return (label or "").strip().lower() or None


QUESTIONS = (
    Question("sex", lambda u: u.sex),
    Question("age group", age_group),
    Question("accent", lambda u: _lower(u.accent)),
    Question("emotion", lambda u: _lower(u.emotion)),
)


def measure(inputs: Inputs, tap: str, seed: int, report: Reporter = silent) -> Answers:
    """Answer every attribute that the corpus labels; see `measure_label` for what the answers hold.

    An attribute that cannot be asked for gets a note. Raises AttackError where none can.
    """
    arrays: dict[str, np.ndarray] = {}
    rows: dict[str, tuple[str, ...]] = {}
    notes, reasons = [], []
    capture = remembered(inputs.captures[tap])
    unlabelled = [q.name for q in QUESTIONS if not any(q.label(u) for u in inputs.test)]
    for question in QUESTIONS:
        if question.name in unlabelled:
            continue
        try:
            found = measure_label(inputs, capture, seed, question, report)
        except AttackError as error:
            reasons.append(f"{question.name} was not asked for: {error}")
            continue
        arrays |= found.arrays
        rows |= found.rows
    if not arrays:
        raise AttackError(
            "; ".join(reasons)
            or f"{inputs.test.name}: no utterance says a {', '.join(unlabelled[:-1])} or {unlabelled[-1]}"
        )
    if unlabelled:
        notes.append(f"the corpus does not say: {', '.join(unlabelled)}")
    return Answers(arrays, rows, (*notes, *reasons))


def drafts(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> tuple[Draft, ...]:
    """Balanced accuracy, macro-F1 and bits of each attribute at each tap."""
    caution = synthetic_voices(inputs.test)
    return tuple(
        draft
        for question in QUESTIONS
        for draft in label_drafts(
            inputs,
            answers,
            FAMILY.name,
            question,
            f"Does the tensor tell the {question.name} of people that the attacker never heard?",
            caution=caution,
        )
    )


def budget(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> tuple[BudgetPoint, ...]:
    """The training curves of every attribute."""
    return tuple(point for q in QUESTIONS for point in label_budget(answers, q.name))
