"""From masks of speech and pauses to figures: frame error, onset error and offset error, with floors and control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.comparisons import DRAWS, RatioComparison
from esrt_privacy.attacks.drafts import LEVEL, Draft, undecided
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.pauses import FLOORS
from esrt_privacy.attacks.positive_control import (
    CEILING_TAP,
    Control,
    control_tap,
    judge_control,
)
from esrt_privacy.findings import Interval
from esrt_privacy.measures.intervals import Estimate, speaker_bootstrap_ratio
from esrt_privacy.measures.speech_mask import FRAME_SECONDS, boundary_errors, frame_error


@dataclass(frozen=True)
class _View:
    """Errors of the attack and of each floor, all seeds: one row an utterance and seed."""

    errors: Mapping[
        str, np.ndarray
    ]  # (rows, 4): wrong frames, frames, onset and offset error in ms
    speakers: tuple[str, ...]
    seeds: tuple[int, ...]
    utterances: int
    readers: tuple[str, ...]


@dataclass(frozen=True)
class _Figure:
    metric: str
    slug: str
    unit: str
    question: str
    column: int
    scale: float

    def columns(self, rows: np.ndarray) -> tuple[list[float], list[float]]:
        over = rows[:, 1] if self.column == 0 else np.ones(len(rows))
        return rows[:, self.column].tolist(), over.tolist()

    def estimate(self, view: _View, name: str, seed: int) -> Estimate:
        rng = np.random.default_rng([seed, 11])
        clip = (0.0, 1.0) if self.column == 0 else (0.0, float("inf"))
        columns = self.columns(view.errors[name])
        return speaker_bootstrap_ratio(*columns, view.speakers, rng, DRAWS, clip=clip)


_TINY = 1e-9

FIGURES = (
    _Figure(
        "frame error", "frame-error", "%", "Does the tensor tell when there is speech?", 0, 100.0
    ),
    _Figure("onset error", "onset-error", "ms", "Does the tensor tell when speech begins?", 2, 1.0),
    _Figure("offset error", "offset-error", "ms", "Does the tensor tell when speech ends?", 3, 1.0),
)


def pause_drafts(
    inputs: Inputs, answers: Mapping[tuple[str, int], Answers], family: str
) -> list[Draft]:
    """Frame error, onset error and offset error at each tap; none where the question was not asked."""
    views = {tap: _view(answers, tap) for tap in dict.fromkeys(tap for tap, _ in answers)}
    made = []
    for tap, view in views.items():
        if view is None:
            continue
        at = control_tap(inputs.captures, tap)
        other = None if at is None else views.get(at)
        taken = None if other is None else _taken(inputs, other)
        control = judge_control(at, "speech mask", taken)
        ceiling = views.get(CEILING_TAP) if tap != CEILING_TAP else None
        for figure in FIGURES:
            row = _draft(
                inputs, tap, family, view, figure, control, _taken(inputs, view), other, ceiling
            )
            made.append(row)
    return made


def _draft(
    inputs: Inputs,
    tap: str,
    family: str,
    view: _View,
    figure: _Figure,
    control: Control,
    taken: Estimate,
    other: _View | None,
    ceiling: _View | None,
) -> Draft:
    def interval(of: _View, name: str = "attack") -> Interval:
        return Interval.of(figure.estimate(of, name, inputs.seed), figure.scale)

    finding = undecided(
        inputs,
        tap,
        family,
        figure.slug,
        ceiling=None if ceiling is None else interval(ceiling),
        question=figure.question,
        metric=figure.metric,
        unit=figure.unit,
        leaks_when="lower",
        estimate=interval(view),
        floors={name: interval(view, name) for name in FLOORS},
        utterances=view.utterances,
        speakers=len(set(view.speakers)),
        seeds=view.seeds,
        notes=(
            "truth is a mask by the energy of the true audio, 20 ms a frame; both floors know the right length",
            "chosen on development speakers, by folds: "
            + "; ".join(
                f"{name} ({view.readers.count(name)})" for name in sorted(set(view.readers))
            ),
        ),
        **control.shown(tap, None if other is None else interval(other)),
    )
    own = figure.columns(view.errors["attack"])
    return Draft(
        finding,
        tuple(
            RatioComparison(name, own, figure.columns(view.errors[name]), view.speakers, -1.0)
            for name in FLOORS
        ),
        figure.scale,
        inputs.seed,
        control.passed,
        control.words,
        passes_itself=control.passed_by(taken),
    )


def _taken(inputs: Inputs, view: _View) -> Estimate:
    """The share that the attack takes off the best floor's frame error: what the control's rule is about."""
    figure = FIGURES[0]
    floors = {name: figure.estimate(view, name, inputs.seed).value for name in FLOORS}
    best = min(floors, key=lambda name: floors[name])
    own, other = (figure.columns(view.errors[name]) for name in ("attack", best))
    comparison = RatioComparison(best, own, other, view.speakers, -1.0)
    taken = comparison.difference(LEVEL, np.random.default_rng([inputs.seed, 12]))
    whole = max(floors[best], _TINY)
    return taken._replace(value=taken.value / whole, low=taken.low / whole, high=taken.high / whole)


def _view(answers: Mapping[tuple[str, int], Answers], tap: str) -> _View | None:
    held = {
        s: a for (t, s), a in sorted(answers.items()) if t == tap and "pauses.attack" in a.arrays
    }
    if not held:
        return None
    errors = {
        name: np.concatenate([_errors(a, name) for a in held.values()])
        for name in ("attack", *FLOORS)
    }
    speakers = tuple(s for a in held.values() for s in a.rows["pauses.speakers"])
    readers = tuple(name for a in held.values() for name in a.rows["pauses.readers"])
    utterances = len(next(iter(held.values())).rows["pauses.ids"])
    return _View(errors, speakers, tuple(held), utterances, readers)


def _errors(found: Answers, name: str) -> np.ndarray:
    rows = []
    for true, guess, frames in zip(
        found.arrays["pauses.truth"],
        found.arrays[f"pauses.{name}"],
        found.arrays["pauses.frames"],
        strict=True,
    ):
        wrong = frame_error(true[:frames], guess[:frames]) * frames
        onset, offset = boundary_errors(true, guess)
        # A mask without any speech is wrong by the whole length, not left out.
        missed = frames * FRAME_SECONDS
        onset, offset = (missed if np.isnan(value) else value for value in (onset, offset))
        rows.append((wrong, frames, 1000 * onset, 1000 * offset))
    return np.array(rows, dtype=np.float64)
