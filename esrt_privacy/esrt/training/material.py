"""What there is to train on: the rows of each task by language, and what had to be left out, with why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from esrt_privacy.corpora import Utterance
from esrt_privacy.errors import LanguageError, ModelError, shown
from esrt_privacy.esrt.language_tags import Tags, require_language
from esrt_privacy.esrt.training.errors import TrainingError
from esrt_privacy.esrt.training.tasks import PlainText, Row, Task, prompt_and_target

Unit = tuple[str, str | None]  # what is balanced: a language, or a direction from one to another
SLACK = 16  # tokens that a tokenizer may add to the bytes of a row's texts, tags among them


@dataclass(frozen=True)
class Material:
    """Rows of one task by unit, as places in `utterances`, which all tasks share."""

    task: Task
    utterances: Sequence[Utterance]
    units: Mapping[Unit, Sequence[int]]  # sorted by unit, none empty
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return sum(map(len, self.units.values()))

    def row(self, unit: Unit, number: int) -> Row:
        """The row at place `number` of a unit."""
        return Row(self.utterances[self.units[unit][number]], unit[1])

    def rows(self) -> Iterator[Row]:
        """Every row, unit by unit."""
        for unit, places in self.units.items():
            for number in range(len(places)):
                yield self.row(unit, number)


class _LeftOut:
    """What was left out, by reason: how many, and the first by name."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, str]] = {}

    def add(self, reason: str, name: str) -> None:
        count, first = self._seen.get(reason, (0, name))
        self._seen[reason] = (count + 1, first)

    def lines(self, what: str) -> tuple[str, ...]:
        return tuple(
            f"left out {count} {what}: {reason} (first: {shown(first)})"
            for reason, (count, first) in self._seen.items()
        )


def with_tags(utterances: Sequence[Utterance]) -> tuple[list[Utterance], tuple[str, ...]]:
    """The utterances in languages that have a tag, every language as its code, and what was left out.

    Raises LanguageError where none is left, naming the languages near the first that is unknown.
    """
    codes = _Codes()
    kept: list[Utterance] = []
    recordings, translations = _LeftOut(), _LeftOut()
    for utterance in utterances:
        code, reason = codes.of(utterance.language)
        if code is None:
            recordings.add(reason, utterance.id)
            continue
        texts = {}
        for name, text in utterance.translations.items():
            target, reason = codes.of(name)
            if target is None:
                translations.add(reason, utterance.id)
            else:
                texts[target] = text
        # The recordings of one sentence share one mapping: a copy only where it says something else.
        if (code, texts) != (utterance.language, utterance.translations):
            utterance = replace(utterance, language=code, translations=texts)
        kept.append(utterance)
    notes = recordings.lines("recordings") + translations.lines("translations")
    if not kept:
        raise LanguageError(f"nothing to train on: {notes[0] if notes else 'no recording'}")
    return kept, notes


def gather(
    task: Task, utterances: Sequence[Utterance], plain: PlainText, tags: Tags, room: int | None
) -> Material:
    """The rows of one task that have their texts and fit into `room` tokens of prompt and target.

    `utterances` as `with_tags` gives them. Text translation takes each pair of texts once, whoever
    spoke it. Raises TrainingError where no row is left.
    """
    units: dict[Unit, list[int]] = {}
    pairs: set[tuple[str | None, str, str | None, str]] = set()
    lost = _LeftOut()
    unfit = _unfit(task, plain, tags, room)
    for place, utterance in enumerate(utterances):
        for row in _rows(task, utterance, lost):
            pair = (utterance.language, row.text, row.target, row.translation)
            if task is Task.SMT and pair in pairs:
                continue
            reason = unfit(row)
            if reason is not None:
                lost.add(reason, utterance.id)
                continue
            pairs.add(pair)
            units.setdefault((row.source, row.target), []).append(place)
    notes = lost.lines(f"rows of {task.upper()}")
    if not units:
        needed = "translations" if task.translates else "texts"
        raise TrainingError(
            f"no row to train {task.upper()} on: {notes[0] if notes else 'no recording'}; give a"
            f" corpus with {needed}, or other stages"
        )
    ordered = {unit: units[unit] for unit in sorted(units, key=lambda u: (u[0], u[1] or ""))}
    return Material(task, utterances, ordered, notes)


def tokens_in_use(
    materials: Sequence[Material], plain: PlainText, tags: Tags, end: int
) -> list[int]:
    """Sorted ids of every token that a target holds, of the tags, and of <eos>."""
    found = {end, *tags.all_ids}
    read: set[str] = set()
    for material in materials:
        for row in material.rows():
            for text in (row.text, row.translation):
                if text and text not in read:
                    read.add(text)
                    found.update(plain(text))
    return sorted(found)


def _rows(task: Task, utterance: Utterance, lost: _LeftOut) -> Iterator[Row]:
    """The rows of an utterance that have the texts of the task."""
    if not (utterance.text or "").strip():
        lost.add("no text", utterance.id)
    elif not task.translates:
        yield Row(utterance, None)
    else:
        rows = [Row(utterance, t) for t in utterance.translations if t != utterance.language]
        rows = [row for row in rows if row.translation]
        if not rows:
            lost.add("no translation", utterance.id)
        yield from rows


def _unfit(
    task: Task, plain: PlainText, tags: Tags, room: int | None
) -> Callable[[Row], str | None]:
    """Says why a row cannot be used, None where it can."""

    def reason(row: Row) -> str | None:
        # A token covers a byte at least: short texts without brackets need not be tokenised here.
        size = len(row.text.encode()) + len(row.translation.encode()) + SLACK
        if (room is None or size <= room) and "<" not in row.text + row.translation:
            return None
        try:
            prompt, target = prompt_and_target(task, row, plain, tags)
        except ModelError:
            return "the text spells a special token"
        if room is not None and len(prompt) + len(target) > room:
            return f"longer than the {room} tokens that the LLM's context has room for"
        return None

    return reason


class _Codes:
    """Languages as corpora name them, looked up once."""

    def __init__(self) -> None:
        self._known: dict[str | None, tuple[str | None, str]] = {
            None: (None, "the corpus does not say the language")
        }

    def of(self, name: str | None) -> tuple[str | None, str]:
        """The code, or None and why there is none."""
        if name is not None and name not in self._known:
            try:
                self._known[name] = (require_language(name), "")
            except LanguageError as error:
                self._known[name] = (None, str(error))
        return self._known[name]
