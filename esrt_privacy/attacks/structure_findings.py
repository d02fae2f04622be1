"""From groups found without labels to figures: NMI and purity, over shuffled labels and groups by length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.clustering_comparisons import (
    Agreement,
    ClusteringComparison,
    PermutationComparison,
    agreement_estimate,
)
from esrt_privacy.attacks.comparisons import Comparison
from esrt_privacy.attacks.confounds import one_session_a_speaker, synthetic_voices
from esrt_privacy.attacks.drafts import LEVEL, Draft, undecided
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.positive_control import (
    CEILING_TAP,
    Control,
    control_tap,
    judge_control,
)
from esrt_privacy.findings import Interval
from esrt_privacy.measures.intervals import Estimate

SHUFFLED = "shuffled labels"
DURATION_ONLY = "duration only"


@dataclass(frozen=True)
class Target:
    """What the groups are compared with."""

    name: str
    question: str


def structure_drafts(
    inputs: Inputs, answers: Mapping[tuple[str, int], Answers], targets: Sequence[Target]
) -> tuple[Draft, ...]:
    """NMI and purity of each target at each tap; of several seeds the most stable clustering counts."""
    made: list[Draft] = []
    for tap in dict.fromkeys(tap for tap, _ in answers):
        for target in targets:
            view = _view(inputs, answers, tap, target.name)
            if view is not None:
                made += _target_drafts(inputs, answers, tap, target, view)
    return tuple(made)


@dataclass(frozen=True)
class _View:
    """One target's answers at one tap: the utterances whose label is known."""

    truth: tuple[str, ...]
    clusters: np.ndarray
    duration_only: np.ndarray
    speakers: tuple[str, ...]
    groups: tuple[str, ...] | None
    method: str
    stability: float
    seeds: tuple[int, ...]
    notes: tuple[str, ...]


def _view(
    inputs: Inputs, answers: Mapping[tuple[str, int], Answers], tap: str, name: str
) -> _View | None:
    held = {
        s: a for (t, s), a in sorted(answers.items()) if t == tap and f"{name}.clusters" in a.arrays
    }
    if not held:
        return None
    seed = max(held, key=lambda s: float(held[s].arrays[f"{name}.stability"][0]))
    found = held[seed]
    truth = found.rows[f"{name}.truth"]
    known = [i for i, label in enumerate(truth) if label]
    labels = tuple(truth[i] for i in known)
    speakers = tuple(found.rows["speakers"][i] for i in known)
    # A voice's utterances of one label move together, so that a group of voices is no evidence of a label.
    groups = (
        None
        if name == "speaker"
        else tuple(f"{s}\0{t}" for s, t in zip(speakers, labels, strict=True))
    )
    return _View(
        labels,
        found.arrays[f"{name}.clusters"][known],
        found.arrays[f"{name}.duration_only"][known],
        speakers,
        groups,
        found.rows[f"{name}.method"][0],
        float(found.arrays[f"{name}.stability"][0]),
        tuple(held),
        found.notes,
    )


def _target_drafts(
    inputs: Inputs,
    answers: Mapping[tuple[str, int], Answers],
    tap: str,
    target: Target,
    view: _View,
) -> list[Draft]:
    from esrt_privacy.measures.clustering import normalised_mutual_information_of, purity_of

    at = control_tap(inputs.captures, tap)
    other = None if at is None else _view(inputs, answers, at, target.name)
    control = judge_control(at, "structure", None if other is None else _beyond(inputs, other))
    ceiling = _view(inputs, answers, CEILING_TAP, target.name) if tap != CEILING_TAP else None
    return [
        _draft(inputs, tap, target, view, other, ceiling, control, _beyond(inputs, view), *figure)
        for figure in (
            ("NMI", "nmi", normalised_mutual_information_of, "", 1.0),
            ("purity", "purity", purity_of, "%", 100.0),
        )
    ]


def _draft(
    inputs: Inputs,
    tap: str,
    target: Target,
    view: _View,
    other: _View | None,
    ceiling: _View | None,
    control: Control,
    own: Estimate,
    metric: str,
    slug: str,
    measure: Agreement,
    unit: str,
    scale: float,
) -> Draft:
    shuffled = _shuffled(measure, view)
    floors = {
        SHUFFLED: Interval.of(
            shuffled.floor_estimate(np.random.default_rng([inputs.seed, 4])), scale
        )
    }
    comparisons: list[Comparison] = [shuffled]
    if target.name != "duration" and bool((view.duration_only >= 0).all()):
        floors[DURATION_ONLY] = _interval(measure, view, view.duration_only, scale)
        comparisons.append(
            ClusteringComparison(
                DURATION_ONLY,
                measure,
                view.truth,
                view.clusters,
                view.duration_only,
                view.speakers,
            )
        )
    figure = None if other is None else _interval(measure, other, other.clusters, scale)
    finding = undecided(
        inputs,
        tap,
        "structure",
        f"{target.name}-{slug}",
        "ignorant",
        None if ceiling is None else _interval(measure, ceiling, ceiling.clusters, scale),
        question=target.question,
        metric=metric,
        unit=unit,
        leaks_when="higher",
        estimate=_interval(measure, view, view.clusters, scale),
        floors=floors,
        utterances=len(view.truth),
        speakers=len(set(view.speakers)),
        seeds=view.seeds,
        notes=(*_notes(target, view), *view.notes),
        **control.shown(tap, figure),
    )
    caution = _caution(inputs, target, view)
    return Draft(
        finding,
        tuple(comparisons),
        scale,
        inputs.seed,
        control.passed,
        control.words,
        caution,
        control.passed_by(own),
    )


def _beyond(inputs: Inputs, view: _View) -> Estimate:
    """How far the NMI lies above that of shuffled labels: what the control's rule is about."""
    from esrt_privacy.measures.clustering import normalised_mutual_information_of

    comparison = _shuffled(normalised_mutual_information_of, view)
    return comparison.difference(LEVEL, np.random.default_rng([inputs.seed, 3]))


def _shuffled(measure: Agreement, view: _View) -> PermutationComparison:
    return PermutationComparison(
        SHUFFLED, measure, view.truth, view.clusters, view.groups, view.speakers
    )


def _interval(measure: Agreement, view: _View, clusters: np.ndarray, scale: float) -> Interval:
    return Interval.of(agreement_estimate(measure, view.truth, clusters, view.speakers), scale)


def _notes(target: Target, view: _View) -> list[str]:
    notes = [
        f"{len(set(view.truth))} groups by {view.method}, the most stable of those tried (adjusted Rand index"
        f" {view.stability:.2f} between subsamples)"
    ]
    if target.name == "duration":
        notes.append("lengths in three parts of equally many utterances")
    return notes


def _caution(inputs: Inputs, target: Target, view: _View) -> str:
    if target.name == "speaker":
        return synthetic_voices(inputs.test) or one_session_a_speaker(inputs.test)
    return synthetic_voices(inputs.test) if target.name == "sex" else ""
