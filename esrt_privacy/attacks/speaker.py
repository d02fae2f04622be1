"""Speaker verification: is this tensor spoken by the person that the attacker has enrolled?

Four attackers answer the same trials. The ignorant one listens to reconstructed speech, the lazy-informed one compares
pooled tensors, the semi-informed one trains heads on other people's tensors, the cross-modal one holds recordings of
its target instead of tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.cross_modal import train_cross_modal
from esrt_privacy.attacks.families import Family
from esrt_privacy.attacks.fold_trials import FoldTrials, TrialTable, drawn_list, trial_table
from esrt_privacy.attacks.heads import HEADS, train_head
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.scoring import (
    adaptive_s_norm,
    cosine_scores,
    models,
    pairs_eer,
    unit_length,
)
from esrt_privacy.attacks.sequences import pooled, remembered
from esrt_privacy.attacks.speaker_controls import CONTROLS
from esrt_privacy.attacks.speaker_findings import budget, drafts
from esrt_privacy.attacks.trials import TrialList
from esrt_privacy.attacks.voices import real_voices, voice_of
from esrt_privacy.captures import Capture
from esrt_privacy.corpora import Corpus, Utterance
from esrt_privacy.errors import AssetError, AttackError, CorpusError
from esrt_privacy.judges.speakers import Ge2e
from esrt_privacy.progress import Reporter, silent

__all__ = ["FAMILY", "assets", "budget", "drafts", "lists", "measure"]

FAMILY = Family(
    name="speaker",
    question="Is this tensor spoken by the person whom the attacker has enrolled?",
    needs=("speaker",),
    attackers=("semi-informed", "lazy-informed", "cross-modal", "ignorant"),
    version=3,
)


def assets(inputs: Inputs) -> str:
    """The fingerprint of the speaker encoder, empty where it is not to be had: then two attackers are missing."""
    try:
        return Ge2e.load(inputs.weights).fingerprint
    except AssetError:
        return ""


def lists(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> tuple[TrialList, ...]:
    """The list that the trials of each tap come from, each list once: the user's own, or as it was drawn."""
    found: dict[str, TrialList] = {}
    for answer in answers.values():
        (fingerprint,) = answer.rows["trial_list"]
        if fingerprint not in found:
            kept = frozenset(answer.rows["readable"])
            readable = tuple(u for u in inputs.test if u.id in kept)
            found[fingerprint] = inputs.trials or drawn_list(
                inputs, replace(inputs.test, utterances=readable)
            )
    return tuple(found.values())


def measure(inputs: Inputs, tap: str, seed: int, report: Reporter = silent) -> Answers:
    """Score every trial at one tap by every attacker.

    Answers hold `target` and `same_sex` (trials,) and, (trials,) with nan where there is no score, `semi-informed`,
    `head.<name>` of each head, `lazy-informed`, `cross-modal`, `ignorant`, `text only` and `duration only` (those that
    could be run); `curve` (rows, 4): fold, place of the head in HEADS, training steps, development EER; and the rows
    `enrol`, `test` (trials,) speakers, `utterances` (trials,), `heads`, one a fold, `trial_list`, the fingerprint of
    the list, and `readable`, the utterances that it was drawn from. Errors as `trial_table`.
    """
    table = trial_table(inputs, tap)
    capture = remembered(inputs.captures[tap])
    notes = list(table.notes)
    raw = _raw_side(inputs, table, report)
    notes += raw.notes
    sheet = _Sheet(len(table.trials))
    curve: list[tuple[float, ...]] = []
    chosen = []
    for number, part in enumerate(table.parts):
        report(f"speakers at {tap}", number, len(table.parts))
        for name, control in CONTROLS.items():
            sheet.put(name, part, control(part))
        sheet.put("lazy-informed", part, _lazy(capture, part))
        trained = semi_informed(capture, part, seed, inputs.budget, report)
        chosen.append(trained.chosen)
        for name, scores in trained.scores.items():
            sheet.put(f"head.{name}", part, scores)
        sheet.put("semi-informed", part, trained.scores[trained.chosen])
        curve += [(number, *row) for row in trained.curve]
        if raw.voices:
            by_recording, why_not = _cross_modal(capture, part, raw.voices)
            sheet.put("cross-modal", part, by_recording)
            notes += why_not
            if seed == inputs.seed:  # it learns nothing, and making sounds of tensors is slow
                sheet.put("ignorant", part, _ignorant(inputs, tap, part, raw))
    report(f"speakers at {tap}", len(table.parts), len(table.parts))
    return Answers(
        {
            "target": table.target,
            "same_sex": table.same_sex,
            **sheet.columns,
            "curve": np.array(curve, dtype=np.float64).reshape(-1, 4),
        },
        {
            "enrol": tuple(t.speaker for t in table.trials),
            "test": table.speakers,
            "utterances": tuple(t.utterance for t in table.trials),
            "heads": tuple(chosen),
            "trial_list": (table.fingerprint,),
            "readable": table.readable,
        },
        tuple(dict.fromkeys(notes)),
    )


class _Sheet:
    """Columns of scores over all trials; nan where a fold has none."""

    def __init__(self, trials: int) -> None:
        self._trials = trials
        self.columns: dict[str, np.ndarray] = {}

    def put(self, name: str, part: FoldTrials, scores: np.ndarray | None) -> None:
        if scores is not None:
            column = self.columns.setdefault(name, np.full(self._trials, np.nan))
            column[part.places] = scores


def _lazy(capture: Capture, part: FoldTrials) -> np.ndarray:
    """Cosine of pooled tensors, in deviations from what the intercepted tensors are on average; nothing is trained."""
    rows = pooled(capture, part.fold.test).astype(np.float64)
    rows = (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-8)
    rows = unit_length(rows)
    return part.take(cosine_scores(part.models(rows), rows))


@dataclass(frozen=True)
class Trained:
    """What the heads of one fold make of its trials."""

    chosen: str
    scores: Mapping[str, np.ndarray]
    curve: tuple[tuple[float, ...], ...]  # head, steps, development EER


def semi_informed(
    capture: Capture,
    part: FoldTrials,
    seed: int,
    amount: float,
    report: Reporter = silent,
    heads: Sequence[str] = tuple(HEADS),
) -> Trained:
    """The heads and their sum; the one with the least development EER is chosen, the sum where there is none."""
    fold = part.fold
    learnt = (*fold.training, *fold.development)
    own, watched = _names(fold.training), _names(fold.development)
    groups = _groups(learnt)
    test, cohort, seen = {}, {}, {}
    curve: list[tuple[float, ...]] = []
    for place, name in enumerate(heads):
        head = train_head(
            name,
            capture,
            fold.training,
            own,
            fold.development,
            watched,
            "embedding",
            seed,
            amount,
            report,
        )
        curve += [(place, steps, error) for steps, error in head.curve]
        test[name] = head.embed(capture, fold.test)
        everyone = head.embed(capture, learnt)
        cohort[name] = models(everyone, groups)
        seen[name] = everyone[len(fold.training) :]
    joined = " + ".join(heads)
    # The cosine of joined embeddings of unit length is the mean of their cosines.
    for side in (test, cohort, seen):
        side[joined] = np.hstack([side[name] for name in heads]) / np.sqrt(len(heads))
    errors = {name: pairs_eer(rows, np.array(watched)) for name, rows in seen.items()}
    finite = {name: error for name, error in errors.items() if np.isfinite(error)}
    chosen = min(finite, key=lambda name: finite[name]) if finite else joined
    scores = {
        name: part.take(adaptive_s_norm(part.models(rows), rows, cohort[name]))
        for name, rows in test.items()
    }
    return Trained(chosen, scores, tuple(curve))


@dataclass(frozen=True)
class _RawSide:
    """What the attackers with recordings hold: voices by fingerprint; empty where there are none."""

    voices: Mapping[str, np.ndarray] = field(default_factory=dict)
    encoder: Ge2e | None = None
    notes: tuple[str, ...] = ()


def _raw_side(inputs: Inputs, table: TrialTable, report: Reporter) -> _RawSide:
    """Voices of every recording that a fold learns from or enrols with."""
    from esrt_privacy.assets import cache_folder

    try:
        encoder = Ge2e.load(inputs.weights)
    except AssetError as error:
        note = f"no attacker with recordings (cross-modal, ignorant): {error}"
        return _RawSide(notes=(note,))
    wanted: dict[str, Utterance] = {}
    for part in table.parts:
        for u in (*part.fold.training, *part.fold.development, *part.fold.test):
            if u.audio.is_file():
                wanted[u.fingerprint] = u
    corpus = Corpus(inputs.test.name, tuple(wanted.values()))
    if not len(corpus):
        return _RawSide(notes=("no attacker with recordings: the captures came without audio",))
    try:
        voices = real_voices(encoder, corpus, cache_folder() / "voices", report)
    except CorpusError as error:
        return _RawSide(notes=(f"no attacker with recordings: {error}",))
    return _RawSide(voices, encoder)


def _cross_modal(
    capture: Capture, part: FoldTrials, voices: Mapping[str, np.ndarray]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Tensors against models of recordings, and a note where it could not be run."""
    fold = part.fold
    try:
        model = train_cross_modal(capture, fold.training, fold.development, voices)
        enrolled = model.of_voices(_enrolled_voices(part, voices))
    except AttackError as error:
        return None, (f"no cross-modal attacker in a fold: {error}",)
    learnt = [u for u in (*fold.training, *fold.development) if u.fingerprint in voices]
    groups = _groups(learnt)
    scores = adaptive_s_norm(
        enrolled,
        model.of_tensors(capture, fold.test),
        models(model.of_tensors(capture, learnt), groups),
        models(model.of_voices(np.stack([voices[u.fingerprint] for u in learnt])), groups),
    )
    return part.take(scores), ()


def _ignorant(inputs: Inputs, tap: str, part: FoldTrials, raw: _RawSide) -> np.ndarray | None:
    """GE2E of reconstructed speech against models of recordings; None where nothing was reconstructed."""
    sounds = inputs.reconstructions.get(tap)
    if sounds is None or raw.encoder is None:
        return None
    enrolled = unit_length(_enrolled_voices(part, raw.voices))
    heard = np.full((len(part.fold.test), enrolled.shape[1]), np.nan)
    for place in np.unique(part.tested):
        key = part.fold.test[place].id
        voice = voice_of(raw.encoder, sounds[key]) if key in sounds else None
        if voice is not None:
            heard[place] = voice
    return part.take(cosine_scores(enrolled, heard))


def _enrolled_voices(part: FoldTrials, voices: Mapping[str, np.ndarray]) -> np.ndarray:
    """(models, 256) mean voices of the enrolment recordings. AttackError where a speaker has none."""
    test = part.fold.test
    rows = []
    for member in part.members:
        own = [voices[test[i].fingerprint] for i in member if test[i].fingerprint in voices]
        if not own:
            raise AttackError(f"no enrolment recording of {test[member[0]].speaker} has a voice")
        rows.append(np.mean(own, axis=0))
    return np.stack(rows)


def _names(utterances: Sequence[Utterance]) -> list[str]:
    return [f"{u.corpus or ''}|{u.speaker}" for u in utterances]


def _groups(utterances: Sequence[Utterance]) -> list[list[int]]:
    """Places of each speaker's utterances."""
    places: dict[str, list[int]] = {}
    for i, name in enumerate(_names(utterances)):
        places.setdefault(name, []).append(i)
    return list(_sorted_values(places))


def _sorted_values(groups: Mapping[str, list[int]]) -> Iterator[list[int]]:
    return (groups[name] for name in sorted(groups))
