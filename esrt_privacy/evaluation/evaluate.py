"""Recognition and translation scored against a corpus's texts, greedy beside beams, each beside a floor."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esrt_privacy.corpora.corpus import speakers_of
from esrt_privacy.errors import CorpusError, ReportError
from esrt_privacy.evaluation.translation import (
    Translated,
    TranslationOptions,
    translate,
    wrong_language_share,
)
from esrt_privacy.judges.transcripts import BY_CHARACTER, recognition_errors
from esrt_privacy.measures.intervals import Estimate, speaker_bootstrap_ratio
from esrt_privacy.measures.translation import chrf, spbleu
from esrt_privacy.progress import Reporter, silent

if TYPE_CHECKING:
    from rich.table import Table

    from esrt_privacy.corpora import Corpus
    from esrt_privacy.systems.whole import Translator

TRANSCRIPTION = ""  # stands for a target where no translation was asked for


@dataclass(frozen=True)
class Score:
    """One figure with its 95% interval over speakers, and the same of answers to other recordings."""

    source: str
    target: str  # empty for the recognition of `source`
    beam: int
    measure: str  # wer, cer, chrf, spbleu, wrong-language
    value: float
    low: float
    high: float
    floor: (
        float  # each answer scored against the next recording's text; nan where that says nothing
    )
    utterances: int
    speakers: int
    method: str


@dataclass(frozen=True)
class Evaluation:
    """All figures of a run, and what was left out."""

    scores: tuple[Score, ...]
    answers: tuple[dict[str, object], ...]
    notes: tuple[str, ...]


def evaluate(
    model: Translator,
    corpus: Corpus,
    options: TranslationOptions,
    beams: Sequence[int] = (1, 5),
    seed: int = 0,
    report: Reporter = silent,
) -> Evaluation:
    """Score a model on a corpus: recognition against `text`, translations against `translations`.

    Recordings without a text are counted in the notes, and not scored in that part. Raises CorpusError where no
    recording has any text to compare with.
    """
    usable = corpus.filter(lambda u: bool(u.text) or any(u.translations.get(t) for t in options.to))
    if not len(usable):
        raise CorpusError(
            f"{corpus.name}: no recording has a text or a translation into {', '.join(options.to) or 'any language'}"
        )
    notes = list(corpus.notes)
    if len(usable) < len(corpus):
        notes.append(
            f"{len(corpus) - len(usable)} of {len(corpus)} recordings have nothing to compare"
        )
    scores: list[Score] = []
    answers: list[dict[str, object]] = []
    for beam in beams:
        rows, left_out = translate(model, usable, replace(options, beam=beam), report)
        notes += [note for note in left_out if note not in notes]
        groups: dict[str, list[Translated]] = defaultdict(list)
        for row in rows:
            groups[row.source].append(row)
        for source, group in groups.items():
            scores += _recognition(group, source, beam, seed)
            for target in (t for t in dict.fromkeys(options.to) if t in group[0].answers):
                found, note = _translation(group, source, target, beam, seed)
                scores += found
                notes += [note] if note and note not in notes else []
        answers += [_answer_row(row, target, beam) for row in rows for target in _targets(row)]
    return Evaluation(tuple(scores), tuple(answers), tuple(notes))


def write_evaluation(evaluation: Evaluation, out: Path, about: Mapping[str, object]) -> None:
    """Write scores.json (with `about` it), scores.csv and answers.jsonl. Raises ReportError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        body = {
            **about,
            "notes": list(evaluation.notes),
            "scores": [without_nan(asdict(score)) for score in evaluation.scores],
        }
        text = json.dumps(body, indent=1, ensure_ascii=False)
        (out / "scores.json").write_text(text + "\n", encoding="utf-8")
        with open(out / "scores.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [f.name for f in fields(Score)])
            writer.writeheader()
            writer.writerows(without_nan(asdict(score)) for score in evaluation.scores)
        lines = [json.dumps(row, ensure_ascii=False) for row in evaluation.answers]
        (out / "answers.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{out}: cannot be written ({error.strerror})") from error


def scores_table(evaluation: Evaluation) -> Table:
    """For the terminal."""
    from rich.table import Table

    table = Table(title="Scores, 95% intervals over speakers")
    for head in ("direction", "beam", "measure", "value", "floor", "recordings", "speakers"):
        table.add_column(head, justify="left" if head in ("direction", "measure") else "right")
    for s in evaluation.scores:
        direction = f"{s.source} → {s.target}" if s.target else s.source
        percent = 1 if s.measure in ("chrf", "spbleu") else 100
        value = f"{percent * s.value:.1f}"
        if not np.isnan(s.low):
            value += f" ({percent * s.low:.1f} to {percent * s.high:.1f})"
        floor = "" if np.isnan(s.floor) else f"{percent * s.floor:.1f}"
        unit = s.measure if percent == 1 else f"{s.measure}, %"
        counts = (str(s.utterances), str(s.speakers))
        table.add_row(direction, str(s.beam), unit, value, floor, *counts)
    return table


def _recognition(rows: list[Translated], source: str, beam: int, seed: int) -> list[Score]:
    """WER, or CER where words are not told apart, of what was heard (of all answers the first's transcript)."""
    rows = [row for row in rows if row.utterance.text]
    if not rows:
        return []
    heard = [row.all_answers[0].transcript for row in rows]
    texts = [row.utterance.text or "" for row in rows]
    measure = "cer" if source in BY_CHARACTER else "wer"
    counts = recognition_errors(texts, heard, source)
    moved = recognition_errors(texts, _moved(heard), source)
    speakers = speakers_of(row.utterance for row in rows)
    estimate = speaker_bootstrap_ratio(
        [c.errors for c in counts],
        [c.length for c in counts],
        speakers,
        np.random.default_rng(seed),
        clip=(0, np.inf),
    )
    floor = sum(c.errors for c in moved) / max(sum(c.length for c in moved), 1)
    wrong = Score(
        source,
        TRANSCRIPTION,
        beam,
        "wrong-language",
        wrong_language_share(rows),
        float("nan"),
        float("nan"),
        float("nan"),
        len(rows),
        len(set(speakers)),
        "share of answers, all targets",
    )
    return [_score(source, TRANSCRIPTION, beam, measure, estimate, floor, rows), wrong]


def _translation(
    rows: list[Translated], source: str, target: str, beam: int, seed: int
) -> tuple[list[Score], str | None]:
    """chrF and spBLEU of one direction; and a line where spBLEU cannot be had."""
    rows = [row for row in rows if row.utterance.translations.get(target)]
    if not rows:
        return [], f"{source} → {target}: no recording has a reference translation"
    given = [row.answers[target].translation for row in rows]
    references = [row.utterance.translations[target] for row in rows]
    speakers = speakers_of(row.utterance for row in rows)
    scores, note = [], None
    for name, measure in (("chrf", chrf), ("spbleu", spbleu)):
        try:
            estimate = measure(given, references, speakers, np.random.default_rng(seed))
            floor = measure(
                _moved(given), references, speakers, np.random.default_rng(seed), draws=1
            ).value
        except RuntimeError as error:
            note = str(error)
            continue
        scores.append(_score(source, target, beam, name, estimate, floor, rows))
    return scores, note


def _score(
    source: str,
    target: str,
    beam: int,
    measure: str,
    estimate: Estimate,
    floor: float,
    rows: list[Translated],
) -> Score:
    return Score(
        source,
        target,
        beam,
        measure,
        float(estimate.value),
        float(estimate.low),
        float(estimate.high),
        floor if len(rows) > 1 else float("nan"),
        len(rows),
        estimate.n,
        estimate.method,
    )


def _moved(answers: list[str]) -> list[str]:
    return [*answers[1:], *answers[:1]]


def _targets(row: Translated) -> tuple[str, ...]:
    return tuple(row.answers) or (TRANSCRIPTION,)


def _answer_row(row: Translated, target: str, beam: int) -> dict[str, object]:
    answer = row.answers[target] if target else row.transcript
    assert answer is not None
    reference = row.utterance.translations.get(target) if target else None
    return {
        "id": row.utterance.id,
        "source": row.source,
        "target": target or None,
        "beam": beam,
        "text": row.utterance.text,
        "reference": reference,
        **asdict(answer),
    }


def without_nan(row: dict[str, object]) -> dict[str, object]:
    """A row as JSON holds it: null for what could not be computed."""
    return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in row.items()}
