"""From scored trials to figures: the EER of each attacker at each tap, beside floors, control and ceiling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.comparisons import Comparison, EerComparison
from esrt_privacy.attacks.confounds import one_session_a_speaker, synthetic_voices
from esrt_privacy.attacks.drafts import Draft, undecided
from esrt_privacy.attacks.heads import HEADS
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.positive_control import (
    CEILING_TAP,
    below_chance,
    control_tap,
    judge_control,
)
from esrt_privacy.attacks.speaker_controls import CONTROLS
from esrt_privacy.attacks.training_curves import still_falling
from esrt_privacy.findings import Attacker, BudgetPoint, Interval
from esrt_privacy.measures.intervals import Estimate
from esrt_privacy.measures.trial_bootstrap import eer_speaker_bootstrap
from esrt_privacy.measures.verification import eer, min_cllr, tpr_at_fpr

METRIC = "speaker EER"
CHANCE = "chance"
UNTRAINED: tuple[Attacker, ...] = ("lazy-informed", "ignorant")

ATTACKERS: dict[Attacker, str] = {
    "semi-informed": "{tap} of {system}: do heads trained on other people's tensors tell whose it is?",
    "lazy-informed": "{tap} of {system}: do pooled tensors tell whose it is without any training?",
    "cross-modal": "{tap} of {system}: does a recording of a person tell which tensors are theirs?",
    "ignorant": "Speech reconstructed from {tap} of {system}: does a speaker model hear whose voice it is?",
}


def drafts(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> tuple[Draft, ...]:
    """The EER of every attacker at every tap: on same-sex trials, and of the semi-informed on mixed ones too."""
    made: list[Draft] = []
    for tap in dict.fromkeys(tap for tap, _ in answers):
        for attacker in ATTACKERS:
            same_sex = _view(answers, tap, attacker, same_sex=True)
            mixed = _view(answers, tap, attacker, same_sex=False)
            if same_sex is not None:
                made.append(_draft(inputs, answers, tap, attacker, same_sex))
            if mixed is not None and (attacker == "semi-informed" or same_sex is None):
                made.append(_draft(inputs, answers, tap, attacker, mixed))
    return tuple(made)


def budget(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> tuple[BudgetPoint, ...]:
    """Development EER against training steps, of each tap's best network, over folds and seeds."""
    points = []
    for tap in dict.fromkeys(tap for tap, _ in answers):
        curves = _curves(answers, tap)
        if curves:
            best = min(curves, key=lambda place: list(curves[place].values())[-1])
            falls = best in _falling(answers, tap)
            points += [
                BudgetPoint(
                    tap=tap,
                    amount=steps,
                    amount_unit="steps",
                    metric=METRIC,
                    unit="%",
                    value=100 * value,
                    bound=falls and steps == max(curves[best]),
                )
                for steps, value in curves[best].items()
            ]
    return tuple(points)


@dataclass(frozen=True)
class _View:
    """One attacker's scores at one tap over one kind of trials, averaged over the seeds."""

    scores: np.ndarray  # (trials,)
    target: np.ndarray
    enrol: np.ndarray
    test: np.ndarray
    floors: Mapping[str, np.ndarray]
    same_sex: bool
    seeds: tuple[int, ...]
    by_seed: tuple[float, ...]  # EER
    heads: tuple[str, ...]  # chosen, one a fold and seed
    trial_list: str  # fingerprint
    notes: tuple[str, ...]

    def estimate(self, seed: int, scores: np.ndarray | None = None) -> Estimate:
        """EER, a share, of these scores or of others of the same trials."""
        used = self.scores if scores is None else scores
        rng = np.random.default_rng([seed, 1])
        return eer_speaker_bootstrap(used, self.target, self.enrol, self.test, rng)


def _view(
    answers: Mapping[tuple[str, int], Answers], tap: str, attacker: str, same_sex: bool
) -> _View | None:
    """None where the attacker was not run at this tap, or has no trials of both kinds."""
    held = {s: a for (t, s), a in sorted(answers.items()) if t == tap and attacker in a.arrays}
    if not held:
        return None
    first = next(iter(held.values()))
    kept = first.arrays["same_sex"] if same_sex else np.ones(len(first.arrays["target"]), bool)
    columns = [answer.arrays[attacker][kept] for answer in held.values()]
    target = first.arrays["target"][kept]
    scores = np.mean(columns, axis=0)
    scored = ~np.isnan(scores)
    if not target[scored].any() or target[scored].all():
        return None
    return _View(
        scores=scores,
        target=target,
        enrol=np.array(first.rows["enrol"])[kept],
        test=np.array(first.rows["test"])[kept],
        floors={name: first.arrays[name][kept] for name in CONTROLS if name in first.arrays},
        same_sex=same_sex,
        seeds=tuple(held),
        by_seed=tuple(eer(column[target], column[~target]) for column in columns),
        heads=tuple(name for a in held.values() for name in a.rows["heads"]),
        trial_list=first.rows["trial_list"][0],
        notes=tuple(dict.fromkeys(note for a in held.values() for note in a.notes)),
    )


def _draft(
    inputs: Inputs,
    answers: Mapping[tuple[str, int], Answers],
    tap: str,
    attacker: Attacker,
    view: _View,
) -> Draft:
    at = control_tap(inputs.captures, tap)
    other = None if at is None else _view(answers, at, attacker, view.same_sex)
    reached = None if other is None else other.estimate(inputs.seed)
    beyond = None if reached is None else below_chance(reached)
    control = judge_control(at, "untrained speaker" if attacker in UNTRAINED else "speaker", beyond)
    own = view.estimate(inputs.seed)
    ceiling = None if tap == CEILING_TAP else _view(answers, CEILING_TAP, attacker, view.same_sex)
    comparisons: list[Comparison] = [_comparison(CHANCE, view, None)]
    floors = {CHANCE: Estimate(0.5, 0.5, 0.5, len(set(view.test)), "by definition")}
    for name, scores in view.floors.items():
        floors[name] = view.estimate(inputs.seed, scores)
        comparisons.append(_comparison(name, view, scores))
    apart = one_session_a_speaker(inputs.test)
    kind = "same-sex" if view.same_sex else "mixed-sex"
    finding = undecided(
        inputs,
        tap,
        "speaker",
        f"{attacker}-eer" + ("" if view.same_sex else "-mixed"),
        attacker,
        None if ceiling is None else Interval.of(ceiling.estimate(inputs.seed), 100.0),
        question=ATTACKERS[attacker].format(tap=tap, system=inputs.system)
        + ("" if view.same_sex else " (men and women mixed)"),
        metric=METRIC,
        unit="%",
        leaks_when="lower",
        estimate=Interval.of(own, 100.0),
        floors={name: Interval.of(estimate, 100.0) for name, estimate in floors.items()},
        utterances=len(inputs.test),
        speakers=len(set(view.test) | set(view.enrol)),
        seeds=view.seeds,
        notes=(
            f"{int(view.target.sum())} target and {int((~view.target).sum())} non-target trials, {kind},"
            f" within folds of the list {view.trial_list[:16]}",
            *_figures(view),
            *(_training_notes(answers, tap, view) if attacker == "semi-informed" else ()),
            *((apart,) if apart else ()),
            *view.notes,
        ),
        **control.shown(tap, None if reached is None else Interval.of(reached, 100.0)),
    )
    return Draft(
        finding,
        tuple(comparisons),
        100.0,
        inputs.seed,
        control.passed,
        control.words,
        # A session that all of a speaker's utterances share would be taken for the voice.
        caution=synthetic_voices(inputs.test) or apart,
        passes_itself=control.passed_by(below_chance(own)),
        still_falling=attacker == "semi-informed" and _chosen_falls(answers, tap, view),
    )


def _comparison(name: str, view: _View, other: np.ndarray | None) -> EerComparison:
    return EerComparison(name, view.scores, other, view.target, view.enrol, view.test)


def _figures(view: _View) -> Iterator[str]:
    """What else the scores say, in words."""
    own, others = view.scores[view.target], view.scores[~view.target]
    words = [f"minCllr {min_cllr(own, others):.3f}"]
    for rate in (0.01, 0.001):
        found = tpr_at_fpr(own, others, rate).value
        if np.isfinite(found):
            words.append(f"{100 * found:.1f}% of targets accepted at {100 * rate:g}% false alarms")
    yield "; ".join(words)
    if len(view.by_seed) > 1:
        spread = ", ".join(f"{100 * value:.1f}" for value in view.by_seed)
        yield f"EER of each training seed alone: {spread}%; their scores are averaged"


def _training_notes(
    answers: Mapping[tuple[str, int], Answers], tap: str, view: _View
) -> Iterator[str]:
    chosen = Counter(view.heads).most_common()
    yield "head by development speakers: " + ", ".join(f"{name} ({n}x)" for name, n in chosen)
    falling = [HEADS[place] for place in _falling(answers, tap)]
    if falling:
        yield f"the development EER was still falling: {', '.join(falling)}"


def _falling(answers: Mapping[tuple[str, int], Answers], tap: str) -> list[int]:
    """Heads, by their place in HEADS, whose error was still falling over all folds and seeds."""
    curves: dict[int, list[list[float]]] = {}
    for (at, _), answer in answers.items():
        if at != tap or "curve" not in answer.arrays:
            continue
        rows = answer.arrays["curve"]
        for fold, place in np.unique(rows[:, :2], axis=0):
            own = rows[(rows[:, 0] == fold) & (rows[:, 1] == place)]
            curves.setdefault(int(place), []).append(own[own[:, 2].argsort(), 3].tolist())
    return [place for place in sorted(curves) if still_falling(curves[place])]


def _chosen_falls(answers: Mapping[tuple[str, int], Answers], tap: str, view: _View) -> bool:
    """Whether most folds' scores rest on a head that was still falling."""
    falling = {HEADS[place] for place in _falling(answers, tap)}
    resting = sum(bool(falling & set(name.split(" + "))) for name in view.heads)
    return 2 * resting > len(view.heads)


def _curves(answers: Mapping[tuple[str, int], Answers], tap: str) -> dict[int, dict[int, float]]:
    """Mean development EER by training steps, of each head that trains in steps (by its place in HEADS)."""
    found: dict[int, dict[int, list[float]]] = {}
    for (at, _), answer in answers.items():
        if at != tap or "curve" not in answer.arrays:
            continue
        for _, place, steps, value in answer.arrays["curve"]:
            if HEADS[int(place)] != "linear" and np.isfinite(value):
                found.setdefault(int(place), {}).setdefault(int(steps), []).append(float(value))
    return {
        place: {steps: float(np.mean(values)) for steps, values in sorted(curve.items())}
        for place, curve in sorted(found.items())
    }
