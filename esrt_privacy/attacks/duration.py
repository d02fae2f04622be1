"""How long was it, and where were the pauses? Seconds by regression; the mask of speech and pauses is in `pauses`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.comparisons import DRAWS, RatioComparison
from esrt_privacy.attacks.drafts import Draft, finding_id, undecided
from esrt_privacy.attacks.duration_reader import infer_lengths, seconds_of
from esrt_privacy.attacks.families import Family
from esrt_privacy.attacks.folds import make_folds
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.pause_findings import pause_drafts
from esrt_privacy.attacks.pauses import measure_pauses
from esrt_privacy.attacks.pictures import length_pairs
from esrt_privacy.attacks.positive_control import (
    CEILING_TAP,
    control_tap,
    judge_control,
)
from esrt_privacy.attacks.sequences import readable
from esrt_privacy.corpora import Corpus
from esrt_privacy.corpora.corpus import speakers_of
from esrt_privacy.errors import AttackError
from esrt_privacy.findings import Direction, Finding, Interval, Lengths
from esrt_privacy.measures.intervals import Estimate, speaker_bootstrap_ratio
from esrt_privacy.measures.regression import r_squared_speaker_bootstrap
from esrt_privacy.measures.speech_mask import FRAME_SECONDS
from esrt_privacy.progress import Reporter, silent

FAMILY = Family(
    name="duration",
    question="Does the tensor tell how long the utterance was, and where its pauses were?",
)
TOLERANCE = 0.05  # of the true length
LEAST_SPREAD = 0.1  # s, deviation of the lengths
MEDIAN = "median duration"
Column = tuple[list[float], list[float]]


def measure(inputs: Inputs, tap: str, seed: int, report: Reporter = silent) -> Answers:
    """Seconds of every test utterance at one tap, and its mask of speech and pauses (`measure_pauses`).

    Answers hold `duration.truth`, `duration.predicted` and `duration.median` (utterances,) in seconds; and the rows
    `duration.ids`, `duration.speakers`, `duration.heads`. Raises AttackError where lengths are unknown or all alike, or
    nobody is left to learn from.
    """
    test, training, notes = _timed(inputs, tap)
    folds = make_folds(test, training, inputs.folds, seed)
    capture = inputs.captures[tap]
    lengths = infer_lengths(capture, test, folds, seed, inputs.budget, report)
    for fold in folds:
        notes += [note for note in fold.notes if note not in notes]
    paused = measure_pauses(inputs, tap, seed, report)
    return Answers(
        {
            "duration.truth": seconds_of(test),
            "duration.predicted": lengths.predicted,
            "duration.median": lengths.median,
            **paused.arrays,
        },
        {
            "duration.ids": tuple(u.id for u in test),
            "duration.speakers": tuple(speakers_of(test)),
            "duration.heads": lengths.heads,
            **paused.rows,
        },
        (*notes, *(note for note in paused.notes if note not in notes)),
    )


def drafts(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> tuple[Draft, ...]:
    """MAE, R² and the share within 5%, then frame, onset and offset error, at each tap."""
    views = {tap: _view(answers, tap) for tap in dict.fromkeys(tap for tap, _ in answers)}
    made: list[Draft] = []
    for tap, view in views.items():
        if view is None:
            continue
        at = control_tap(inputs.captures, tap)
        other = None if at is None else views.get(at)
        explained = (
            None if other is None else FIGURES[1].estimate(other, other.predicted, inputs.seed)
        )
        control = judge_control(at, "duration", explained)
        own = FIGURES[1].estimate(view, view.predicted, inputs.seed)
        ceiling = views.get(CEILING_TAP) if tap != CEILING_TAP else None
        for figure in FIGURES:
            shown = None if other is None else figure.interval(other, inputs.seed)
            top = None if ceiling is None else figure.interval(ceiling, inputs.seed)
            finding = _finding(inputs, tap, view, figure, top, control.shown(tap, shown))
            made.append(
                Draft(
                    finding,
                    (figure.comparison(view),),
                    figure.scale,
                    inputs.seed,
                    control.passed,
                    control.words,
                    passes_itself=control.passed_by(own),
                )
            )
    return (*made, *pause_drafts(inputs, answers, FAMILY.name))


def lengths(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> tuple[Lengths, ...]:
    """True and inferred seconds at each tap, for a picture; the seeds' seconds averaged, as in the findings."""
    views = {tap: _view(answers, tap) for tap in dict.fromkeys(tap for tap, _ in answers)}
    return tuple(
        length_pairs(
            finding_id(FAMILY.name, tap, FIGURES[0].slug),
            *(inputs.system, tap, view.truth, view.predicted),
            np.random.default_rng([inputs.seed, 17]),
        )
        for tap, view in views.items()
        if view is not None
    )


@dataclass(frozen=True)
class _View:
    """What was answered at one tap, the seeds' seconds averaged."""

    truth: np.ndarray
    predicted: np.ndarray
    median: np.ndarray
    speakers: tuple[str, ...]
    heads: tuple[str, ...]
    by_seed: Mapping[int, float]  # mean absolute error, s
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Figure:
    """A figure of seconds as a ratio of sums over utterances; `sign` -1 where a lower ratio means more leakage."""

    metric: str
    slug: str
    unit: str
    leaks_when: Direction
    columns: Callable[[np.ndarray, np.ndarray], Column]
    sign: float
    scale: float = 1.0

    def estimate(self, view: _View, predicted: np.ndarray, seed: int) -> Estimate:
        rng = np.random.default_rng([seed, 13])
        if self.columns is _unexplained:
            return r_squared_speaker_bootstrap(view.truth, predicted, view.speakers, rng, DRAWS)
        clip = (0.0, float("inf")) if self.sign < 0 else (0.0, 1.0)
        columns = self.columns(view.truth, predicted)
        return speaker_bootstrap_ratio(*columns, view.speakers, rng, DRAWS, clip=clip)

    def interval(self, view: _View, seed: int) -> Interval:
        return Interval.of(self.estimate(view, view.predicted, seed), self.scale)

    def comparison(self, view: _View) -> RatioComparison:
        own, floor = (self.columns(view.truth, p) for p in (view.predicted, view.median))
        return RatioComparison(MEDIAN, own, floor, view.speakers, self.sign)


def _absolute(truth: np.ndarray, predicted: np.ndarray) -> Column:
    return np.abs(predicted - truth).tolist(), [1.0] * len(truth)


def _unexplained(truth: np.ndarray, predicted: np.ndarray) -> Column:
    """Squared errors over squared deviations from the mean: their ratio is 1 - R²."""
    return ((predicted - truth) ** 2).tolist(), ((truth - truth.mean()) ** 2).tolist()


def _within(truth: np.ndarray, predicted: np.ndarray) -> Column:
    # A guess at exactly the tolerance counts, whatever floating point makes of it.
    near = np.abs(predicted - truth) <= TOLERANCE * truth * (1 + 1e-9)
    return near.astype(float).tolist(), [1.0] * len(truth)


FIGURES = (
    _Figure("duration MAE", "mae", "s", "lower", _absolute, -1.0),
    _Figure("duration R²", "r2", "", "higher", _unexplained, -1.0),
    _Figure("share within 5%", "within-5-percent", "%", "higher", _within, 1.0, 100.0),
)


def _view(answers: Mapping[tuple[str, int], Answers], tap: str) -> _View | None:
    held = {s: a for (t, s), a in sorted(answers.items()) if t == tap}
    if not held:
        return None
    first = next(iter(held.values()))
    truth = first.arrays["duration.truth"]
    tables = {seed: a.arrays["duration.predicted"] for seed, a in held.items()}
    return _View(
        truth,
        np.mean(list(tables.values()), axis=0),
        first.arrays["duration.median"],
        first.rows["duration.speakers"],
        tuple(head for a in held.values() for head in a.rows["duration.heads"]),
        {seed: float(np.abs(table - truth).mean()) for seed, table in tables.items()},
        first.notes,
    )


def _finding(
    inputs: Inputs,
    tap: str,
    view: _View,
    figure: _Figure,
    ceiling: Interval | None,
    control: Mapping[str, Any],
) -> Finding:
    error = float(np.abs(view.predicted - view.truth).mean())
    used = ", ".join(f"{head} ({view.heads.count(head)})" for head in sorted(set(view.heads)))
    notes = [
        f"where the padding begins is found to {error / FRAME_SECONDS:.1f} frames of 20 ms on average",
        f"heads chosen on development speakers, by folds: {used}",
    ]
    if len(view.by_seed) > 1:
        each = ", ".join(f"{value:.3f}" for value in view.by_seed.values())
        notes.append(
            f"mean absolute error of each seed by itself: {each} s; together they are averaged"
        )
    return undecided(
        inputs,
        tap,
        FAMILY.name,
        figure.slug,
        ceiling=ceiling,
        question="Does the tensor tell how long the utterance was?",
        metric=figure.metric,
        unit=figure.unit,
        leaks_when=figure.leaks_when,
        estimate=figure.interval(view, inputs.seed),
        floors={MEDIAN: Interval.of(figure.estimate(view, view.median, inputs.seed), figure.scale)},
        utterances=len(view.truth),
        speakers=len(set(view.speakers)),
        seeds=tuple(view.by_seed),
        notes=(*notes, *view.notes),
        **control,
    )


def _timed(inputs: Inputs, tap: str) -> tuple[Corpus, Corpus | None, list[str]]:
    """Utterances whose length is known and whose tensors can be read."""
    capture = inputs.captures[tap]
    kept, notes = readable(capture, (u for u in inputs.test if u.duration))
    names = {u.id for u in kept}
    test = inputs.test.filter(lambda u: u.id in names)
    if not kept:
        raise AttackError(f"{inputs.test.name}: no utterance says how long it is; give its audio")
    if float(seconds_of(test).std()) < LEAST_SPREAD:
        raise AttackError(
            f"{inputs.test.name}: all {len(test)} utterances are equally long to {LEAST_SPREAD} s, so there is no"
            " length to find out; give recordings of several lengths"
        )
    if inputs.training is None:
        return test, None, list(notes)
    learnt, more = readable(capture, (u for u in inputs.training if u.duration))
    names = {u.id for u in learnt}
    return test, inputs.training.filter(lambda u: u.id in names), [*notes, *more]
