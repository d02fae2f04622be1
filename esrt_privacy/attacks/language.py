"""Which language is spoken? Among known ones (closed set), and whether it is a known one at all (open set)."""

from __future__ import annotations

from collections.abc import Mapping

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.confounds import has_channels, recorded_apart
from esrt_privacy.attacks.drafts import Draft
from esrt_privacy.attacks.families import Family
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.label_answers import Question, measure_label
from esrt_privacy.attacks.label_findings import label_budget, label_drafts
from esrt_privacy.attacks.open_set import measure_open_set, open_set_drafts
from esrt_privacy.attacks.sequences import remembered
from esrt_privacy.findings import BudgetPoint
from esrt_privacy.progress import Reporter, silent

FAMILY = Family(
    name="language",
    question="Does the tensor tell which language is spoken?",
    needs=("language",),
    version=3,
)
# The words are the language: a floor made of them would only say so.
QUESTION = Question("language", lambda u: u.language, controls=("duration only",))


def measure(inputs: Inputs, tap: str, seed: int, report: Reporter = silent) -> Answers:
    """Closed and open set at one tap; see `measure_label` and `measure_open_set` for what the answers hold.

    Raises AttackError where fewer than two languages have two speakers or sessions each.
    """
    capture = remembered(inputs.captures[tap])
    closed = measure_label(inputs, capture, seed, QUESTION, report)
    opened = measure_open_set(inputs, capture, seed, QUESTION, report)
    return Answers(
        {**closed.arrays, **opened.arrays},
        {**closed.rows, **opened.rows},
        tuple(note for note in opened.notes if note not in closed.rows["language.notes"]),
    )


def drafts(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> tuple[Draft, ...]:
    """Balanced accuracy, macro-F1 and bits of the closed set, and the AUROC of the open set, at each tap."""
    confound = recorded_apart(inputs.test, "language")
    notes = [confound] if confound else []
    if has_channels(inputs.test):
        notes.append("each utterance went through a random channel of its own")
    return (
        *label_drafts(
            inputs,
            answers,
            FAMILY.name,
            QUESTION,
            "Which of the languages is spoken, by people that the attacker never heard?",
            notes,
        ),
        *open_set_drafts(inputs, answers, FAMILY.name, QUESTION.name, notes),
    )


def budget(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> tuple[BudgetPoint, ...]:
    """The training curves of the closed set."""
    return label_budget(answers, QUESTION.name)
