"""Recordings into other languages: edge half, projector and LLM in one process."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esrt_privacy.errors import AudioError, CorpusError, LanguageError, ReportError, shown
from esrt_privacy.progress import Reporter, silent

if TYPE_CHECKING:
    from rich.console import Console

    from esrt_privacy.corpora import Corpus, Utterance
    from esrt_privacy.esrt.cloud import Answer
    from esrt_privacy.systems.whole import Translator

MOST_TOKENS = 160  # new ones; the longest answers carry transcript and translation


@dataclass(frozen=True)
class TranslationOptions:
    """How recordings are translated."""

    to: tuple[str, ...]  # ISO 639-3; empty for transcripts only
    spoken: str | None = None  # of recordings whose language the corpus does not say
    beam: int = 1
    batch: int = 8
    most_tokens: int = MOST_TOKENS


@dataclass(frozen=True)
class Translated:
    """One recording: what was heard, and one answer for each target language."""

    utterance: Utterance
    source: str
    transcript: Answer | None  # of the transcription prompt; None where translations were asked for
    answers: Mapping[str, Answer]

    @property
    def all_answers(self) -> tuple[Answer, ...]:
        """The transcription's and the translations'."""
        return (*([self.transcript] if self.transcript else []), *self.answers.values())


def load_recordings(specs: Sequence[str], report: Reporter = silent) -> Corpus:
    """One corpus out of several, or of single recordings. Raises CorpusError as `load_corpus`."""
    from esrt_privacy.corpora import Corpus, load_corpus

    parts = [load_corpus(spec, report) for spec in specs]
    if len(parts) == 1:
        return parts[0]
    utterances = {u.id: u for part in parts for u in part}
    if len(utterances) < sum(map(len, parts)):
        raise CorpusError(
            "two recordings have the same id: translate the corpora one after the other"
        )
    notes = tuple(note for part in parts for note in part.notes)
    name = " + ".join(part.name for part in parts)
    return Corpus(name, tuple(utterances.values()), notes)


def drawn(corpus: Corpus, most: int | None, seed: int) -> Corpus:
    """At most `most` utterances, drawn by the seed, in the corpus's order."""
    if most is None or most >= len(corpus):
        return corpus
    chosen = np.random.default_rng(seed).permutation(len(corpus))[:most]
    note = f"{most} of {len(corpus)} recordings, drawn by seed {seed}"
    kept = tuple(corpus.utterances[i] for i in sorted(chosen))
    return replace(corpus, utterances=kept, notes=(*corpus.notes, note))


def translate(
    model: Translator, corpus: Corpus, options: TranslationOptions, report: Reporter = silent
) -> tuple[list[Translated], list[str]]:
    """Translate every recording, in the corpus's order; and a note for each one left out.

    A recording is encoded once, and its prefix (projected tensor and prompt) computed once for all languages.
    Raises LanguageError for a language that is unknown, of a target or of a recording, CorpusError where no recording
    could be decoded.
    """
    from esrt_privacy.esrt.language_tags import require_language

    targets = list(dict.fromkeys(map(require_language, options.to)))
    groups = by_language(corpus, options.spoken)
    cloud = model.cloud()
    done: dict[str, Translated] = {}
    notes: list[str] = []
    for source, utterances in groups.items():
        for start in range(0, len(utterances), options.batch):
            waves, good = [], []
            for utterance in utterances[start : start + options.batch]:
                try:
                    waves.append(utterance.waveform())
                    good.append(utterance)
                except AudioError as error:
                    notes.append(f"left out {shown(error, 400)}")
            if good:
                wire = model.encode(waves)
                heard: Sequence[Answer | None] = [None] * len(good)
                answers: Sequence[Mapping[str, Answer]] = [{}] * len(good)
                if targets:
                    answers = cloud.translate(
                        wire, source, targets, options.beam, options.most_tokens
                    )
                else:
                    heard = cloud.transcribe(wire, source, options.beam, options.most_tokens)
                for row in zip(good, heard, answers, strict=True):
                    done[row[0].id] = Translated(row[0], source, row[1], row[2])
            report("translating", len(done) + len(notes), len(corpus))
    if not done:
        raise CorpusError(f"{corpus.name}: no recording could be decoded; {notes[-1]}")
    return [done[u.id] for u in corpus if u.id in done], notes


def by_language(corpus: Corpus, spoken: str | None) -> dict[str, list[Utterance]]:
    """Utterances by spoken language, which `spoken` says where the corpus does not.

    Raises LanguageError, naming the first recording whose language nobody has said.
    """
    from esrt_privacy.esrt.language_tags import require_language

    fallback = None if spoken is None else require_language(spoken)
    groups: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in corpus:
        language = utterance.language or fallback
        if language is None:
            raise LanguageError(
                f"{shown(utterance.id)}: nobody says which language is spoken; give it as --from eng"
            )
        groups[require_language(language)].append(utterance)
    return dict(groups)


def wrong_language_share(rows: Iterable[Translated]) -> float:
    """Share of answers that do not name the languages asked for, in their places; nan without any."""
    answers = [answer for row in rows for answer in row.all_answers]
    if not answers:
        return float("nan")
    return sum(not answer.language_ok for answer in answers) / len(answers)


def print_translations(rows: Iterable[Translated], console: Console) -> None:
    """Each recording with its transcript and translations; at the end, how many answers went wrong."""
    from rich.markup import escape

    rows = list(rows)
    for row in rows:
        first, *_ = row.all_answers
        console.print(
            f"[bold]{escape(row.utterance.id)}[/bold]  {row.source}: {escape(first.transcript)}"
        )
        for target, answer in row.answers.items():
            remark = "" if answer.language_ok else "  (wrong language tags)"
            remark += "" if answer.complete else "  (not complete)"
            console.print(f"  {target}: {escape(answer.translation)}{remark}", highlight=False)
    wrong = wrong_language_share(rows)
    console.print(
        f"answers in the wrong language, by their tags: {100 * wrong:.1f}%", highlight=False
    )


def write_translations(rows: Iterable[Translated], path: Path) -> None:
    """One JSON line a recording. Raises ReportError."""
    lines = []
    for row in rows:
        body = {
            "id": row.utterance.id,
            "source": row.source,
            "transcript": row.all_answers[0].transcript,
            "answers": {target: asdict(answer) for target, answer in row.answers.items()},
        }
        lines.append(json.dumps(body, ensure_ascii=False) + "\n")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{path}: cannot be written ({error.strerror})") from error
