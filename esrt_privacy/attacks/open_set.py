"""None of these: can the attacker tell a language that its training never met from those that it knows?

In each fold some languages are left out of training and development altogether. The score is the probability of the
likeliest known language, in deviations from what known languages score on development utterances, so that folds can be
compared (Hendrycks & Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural
Networks", ICLR 2017, arXiv:1610.02136).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.comparisons import names_of
from esrt_privacy.attacks.drafts import LEVEL, Draft, undecided
from esrt_privacy.attacks.folds import make_folds
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.label_answers import Question, labelled, train_reader
from esrt_privacy.attacks.positive_control import (
    CEILING_TAP,
    control_tap,
    judge_control,
)
from esrt_privacy.captures import Capture
from esrt_privacy.corpora.corpus import speakers_of
from esrt_privacy.findings import Interval
from esrt_privacy.measures.intervals import Estimate
from esrt_privacy.measures.replicates import Replicates
from esrt_privacy.measures.separation import auroc, auroc_replicates
from esrt_privacy.measures.verification import eer
from esrt_privacy.progress import Reporter, silent

LEAST_CLASSES = 3  # one left out, two to tell apart
CHANCE = "chance"
_TINY = 1e-6


def measure_open_set(
    inputs: Inputs, capture: Capture, seed: int, question: Question, report: Reporter = silent
) -> Answers:
    """Score every test utterance by an attacker that has met neither its speaker nor, for some, its class.

    The capture is `remembered`, as for `measure_label`.

    Answers hold `open.score` (utterances,), higher where the class seems known, and `open.known` (utterances,), and the
    rows `open.ids`, `open.speakers`, `open.left_out` (one text a fold). With fewer than three classes they hold a note.
    """
    material, tap = labelled(inputs, capture, question), capture.tap
    classes = material.classes
    if len(classes) < LEAST_CLASSES:
        note = f"open set: not asked, {len(classes)} values of {question.name} and at least {LEAST_CLASSES} are needed"
        return Answers(notes=(*material.notes, note))
    folds = make_folds(material.test, material.training, inputs.folds, seed)
    groups = _groups(classes, len(folds), seed)
    place = {u.id: i for i, u in enumerate(material.test)}
    score = np.full(len(material.test), np.nan)
    known = np.zeros(len(material.test), dtype=bool)
    left_out, notes = [], [*material.notes]
    for number, fold in enumerate(folds):
        report(f"unknown {question.name} at {tap}", number, len(folds))
        unknown = groups[number % len(groups)]
        left_out.append(", ".join(unknown))
        rest = replace(
            fold,
            training=tuple(u for u in fold.training if question.label(u) not in unknown),
            development=tuple(u for u in fold.development if question.label(u) not in unknown),
        )
        met = sorted({str(question.label(u)) for u in rest.training})
        if len(met) < 2:
            notes.append(
                f"open set: a fold without {left_out[-1]} has fewer than two values to train on, it is left out"
            )
            continue
        reader = train_reader(capture, rest, question.label, seed, inputs.budget, report)
        rows = [place[u.id] for u in fold.test]
        confidence = reader.known_logs(capture, fold.test).max(axis=1)
        watched = rest.development or rest.training
        usual = reader.known_logs(capture, watched).max(axis=1)
        score[rows] = (confidence - usual.mean()) / max(float(usual.std()), _TINY)
        known[rows] = [str(question.label(u)) in met for u in fold.test]
    report(f"unknown {question.name} at {tap}", len(folds), len(folds))
    return Answers(
        {"open.score": score, "open.known": known},
        {
            "open.ids": tuple(u.id for u in material.test),
            "open.speakers": tuple(speakers_of(material.test)),
            "open.left_out": tuple(left_out),
        },
        tuple(notes),
    )


@dataclass(frozen=True)
class AurocComparison:
    """The AUROC of scores of known against unknown, minus one half."""

    floor: str
    scores: np.ndarray
    known: np.ndarray
    clusters: Sequence[str]  # one speaker a score

    def difference(self, level: float, rng: np.random.Generator) -> Estimate:
        """The AUROC minus one half."""
        own = self.leakage(rng).estimate(level)
        return own._replace(value=own.value - 0.5, low=own.low - 0.5, high=own.high - 0.5)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Those with a score."""
        return names_of(np.asarray(self.clusters)[~np.isnan(self.scores)])

    def leakage(self, rng: np.random.Generator) -> Replicates:
        """See `measures.separation.auroc_replicates`."""
        return auroc_replicates(self.scores, self.known, self.clusters, rng)


def open_set_drafts(
    inputs: Inputs,
    answers: Mapping[tuple[str, int], Answers],
    family: str,
    name: str,
    notes: Sequence[str],
) -> list[Draft]:
    """One draft a tap, the scores of all seeds averaged; none where the question was not asked."""
    made = []
    for tap in dict.fromkeys(tap for tap, _ in answers):
        view = _view(answers, tap)
        if view is None:
            continue
        at = control_tap(inputs.captures, tap)
        control_view = None if at is None else _view(answers, at)
        beyond = None
        if control_view is not None:
            rng = np.random.default_rng([inputs.seed, 9])
            beyond = control_view.difference(LEVEL, rng)
        control = judge_control(at, f"open-set {name}", beyond)
        own = view.difference(LEVEL, np.random.default_rng([inputs.seed, 9]))
        ceiling = _view(answers, CEILING_TAP) if tap != CEILING_TAP else None
        shown = None if control_view is None else _interval(inputs, control_view)
        finding = undecided(
            inputs,
            tap,
            family,
            "open-set-auroc",
            ceiling=None if ceiling is None else _interval(inputs, ceiling),
            question=f"Does the tensor tell that a {name} is none of those the attacker knows?",
            metric="open-set AUROC",
            leaks_when="higher",
            estimate=_interval(inputs, view),
            floors={CHANCE: Interval(value=0.5, method="exact")},
            utterances=int(np.isfinite(view.scores).sum()),
            speakers=len(set(view.clusters)),
            seeds=tuple(sorted({seed for t, seed in answers if t == tap})),
            notes=(*_notes(view), *notes),
            **control.shown(tap, shown),
        )
        made.append(
            Draft(
                finding,
                (view,),
                1.0,
                inputs.seed,
                control.passed,
                control.words,
                passes_itself=control.passed_by(own),
            )
        )
    return made


def _groups(classes: Sequence[str], folds: int, seed: int) -> list[tuple[str, ...]]:
    """Classes to leave out together: every one in some fold, and always at least two that stay."""
    order = np.random.default_rng([seed, 10]).permutation(list(classes)).tolist()
    count = min(len(order), max(2, folds))
    groups = [tuple(order[i::count]) for i in range(count)]
    return [group[: len(order) - 2] for group in groups]


def _view(answers: Mapping[tuple[str, int], Answers], tap: str) -> AurocComparison | None:
    held = [a for (t, _), a in sorted(answers.items()) if t == tap and "open.score" in a.arrays]
    if not held:
        return None
    # A speaker may be known to one seed's attacker and unknown to another's: one row for each.
    return AurocComparison(
        CHANCE,
        np.concatenate([a.arrays["open.score"] for a in held]),
        np.concatenate([a.arrays["open.known"] for a in held]),
        tuple(speaker for a in held for speaker in a.rows["open.speakers"]),
    )


def _interval(inputs: Inputs, view: AurocComparison) -> Interval:
    rng = np.random.default_rng([inputs.seed, 9])
    return Interval.of(view.leakage(rng).estimate(LEVEL))


def _notes(view: AurocComparison) -> list[str]:
    scored = np.isfinite(view.scores)
    scores, known = view.scores[scored], view.known[scored]
    rate = eer(scores[known], scores[~known])
    area = auroc(scores, known)
    if np.isnan(area):
        return ["no utterance of a class that training had left out"]
    return [
        f"EER of known against unknown {100 * rate:.1f}%; {int((~known).sum())} of {len(scores)} answers, those of all"
        " seeds taken together, are on a class left out of training"
    ]
