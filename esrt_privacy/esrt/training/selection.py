"""Which recordings a run trains on, before anything is encoded."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from esrt_privacy.corpora import Utterance
from esrt_privacy.esrt.model import EsrtModel
from esrt_privacy.esrt.training.balance import seconds, within_hours
from esrt_privacy.esrt.training.curriculum import Stage
from esrt_privacy.esrt.training.errors import TrainingError
from esrt_privacy.esrt.training.material import Material, gather, with_tags
from esrt_privacy.esrt.training.objective import query_sets
from esrt_privacy.esrt.training.tasks import PlainText, Task
from esrt_privacy.esrt.vocabulary import context_of

MARKS = 2  # <bos> and <eos>


@dataclass(frozen=True)
class Selection:
    """Recordings in languages that have a tag, and a line for each thing left out."""

    utterances: tuple[Utterance, ...]
    notes: tuple[str, ...] = ()

    @property
    def with_text(self) -> tuple[Utterance, ...]:
        """Those that some task can use."""
        return tuple(u for u in self.utterances if (u.text or "").strip())

    def less(self, ids: Collection[str], why: Sequence[str]) -> Selection:
        """Without the recordings of these ids."""
        kept = tuple(u for u in self.utterances if u.id not in ids)
        return replace(self, utterances=kept, notes=(*self.notes, *why))


def selected(utterances: Sequence[Utterance], hours: float | None, seed: int) -> Selection:
    """What can be trained on, limited to `hours` of audio with text, spread over the languages.

    Raises LanguageError where no language is known, TrainingError where nothing fits the hours.
    """
    kept, notes = with_tags(utterances)
    selection = Selection(tuple(kept), notes)
    if hours is None:
        return selection
    chosen, held = within_hours(selection.with_text, hours, seed)
    if not chosen:
        raise TrainingError(f"--hours {hours:g}: no recording with a text is as short: give more")
    ids = {u.id for u in chosen} | {u.id for u in kept if not (u.text or "").strip()}
    note = f"{len(chosen)} recordings, {held:.3f} h, within the limit of {hours:g} h"
    return Selection(tuple(u for u in kept if u.id in ids), (*notes, note))


def materials(
    selection: Selection, model: EsrtModel, stages: Sequence[Stage], wanted: Sequence[int] = ()
) -> dict[Task, Material]:
    """The rows of every task that the stages need. `wanted`: the query sets that will be trained.

    Raises TrainingError where a task has none.
    """
    context = context_of(model.llm)
    audio = max(query_sets(model, wanted))
    plain = PlainText(model.tokenizer, model.tags)
    tasks = [task for task in Task if any(task in stage.weights for stage in stages)]
    found = {}
    for task in tasks:
        room = None if context is None else context - MARKS - (audio if task.reads_audio else 0)
        found[task] = gather(task, selection.utterances, plain, model.tags, room)
    return found


def amounts(utterances: Sequence[Utterance]) -> dict[str, dict[str, float]]:
    """Recordings and hours by language."""
    found: dict[str, dict[str, float]] = {}
    for utterance in utterances:
        row = found.setdefault(utterance.language or "", {"recordings": 0, "hours": 0.0})
        row["recordings"] += 1
        row["hours"] += seconds(utterance) / 3600
    return {
        code: {"recordings": row["recordings"], "hours": round(row["hours"], 4)}
        for code, row in sorted(found.items())
    }


def unique(utterances: Sequence[Utterance]) -> list[Utterance]:
    """The utterances of several corpora, ids that come twice made different."""
    seen: dict[str, int] = {}
    kept = []
    for utterance in utterances:
        count = seen.get(utterance.id, 0)
        seen[utterance.id] = count + 1
        kept.append(replace(utterance, id=f"{utterance.id}@{count + 1}") if count else utterance)
    return kept
