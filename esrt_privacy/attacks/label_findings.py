"""From answers to a label to figures: balanced accuracy, macro-F1 and bits, with floors, control and ceiling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.comparisons import (
    DRAWS,
    AccuracyComparison,
    Comparison,
    RatioComparison,
    names_of,
)
from esrt_privacy.attacks.drafts import LEVEL, Draft, undecided
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.label_answers import Question
from esrt_privacy.attacks.label_controls import SMOOTHING
from esrt_privacy.attacks.label_view import LabelView, label_view
from esrt_privacy.attacks.positive_control import (
    CEILING_TAP,
    Control,
    control_tap,
    judge_control,
)
from esrt_privacy.findings import Attacker, BudgetPoint, Finding, Interval
from esrt_privacy.measures.classification import (
    balanced_accuracy_speaker_bootstrap,
    classification_replicates,
    macro_f1_of,
)
from esrt_privacy.measures.information import at_least_zero
from esrt_privacy.measures.intervals import Estimate, speaker_bootstrap_ratio
from esrt_privacy.measures.replicates import Replicates

ACCURACY, MACRO_F1, BITS = FIGURES = ("balanced accuracy", "macro-F1", "mutual information")
CHANCE = "chance"
GUESSED = "answers dealt out by lot"


def label_drafts(
    inputs: Inputs,
    answers: Mapping[tuple[str, int], Answers],
    family: str,
    question: Question,
    words: str,
    notes: Sequence[str] = (),
    caution: str = "",
    attacker: Attacker = "semi-informed",
    rows: str = "",
    figures: Sequence[str] = FIGURES,
) -> list[Draft]:
    """A draft for each tap and each of `figures`, from the answers' `rows` (those of the question's name if empty)."""
    rows = rows or question.name
    kinds = [kind for kind in (_Accuracy, _MacroF1, _Bits) if kind.metric in figures]
    made: list[Draft] = []
    for tap in dict.fromkeys(tap for tap, _ in answers):
        view = label_view(answers, tap, rows)
        if view is None:
            continue
        at = control_tap(inputs.captures, tap)
        control_view = None if at is None else label_view(answers, at, rows)
        control = _judged(inputs, at, control_view, question.name)
        own = _way(inputs, view)
        ceiling = None if tap == CEILING_TAP else label_view(answers, CEILING_TAP, rows)
        for figure in (kind(inputs.seed) for kind in kinds):
            shown = None if control_view is None else figure.interval(control_view)
            finding = _finding(
                inputs,
                tap,
                family,
                question.name,
                attacker,
                words,
                view,
                figure,
                ceiling,
                notes,
                control.shown(tap, shown),
            )
            made.append(
                Draft(
                    finding,
                    figure.comparisons(view),
                    figure.scale,
                    inputs.seed,
                    control.passed,
                    control.words,
                    caution,
                    control.passed_by(own),
                    view.falling,
                )
            )
    return made


def label_budget(answers: Mapping[tuple[str, int], Answers], name: str) -> tuple[BudgetPoint, ...]:
    """Development error of the network heads by training steps, the mean over folds and seeds.

    Of each the least so far: that state is what the attacker keeps, also where a training ended before others.
    """
    curves: dict[str, list[list[tuple[int, float]]]] = {}
    for (tap, _), found in sorted(answers.items()):
        rows = found.arrays.get(f"{name}.curve", np.zeros((0, 3)))
        for fold in np.unique(rows[:, 0]):
            own = [(int(steps), float(error)) for _, steps, error in rows[rows[:, 0] == fold]]
            curves.setdefault(tap, []).append(own)
    points: dict[tuple[str, int], list[float]] = {}
    for tap, held in curves.items():
        for steps in sorted({steps for curve in held for steps, _ in curve}):
            least = (min((e for at, e in curve if at <= steps), default=None) for curve in held)
            points[tap, steps] = [error for error in least if error is not None]
    last = dict(sorted(points))  # a tap's later steps take the place of earlier ones
    views = {tap: label_view(answers, tap, name) for tap in last}
    falling = {tap for tap, view in views.items() if view is not None and view.falling}
    return tuple(
        BudgetPoint(
            tap=tap,
            amount=steps,
            amount_unit="steps",
            metric=f"cross-entropy of {name} on unseen people",
            unit="nats",
            value=float(np.mean(errors)),
            bound=tap in falling and steps == last[tap],
        )
        for (tap, steps), errors in sorted(points.items())
    )


def _judged(inputs: Inputs, at: str | None, view: LabelView | None, name: str) -> Control:
    return judge_control(at, name, None if view is None else _way(inputs, view))


def _way(inputs: Inputs, view: LabelView) -> Estimate:
    """How much of the way from chance to certainty the balanced accuracy has gone."""
    estimate = _Accuracy(inputs.seed).estimate(view)
    chance = 1 / len(view.classes)
    return Estimate(
        (estimate.value - chance) / (1 - chance),
        (estimate.low - chance) / (1 - chance),
        (estimate.high - chance) / (1 - chance),
        estimate.n,
        estimate.method,
    )


class _Accuracy:
    metric, slug, unit, scale = ACCURACY, "balanced-accuracy", "%", 100.0

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def estimate(self, view: LabelView, logs: np.ndarray | None = None) -> Estimate:
        guesses = view.answered if logs is None else view.guessed(logs)
        return balanced_accuracy_speaker_bootstrap(
            view.truth, guesses, view.speakers, np.random.default_rng([self.seed, 5]), DRAWS
        )

    def interval(self, view: LabelView, logs: np.ndarray | None = None) -> Interval:
        return Interval.of(self.estimate(view, logs), self.scale)

    def floors(self, view: LabelView) -> dict[str, Interval]:
        chance = {CHANCE: Interval(value=self.scale / len(view.classes), method="exact")}
        return chance | {name: self.interval(view, logs) for name, logs in view.floors.items()}

    def comparisons(self, view: LabelView) -> tuple[Comparison, ...]:
        own = view.answered
        floors: dict[str, Any] = {CHANCE: 1 / len(view.classes)}
        floors |= {name: view.guessed(logs) for name, logs in view.floors.items()}
        return tuple(
            AccuracyComparison(name, view.truth, own, floor, view.speakers)
            for name, floor in floors.items()
        )


@dataclass(frozen=True)
class _F1Comparison:
    """The macro-F1 of the attack's answers against that of other answers."""

    floor: str
    view: LabelView
    other: np.ndarray

    def difference(self, level: float, rng: np.random.Generator) -> Estimate:
        view = self.view
        return classification_replicates(
            macro_f1_of, view.truth, view.answered, view.speakers, rng, DRAWS, beside=self.other
        ).estimate(level)

    @property
    def speakers(self) -> tuple[str, ...]:
        return names_of(self.view.speakers)

    def leakage(self, rng: np.random.Generator) -> Replicates:
        view = self.view
        return classification_replicates(
            macro_f1_of, view.truth, view.answered, view.speakers, rng, DRAWS
        )


class _MacroF1(_Accuracy):
    metric, slug = MACRO_F1, "macro-f1"

    def estimate(self, view: LabelView, logs: np.ndarray | None = None) -> Estimate:
        guesses = view.answered if logs is None else view.guessed(logs)
        return self._of(view, guesses)

    def floors(self, view: LabelView) -> dict[str, Interval]:
        dealt = {GUESSED: Interval.of(self._of(view, self._dealt(view)), self.scale)}
        return dealt | {name: self.interval(view, logs) for name, logs in view.floors.items()}

    def comparisons(self, view: LabelView) -> tuple[Comparison, ...]:
        floors = {GUESSED: self._dealt(view)}
        floors |= {name: view.guessed(logs) for name, logs in view.floors.items()}
        return tuple(_F1Comparison(name, view, floor) for name, floor in floors.items())

    def _of(self, view: LabelView, guesses: np.ndarray) -> Estimate:
        return classification_replicates(
            macro_f1_of,
            view.truth,
            guesses,
            view.speakers,
            np.random.default_rng([self.seed, 6]),
            DRAWS,
        ).estimate(LEVEL)

    def _dealt(self, view: LabelView) -> np.ndarray:
        return np.random.default_rng([self.seed, 7]).permutation(view.answered)


class _Bits(_Accuracy):
    metric, slug, unit, scale = BITS, "bits", "bit", 1.0

    def estimate(self, view: LabelView, logs: np.ndarray | None = None) -> Estimate:
        gains, weights = view.gains(view.logs if logs is None else logs)
        rng, bounds = np.random.default_rng([self.seed, 8]), bit_bounds(len(view.classes))
        bits = speaker_bootstrap_ratio(
            gains * weights, weights, view.speakers, rng, DRAWS, clip=bounds
        )
        # Predictions that are worse than the frequencies tell nothing, not less than nothing.
        return bits._replace(
            value=at_least_zero(bits.value),
            low=at_least_zero(bits.low),
            high=at_least_zero(bits.high),
        )

    def floors(self, view: LabelView) -> dict[str, Interval]:
        chance = {CHANCE: Interval(value=0.0, method="exact")}
        return chance | {name: self.interval(view, logs) for name, logs in view.floors.items()}

    def comparisons(self, view: LabelView) -> tuple[Comparison, ...]:
        gains, weights = view.gains(view.logs)
        mass = weights.tolist()
        own = ((gains * weights).tolist(), mass)
        others = {CHANCE: np.zeros_like(gains)}
        others |= {name: view.gains(logs)[0] for name, logs in view.floors.items()}
        least, most = bit_bounds(len(view.classes))
        return tuple(
            RatioComparison(
                name,
                own,
                ((bits * weights).tolist(), mass),
                view.speakers,
                # Zero is all that chance can tell.
                clip=(least, most) if name == CHANCE else (least - most, most - least),
            )
            for name, bits in others.items()
        )


def bit_bounds(classes: int) -> tuple[float, float]:
    """Bits that one answer can tell of one of `classes` values: least and most, as `spread_over` smooths it."""
    return float(np.log2(SMOOTHING)), float(np.log2((1 - SMOOTHING) * classes + SMOOTHING))


def _finding(
    inputs: Inputs,
    tap: str,
    family: str,
    name: str,
    attacker: Attacker,
    words: str,
    view: LabelView,
    figure: _Accuracy,
    ceiling: LabelView | None,
    notes: Sequence[str],
    control: Mapping[str, Any],
) -> Finding:
    # A language is the family's own question; an attribute says which one it is.
    part = "" if name == family else f"{name.replace(' ', '-')}-"
    part = part if attacker == "semi-informed" else f"{attacker}-{part}"
    return undecided(
        inputs,
        tap,
        family,
        part + figure.slug,
        attacker,
        ceiling=None if ceiling is None else figure.interval(ceiling),
        question=words,
        metric=figure.metric,
        unit=figure.unit,
        leaks_when="higher",
        estimate=figure.interval(view),
        floors=figure.floors(view),
        utterances=len(view.truth),
        speakers=len(set(view.speakers)),
        seeds=tuple(view.by_seed),
        notes=(*_notes(name, view, figure), *notes, *view.notes),
        **control,
    )


def _notes(name: str, view: LabelView, figure: _Accuracy) -> list[str]:
    notes = [
        f"{len(view.classes)} values of {name}: {', '.join(view.classes[:12])}"
        f"{' ...' if len(view.classes) > 12 else ''}",
    ]
    if view.heads:
        used = ", ".join(f"{head} ({view.heads.count(head)})" for head in sorted(set(view.heads)))
        notes.append(f"heads chosen on development speakers, by folds: {used}")
    if len(view.by_seed) > 1:
        each = ", ".join(f"{100 * value:.1f}" for value in view.by_seed.values())
        notes.append(f"balanced accuracy of each seed by itself: {each}%; together they vote")
    if figure.metric == _Bits.metric:
        notes.append(
            "a lower bound, H minus the cross-entropy of the attacker's probabilities, with all values equally likely"
        )
    return notes
