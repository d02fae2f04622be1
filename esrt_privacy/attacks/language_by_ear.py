"""Which language, by ear: Whisper's language detection listens to what was rebuilt from the tensor.

The ignorant attacker of the language family. It learns no language itself, so that few recordings and many languages do
not weaken it, as they weaken heads: where the transparent tensor is rebuilt well, its control passes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.label_answers import Question, labelled
from esrt_privacy.attacks.label_controls import spread_over
from esrt_privacy.attacks.positive_control import CEILING_TAP
from esrt_privacy.captures import Capture
from esrt_privacy.corpora import Utterance
from esrt_privacy.corpora.corpus import speakers_of
from esrt_privacy.corpora.drawing import drawn_evenly
from esrt_privacy.errors import AssetError, AttackError, AudioError, CorpusError
from esrt_privacy.judges.recogniser import Recogniser
from esrt_privacy.judges.whisper_languages import whisper_language
from esrt_privacy.progress import Reporter, silent

ROWS = "heard"  # of the answers
RECOGNISER = "whisper-base"
MOST_UTTERANCES = 100  # of all languages, the same number of each; hearing one takes about a second


def listened(
    inputs: Inputs,
    capture: Capture,
    question: Question,
    report: Reporter = silent,
    recogniser: Recogniser | None = None,
) -> Answers | None:
    """Whisper's probabilities of each language for the test utterances rebuilt from one tap, at most MOST_UTTERANCES.

    They are as many of each language, and a language is as likely as any other over all of them. Answers hold
    `heard.log_probabilities` (utterances, classes), an empty `heard.curve`, and the rows that `label_view` reads. None
    where nothing was rebuilt at the tap. Errors as `labelled`, and AttackError where the recogniser or the recordings
    are not to be had, or it knows fewer than two of the languages.
    """
    tap = capture.tap
    if tap != CEILING_TAP and tap not in inputs.reconstructions:
        return None
    material = labelled(inputs, capture, question)
    try:
        recogniser = recogniser or Recogniser.load(RECOGNISER, inputs.weights)
    except AssetError as error:
        raise AttackError(f"no attacker by ear: {error}") from error
    column = _columns(recogniser, material.classes)
    if len(column) < 2:
        raise AttackError(
            "no attacker by ear: the recogniser knows fewer than two of the languages"
        )
    known = list(column)
    heard = [u for u in material.test if question.label(u) in column]
    wanted = drawn_evenly(heard, MOST_UTTERANCES, inputs.seed, question.label)
    chosen = [u for u in heard if u.id in wanted]
    rows = []
    try:
        for start in range(0, len(chosen), recogniser.batch_size):
            report(f"listening for the {question.name} at {tap}", start, len(chosen))
            batch = chosen[start : start + recogniser.batch_size]
            sounds = [_sound(inputs, tap, u) for u in batch]
            rows.append(recogniser.language_logs(sounds)[:, list(column.values())])
    except (AudioError, CorpusError) as error:
        raise AttackError(f"no attacker by ear: {error}") from error
    logs = np.concatenate(rows)
    # What was rebuilt by a network that learnt from English sounds English. What a recogniser says of all that was
    # intercepted, on average, is that accent, and no language: the deviations from it tell the languages apart.
    logs = spread_over(known, logs - logs.mean(axis=0), known)
    notes = [f"{len(chosen)} of {len(material.test)} utterances were heard"]
    if tap == CEILING_TAP:
        notes.append("at the log-mel the recordings themselves were heard")
    if len(known) < len(material.classes):
        left_out = ", ".join(name for name in material.classes if name not in known)
        notes.append(f"left out what the recogniser has no name for: {left_out}")
    return Answers(
        {
            f"{ROWS}.log_probabilities": logs,
            f"{ROWS}.curve": np.zeros((0, 3)),
        },
        {
            f"{ROWS}.ids": tuple(u.id for u in chosen),
            f"{ROWS}.truth": tuple(str(question.label(u)) for u in chosen),
            f"{ROWS}.speakers": tuple(speakers_of(chosen)),
            f"{ROWS}.classes": tuple(known),
            f"{ROWS}.heads": (),
            f"{ROWS}.notes": (*material.notes, *notes),
        },
    )


def _sound(inputs: Inputs, tap: str, utterance: Utterance) -> np.ndarray:
    """What is heard of an utterance at a tap: what was rebuilt, or at the log-mel the recording."""
    if tap == CEILING_TAP:
        return utterance.waveform()
    return inputs.reconstructions[tap][utterance.id]


def _columns(recogniser: Recogniser, classes: Sequence[str]) -> dict[str, int]:
    """Of each class that the recogniser knows, in order, its place among the recogniser's languages."""
    places = {code: i for i, code in enumerate(recogniser.languages)}
    codes = {name: whisper_language(name) or "" for name in classes}
    return {name: places[code] for name, code in codes.items() if code in places}
