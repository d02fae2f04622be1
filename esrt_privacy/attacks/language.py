"""Which language is spoken? Among known ones (closed set), and whether it is a known one at all (open set)."""

from __future__ import annotations

from collections.abc import Mapping

from esrt_privacy.assets import whisper_folder
from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.confounds import has_channels, recorded_apart
from esrt_privacy.attacks.drafts import Draft
from esrt_privacy.attacks.families import Family
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.label_answers import Question, measure_label
from esrt_privacy.attacks.label_findings import ACCURACY, label_budget, label_drafts
from esrt_privacy.attacks.language_by_ear import RECOGNISER, ROWS, listened
from esrt_privacy.attacks.open_set import measure_open_set, open_set_drafts
from esrt_privacy.attacks.sequences import remembered
from esrt_privacy.errors import AssetError, AttackError
from esrt_privacy.findings import BudgetPoint
from esrt_privacy.progress import Reporter, silent
from esrt_privacy.weights import folder_key

FAMILY = Family(
    name="language",
    question="Does the tensor tell which language is spoken?",
    needs=("language",),
    attackers=("semi-informed", "ignorant"),
    version=4,
)
# The words are the language: a floor made of them would only say so.
QUESTION = Question("language", lambda u: u.language, controls=("duration only",))


def assets(inputs: Inputs) -> str:
    """The recogniser that listens to what was rebuilt; empty where it is not to be had, and with it one attacker."""
    try:
        return folder_key(whisper_folder(RECOGNISER, inputs.weights))
    except AssetError:
        return ""


def measure(inputs: Inputs, tap: str, seed: int, report: Reporter = silent) -> Answers:
    """Closed and open set, and by ear, at one tap; `measure_label`, `measure_open_set` and `listened` say what is held.

    Raises AttackError where fewer than two languages have two speakers or sessions each.
    """
    capture = remembered(inputs.captures[tap])
    parts = [
        measure_label(inputs, capture, seed, QUESTION, report),
        measure_open_set(inputs, capture, seed, QUESTION, report),
    ]
    notes = list(parts[1].notes)
    if seed == inputs.seed:  # the ear learns nothing, so that another seed has nothing to add
        try:
            heard = listened(inputs, capture, QUESTION, report)
            parts += [] if heard is None else [heard]
        except AttackError as error:
            notes.append(str(error))
    return Answers(
        {name: array for part in parts for name, array in part.arrays.items()},
        {name: row for part in parts for name, row in part.rows.items()},
        tuple(note for note in notes if note not in parts[0].rows["language.notes"]),
    )


def drafts(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> tuple[Draft, ...]:
    """Balanced accuracy, macro-F1 and bits of the closed set, its accuracy by ear, and the AUROC of the open set."""
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
        *label_drafts(
            inputs,
            answers,
            FAMILY.name,
            QUESTION,
            "Which of the languages is spoken, heard by Whisper in what was rebuilt from the tensor?",
            notes,
            attacker="ignorant",
            rows=ROWS,
            figures=(ACCURACY,),
        ),
        *open_set_drafts(inputs, answers, FAMILY.name, QUESTION.name, notes),
    )


def budget(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> tuple[BudgetPoint, ...]:
    """The training curves of the closed set."""
    return label_budget(answers, QUESTION.name)
