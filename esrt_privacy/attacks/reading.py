"""Reading: what was said, by the system's own cloud half.

Nothing is trained and nothing rebuilt: whoever has the published model puts an intercepted tensor into its cloud half,
with the prompt that crossed beside it, and reads the transcript. Where a system's weights are public this is the first
thing that an interceptor would do. Only the wire tensor can be read so: there is no positive control, and silence says
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.comparisons import RatioComparison
from esrt_privacy.attacks.drafts import Draft, undecided
from esrt_privacy.attacks.families import Family
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.reconstruction import chosen_utterances
from esrt_privacy.attacks.sequences import TIME_TAPS, readable
from esrt_privacy.corpora import Utterance
from esrt_privacy.corpora.corpus import speakers_of
from esrt_privacy.errors import (
    AssetError,
    AttackError,
    LanguageError,
    ModelError,
    SystemUnavailable,
)
from esrt_privacy.findings import Interval
from esrt_privacy.measures.intervals import Estimate, speaker_bootstrap_ratio
from esrt_privacy.progress import Reporter, silent
from esrt_privacy.weights import folder_key

if TYPE_CHECKING:
    from esrt_privacy.captures import Capture
    from esrt_privacy.systems.whole import CloudHalf

FAMILY = Family(
    name="reading",
    question="What was said, read off the tensor by the system's own cloud half?",
    needs=("text", "language"),
    taps=(),
    attackers=("white-box",),
    version=2,
)
ANOTHER = "another utterance"
MOST_UTTERANCES = 200
BATCH = 8
MOST_TOKENS = 96  # of a transcript
# Up to eight words, said more than four times in a row: a decoder that does not find its end. One such transcript can
# count as many errors as all others together.
LOOP = re.compile(r"(?<!\S)(?P<said>\S+(?: \S+){0,7}?)(?: (?P=said)){4,}(?!\S)")
NO_CONTROL = "nothing but the wire tensor can be read so"


def assets(inputs: Inputs) -> str:
    """What tells one cloud half from another: the files of its folder, or its name."""
    folder = Path(inputs.model)
    return folder_key(folder) if folder.is_dir() else inputs.model


def measure(inputs: Inputs, tap: str, seed: int, report: Reporter = silent) -> Answers:
    """Transcribe the test utterances' tensors, at most MOST_UTTERANCES, in the language that the prompt names.

    Answers hold (utterances,) `errors` and `words` of the transcript, and `another`, the errors of a transcript of
    another recording of the same language; with the rows `ids`, `speakers` and `heard`. The seed decides nothing.

    Raises AttackError for a tap that does not leave the device, a system without a cloud half, and where no utterance
    can be read.
    """
    from esrt_privacy.judges.transcripts import BY_CHARACTER, recognition_errors

    if tap.partition(".")[0] in TIME_TAPS:
        raise AttackError(f"the cloud half reads what leaves the device, not {tap}")
    told = [u for u in inputs.test if u.text and u.language]
    spelled = [u for u in told if u.language not in BY_CHARACTER]
    kept, notes = readable(inputs.captures[tap], spelled)
    if len(spelled) < len(told):
        notes += (
            f"left out {len(told) - len(spelled)} utterances of languages without blanks between words",
        )
    cloud = _cloud(inputs)
    test = chosen_utterances(replace(inputs.test, utterances=kept), MOST_UTTERANCES, inputs.seed)
    if len(test) < len(kept):
        notes += (f"{len(test)} of {len(kept)} utterances were read, drawn by seed {inputs.seed}",)
    by_language: dict[str, list[Utterance]] = {}
    for u in test:
        by_language.setdefault(str(u.language), []).append(u)
    read: list[Utterance] = []
    heard: list[str] = []
    counts: list[tuple[float, float, float]] = []
    for language, rows in by_language.items():
        try:
            said = _transcripts(cloud, inputs.captures[tap], rows, language, report)
        except LanguageError as error:
            notes += (f"left out {len(rows)} utterances: {error}",)
            continue
        except ModelError as error:
            raise AttackError(f"the cloud half cannot read {tap}: {error}") from error
        texts = [u.text or "" for u in rows]
        own = recognition_errors(texts, said, language)
        other = recognition_errors(texts, _of_others(said, texts), language)
        counts += [(a.errors, a.length, b.errors) for a, b in zip(own, other, strict=True)]
        read, heard = [*read, *rows], [*heard, *said]
    if len(read) < 2:
        raise AttackError(f"{inputs.test.name}: fewer than two utterances with a text can be read")
    errors, words, another = np.array(counts, dtype=np.float64).T
    return Answers(
        {"errors": errors, "words": words, "another": another},
        {
            "ids": tuple(u.id for u in read),
            "speakers": tuple(speakers_of(read)),
            "heard": tuple(heard),
        },
        notes,
    )


def drafts(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> tuple[Draft, ...]:
    """The word error rate of what was read, beside that of another utterance's transcript."""
    made = []
    for tap in dict.fromkeys(tap for tap, _ in answers):
        found = next(answer for (at, _), answer in sorted(answers.items()) if at == tap)
        words, speakers = found.arrays["words"].tolist(), found.rows["speakers"]
        own, another = ((found.arrays[name].tolist(), words) for name in ("errors", "another"))
        finding = undecided(
            inputs,
            tap,
            FAMILY.name,
            "wer",
            "white-box",
            question=f"What was said, by {inputs.system}'s own cloud half reading {tap}: how many words are wrong?",
            metric="WER",
            unit="%",
            leaks_when="lower",
            estimate=Interval.of(_rate(own, speakers, inputs.seed), 100.0),
            floors={ANOTHER: Interval.of(_rate(another, speakers, inputs.seed), 100.0)},
            utterances=len(words),
            speakers=len(set(speakers)),
            seeds=tuple(sorted(seed for at, seed in answers if at == tap)),
            notes=(
                "greedy decoding, with the spoken language in the prompt; what a transcript says more than four "
                "times in a row counts once",
                *found.notes,
            ),
        )
        comparison = RatioComparison(ANOTHER, own, another, speakers, -1.0)
        made.append(Draft(finding, (comparison,), 100.0, inputs.seed, None, NO_CONTROL))
    return tuple(made)


def _rate(column: tuple[list[float], list[float]], speakers: Sequence[str], seed: int) -> Estimate:
    rng = np.random.default_rng([seed, 1])
    return speaker_bootstrap_ratio(*column, speakers, rng, clip=(0.0, np.inf))


def _cloud(inputs: Inputs) -> CloudHalf:
    from esrt_privacy.systems.whole import load_translator

    name = inputs.model or inputs.system
    try:
        return load_translator(name, inputs.weights, inputs.allow_remote_code).cloud()
    except (AssetError, SystemUnavailable) as error:
        raise AttackError(f"no cloud half to read with: {error}") from error


def _transcripts(
    cloud: CloudHalf, capture: Capture, rows: Sequence[Utterance], language: str, report: Reporter
) -> list[str]:
    said: list[str] = []
    for start in range(0, len(rows), BATCH):
        report(f"reading {language} at {capture.tap}", start, len(rows))
        wire = capture.batch(rows[start : start + BATCH])
        answers = cloud.transcribe(wire, language, 1, MOST_TOKENS)
        said += [LOOP.sub(r"\g<said>", answer.transcript) for answer in answers]
    report(f"reading {language} at {capture.tap}", len(rows), len(rows))
    return said


def _of_others(said: Sequence[str], texts: Sequence[str]) -> list[str]:
    """For each recording the transcript of the next one that says something else; nothing where there is none."""
    count = len(texts)
    moved = []
    for i, text in enumerate(texts):
        others = ((i + k) % count for k in range(1, count))
        moved.append(next((said[j] for j in others if texts[j] != text), ""))
    return moved
