"""Trials within folds: each fold's attacker scores the pairs of its own test speakers, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from esrt_privacy.attacks.folds import Fold, make_folds
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.scoring import models
from esrt_privacy.attacks.sequences import readable
from esrt_privacy.attacks.trials import Trial, TrialList, draw_trials
from esrt_privacy.corpora import Corpus, Utterance
from esrt_privacy.errors import AttackError

SPEAKERS_A_FOLD = 8  # at least: fewer give hardly a pair of strangers of one sex


@dataclass(frozen=True)
class FoldTrials:
    """The trials of one fold. Models and utterances are numbered within the fold's test part."""

    fold: Fold
    members: tuple[tuple[int, ...], ...]  # of each model, places in fold.test
    enrolled: np.ndarray  # (trials of the fold,) which model
    tested: np.ndarray  # (trials of the fold,) place in fold.test
    places: np.ndarray  # (trials of the fold,) place in the whole list

    def models(self, embeddings: np.ndarray) -> np.ndarray:
        """(utterances of fold.test, size) -> (models, size)."""
        return models(embeddings, self.members)

    def take(self, matrix: np.ndarray) -> np.ndarray:
        """(models, utterances) -> (trials of the fold,)."""
        return np.asarray(matrix[self.enrolled, self.tested])


@dataclass(frozen=True)
class TrialTable:
    """All trials that can be answered, and the folds that answer them."""

    trials: tuple[Trial, ...]
    speakers: tuple[str, ...]  # (trials,) who is tested
    same_sex: np.ndarray  # (trials,) bool; False where a sex is unknown
    parts: tuple[FoldTrials, ...]
    fingerprint: str  # of the list that the trials come from
    readable: tuple[str, ...]  # ids of the utterances that it was drawn from
    notes: tuple[str, ...]

    @property
    def target(self) -> np.ndarray:
        """(trials,) bool."""
        return np.array([t.target for t in self.trials], dtype=bool)


def trial_table(inputs: Inputs, tap: str) -> TrialTable:
    """The user's list, or one drawn by the audit's seed, over the test utterances whose tensors can be read.

    Enrolment and folds depend on `inputs.seed` alone, so that the answers of several training seeds can be averaged.
    Pairs of speakers of different folds are left out: no attacker may have met either.

    Raises AttackError, in one line, where no verification is possible: fewer than two speakers with two recordings.
    """
    kept, notes = readable(inputs.captures[tap], (u for u in inputs.test if u.speaker is not None))
    if not kept:
        raise AttackError(
            f"{inputs.test.name}: no utterance with a known speaker; add speakers to the manifest"
        )
    test = replace(inputs.test, utterances=kept)
    if len(test.speakers) < 2:
        raise AttackError(
            f"{test.name}: one speaker only, so there is no stranger to tell apart; give more speakers"
        )
    listed = inputs.trials or drawn_list(inputs, test)
    if len(listed.enrolment) < 2:
        raise AttackError(
            f"{test.name}: fewer than two speakers have two recordings, so there is nothing to enrol with;"
            " give more utterances a speaker"
        )
    folds = make_folds(
        test, _readable_training(inputs, tap), _fold_count(inputs, test), inputs.seed
    )
    fold_of = {u.id: number for number, fold in enumerate(folds) for u in fold.test}
    by_id = {u.id: u for u in kept}
    enrolment = {
        speaker: ids
        for speaker, wanted in listed.enrolment.items()
        if (ids := tuple(i for i in wanted if i in by_id))
    }
    trials = tuple(
        t
        for t in listed.trials
        if t.speaker in enrolment
        and t.utterance in by_id
        and fold_of[enrolment[t.speaker][0]] == fold_of[t.utterance]
    )
    if not any(t.target for t in trials) or all(t.target for t in trials):
        raise AttackError(
            f"{test.name}: no trials of both kinds, target and nontarget, are left; give more speakers and utterances"
        )
    sex = {str(u.speaker): u.sex for u in kept}
    parts = tuple(
        _part(number, fold, trials, enrolment, fold_of) for number, fold in enumerate(folds)
    )
    across = len(listed.trials) - len(trials)
    if inputs.trials is not None and across:
        notes = (*notes, f"left out {across} listed trials: their speakers are in different folds")
    fold_notes = tuple(dict.fromkeys(note for fold in folds for note in fold.notes))
    return TrialTable(
        trials,
        tuple(str(by_id[t.utterance].speaker) for t in trials),
        np.array(
            [
                sex[t.speaker] is not None and sex[t.speaker] == by_id[t.utterance].sex
                for t in trials
            ],
            dtype=bool,
        ),
        tuple(part for part in parts if len(part.places)),
        listed.fingerprint,
        tuple(u.id for u in kept),
        (*listed.notes, *notes, *fold_notes),
    )


def drawn_list(inputs: Inputs, readable_tests: Corpus) -> TrialList:
    """The list that the audit's seed draws: pairs of one sex and of two."""
    return draw_trials(readable_tests, inputs.seed, "mixed")


def _part(
    number: int,
    fold: Fold,
    trials: Sequence[Trial],
    enrolment: dict[str, tuple[str, ...]],
    fold_of: dict[str, int],
) -> FoldTrials:
    place = {u.id: i for i, u in enumerate(fold.test)}
    own = [i for i, t in enumerate(trials) if fold_of[t.utterance] == number]
    names = sorted({trials[i].speaker for i in own})
    model = {name: i for i, name in enumerate(names)}
    return FoldTrials(
        fold,
        tuple(tuple(place[u] for u in enrolment[name]) for name in names),
        np.array([model[trials[i].speaker] for i in own], dtype=np.intp),
        np.array([place[trials[i].utterance] for i in own], dtype=np.intp),
        np.array(own, dtype=np.intp),
    )


def _fold_count(inputs: Inputs, test: Corpus) -> int:
    """Enough speakers a fold; one fold where the training corpus alone has as many speakers as the test."""
    others = inputs.training
    if others is not None and len(set(others.speakers) - set(test.speakers)) >= len(test.speakers):
        return 1
    return max(2, min(inputs.folds, len(test.speakers) // SPEAKERS_A_FOLD))


def _readable_training(inputs: Inputs, tap: str) -> Corpus | None:
    if inputs.training is None:
        return None
    known: list[Utterance] = [u for u in inputs.training if u.speaker is not None]
    kept, _ = readable(inputs.captures[tap], known)
    return replace(inputs.training, utterances=kept) if kept else None
