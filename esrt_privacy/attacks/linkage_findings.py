"""From linked pairs and searches to figures: EER of pairs, and how often the right recording is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.comparisons import Comparison, EerComparison, RatioComparison
from esrt_privacy.attacks.confounds import one_session_a_speaker, synthetic_voices
from esrt_privacy.attacks.drafts import Draft, undecided
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.positive_control import (
    CEILING_TAP,
    Control,
    below_chance,
    control_tap,
    judge_control,
)
from esrt_privacy.findings import Interval
from esrt_privacy.measures.intervals import Estimate, paired_difference, speaker_bootstrap_ratio
from esrt_privacy.measures.trial_bootstrap import eer_speaker_bootstrap

CHANCE, DURATION = "chance", "duration only"
PAIRS = {
    "person": "Two tensors at {tap} of {system}: do they come from one person?",
    "recording": "Two tensors at {tap} of {system}: do they come from one recording?",
}
SEARCHES = {
    1: "Which of N recordings is a tensor at {tap} of {system} of: is the first guess right?",
    10: "Which of N recordings is a tensor at {tap} of {system} of: is it among the first ten guesses?",
}


def drafts(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> tuple[Draft, ...]:
    """EER of linked pairs, and top-1 and top-10 of the search, at every tap."""
    made: list[Draft] = []
    for tap in dict.fromkeys(tap for tap, _ in answers):
        for question in PAIRS:
            pairs = _pairs(answers, tap, question)
            if pairs is not None:
                made.append(_pair_draft(inputs, answers, tap, question, pairs))
        for k in SEARCHES:
            search = _search(answers, tap, k)
            if search is not None:
                made.append(_search_draft(inputs, answers, tap, k, search))
    return tuple(made)


@dataclass(frozen=True)
class _Pairs:
    """Scores of pairs, averaged over the seeds."""

    scores: np.ndarray
    by_duration: np.ndarray
    target: np.ndarray
    first: np.ndarray
    second: np.ndarray
    seeds: tuple[int, ...]
    notes: tuple[str, ...]

    def estimate(self, seed: int, scores: np.ndarray | None = None) -> Estimate:
        """EER, a share."""
        used = self.scores if scores is None else scores
        rng = np.random.default_rng([seed, 1])
        return eer_speaker_bootstrap(used, self.target, self.first, self.second, rng)


@dataclass(frozen=True)
class _Search:
    """Hits of a search, averaged over the seeds; by chance; and by the true length, which no tensor states."""

    hits: np.ndarray
    by_chance: np.ndarray
    by_length: np.ndarray
    speakers: tuple[str, ...]
    seeds: tuple[int, ...]
    notes: tuple[str, ...]

    def estimate(self, seed: int, hits: np.ndarray | None = None) -> Estimate:
        """Mean over the utterances, a share."""
        used = self.hits if hits is None else hits
        rng = np.random.default_rng([seed, 1])
        return speaker_bootstrap_ratio(
            used, np.ones(len(used)), self.speakers, rng, clip=(0.0, 1.0)
        )


def _held(answers: Mapping[tuple[str, int], Answers], tap: str, name: str) -> dict[int, Answers]:
    return {s: a for (t, s), a in sorted(answers.items()) if t == tap and name in a.arrays}


def _notes(held: Mapping[int, Answers]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(note for answer in held.values() for note in answer.notes))


def _pairs(answers: Mapping[tuple[str, int], Answers], tap: str, question: str) -> _Pairs | None:
    held = _held(answers, tap, f"{question}.scores")
    if not held:
        return None
    one = next(iter(held.values()))
    return _Pairs(
        np.mean([a.arrays[f"{question}.scores"] for a in held.values()], axis=0),
        one.arrays[f"{question}.duration only"],
        one.arrays[f"{question}.target"],
        np.array(one.rows[f"{question}.first"]),
        np.array(one.rows[f"{question}.second"]),
        tuple(held),
        _notes(held),
    )


def _search(answers: Mapping[tuple[str, int], Answers], tap: str, k: int) -> _Search | None:
    held = _held(answers, tap, f"search.top-{k}")
    if not held:
        return None
    one = next(iter(held.values()))
    return _Search(
        np.mean([a.arrays[f"search.top-{k}"] for a in held.values()], axis=0),
        one.arrays[f"search.top-{k} by chance"],
        one.arrays[f"search.top-{k} by duration"],
        one.rows["search.speakers"],
        tuple(held),
        _notes(held),
    )


def _pair_draft(
    inputs: Inputs,
    answers: Mapping[tuple[str, int], Answers],
    tap: str,
    question: str,
    view: _Pairs,
) -> Draft:
    at = control_tap(inputs.captures, tap)
    other = None if at is None else _pairs(answers, at, question)
    reached = None if other is None else other.estimate(inputs.seed)
    control = judge_control(at, "linkage", None if reached is None else below_chance(reached))
    own = view.estimate(inputs.seed)
    ceiling = None if tap == CEILING_TAP else _pairs(answers, CEILING_TAP, question)
    comparisons: list[Comparison] = [
        EerComparison(CHANCE, view.scores, None, view.target, view.first, view.second)
    ]
    floors = {CHANCE: Estimate(0.5, 0.5, 0.5, len(set(view.first)), "by definition")}
    if np.isfinite(view.by_duration).all():
        floors[DURATION] = view.estimate(inputs.seed, view.by_duration)
        comparisons.append(
            EerComparison(
                DURATION, view.scores, view.by_duration, view.target, view.first, view.second
            )
        )
    apart = one_session_a_speaker(inputs.test) if question == "person" else ""
    counts = f"{int(view.target.sum())} pairs of one {question}, {int((~view.target).sum())} of two"
    return _draft(
        inputs,
        tap,
        f"same-{question}",
        PAIRS[question],
        "linkage EER",
        own,
        floors,
        tuple(comparisons),
        control,
        control.passed_by(below_chance(own)),
        reached,
        None if ceiling is None else ceiling.estimate(inputs.seed),
        view.seeds,
        (counts, *((apart,) if apart else ()), *view.notes),
        synthetic_voices(inputs.test) or apart,
    )


def _search_draft(
    inputs: Inputs,
    answers: Mapping[tuple[str, int], Answers],
    tap: str,
    k: int,
    view: _Search,
) -> Draft:
    at = control_tap(inputs.captures, tap)
    # The control of both figures is the first ten: the first guess says too little where N is small.
    at_ten = None if at is None else _search(answers, at, 10)
    beyond = None if at_ten is None else _beyond_chance(inputs, at_ten)
    control = judge_control(at, "recording search", beyond)
    own = _search(answers, tap, 10)
    other = None if at is None else _search(answers, at, k)
    ceiling = None if tap == CEILING_TAP else _search(answers, CEILING_TAP, k)
    column = view.hits.tolist(), [1.0] * len(view.hits)
    share = float(view.by_chance.mean())
    chance = RatioComparison(CHANCE, column, (view.by_chance.tolist(), column[1]), view.speakers)
    # No floor: a tensor of fixed size states no length, so that finding a recording by it is a leak all the same.
    by_length = (
        (f"somebody told its true length would find it in {100 * view.by_length.mean():.0f}%",)
        if np.isfinite(view.by_length).all()
        else ()
    )
    return _draft(
        inputs,
        tap,
        f"recording-top-{k}",
        SEARCHES[k],
        f"top-{k}",
        view.estimate(inputs.seed),
        {CHANCE: Estimate(share, share, share, len(view.hits), "by definition")},
        (chance,),
        control,
        own is not None and control.passed_by(_beyond_chance(inputs, own)),
        None if other is None else other.estimate(inputs.seed),
        None if ceiling is None else ceiling.estimate(inputs.seed),
        view.seeds,
        (
            "with the public edge model and the very recording the tensor is the same, bit by bit: there every"
            " first guess is right",
            *by_length,
            *view.notes,
        ),
        "",
    )


def _draft(
    inputs: Inputs,
    tap: str,
    slug: str,
    question: str,
    metric: str,
    estimate: Estimate,
    floors: Mapping[str, Estimate],
    comparisons: tuple[Comparison, ...],
    control: Control,
    passes_itself: bool,
    reached: Estimate | None,
    ceiling: Estimate | None,
    seeds: tuple[int, ...],
    notes: tuple[str, ...],
    caution: str,
) -> Draft:
    finding = undecided(
        inputs,
        tap,
        "linkage",
        slug,
        ceiling=None if ceiling is None else Interval.of(ceiling, 100.0),
        question=question.format(tap=tap, system=inputs.system),
        metric=metric,
        unit="%",
        leaks_when="lower" if metric == "linkage EER" else "higher",
        estimate=Interval.of(estimate, 100.0),
        floors={name: Interval.of(floor, 100.0) for name, floor in floors.items()},
        utterances=len(inputs.test),
        speakers=len(inputs.test.speakers),
        seeds=seeds,
        notes=notes,
        **control.shown(tap, None if reached is None else Interval.of(reached, 100.0)),
    )
    passed, words = control.passed, control.words
    return Draft(finding, comparisons, 100.0, inputs.seed, passed, words, caution, passes_itself)


def _beyond_chance(inputs: Inputs, search: _Search) -> Estimate:
    """How much more often than by chance the recording is found, a share."""
    ones, rng = np.ones(len(search.hits)), np.random.default_rng([inputs.seed, 1])
    return paired_difference(
        search.hits, ones, search.by_chance, ones, search.speakers, rng, clip=(-1.0, 1.0)
    )
