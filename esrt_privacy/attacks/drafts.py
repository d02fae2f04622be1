"""Findings before their verdict, and the one place where verdicts are given: Holm over all of an audit's findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from esrt_privacy.attacks.base import OVERRULED, SMALLEST_EFFECT, Evidence, decide, overruled
from esrt_privacy.attacks.comparisons import Comparison
from esrt_privacy.attacks.positive_control import CEILING_TAP, NAMES
from esrt_privacy.attacks.training_curves import STILL_FALLING
from esrt_privacy.findings import Attacker, Finding, Interval
from esrt_privacy.measures.intervals import Estimate

if TYPE_CHECKING:
    from esrt_privacy.attacks.inputs import Inputs

LEVEL = 0.95
UNDECIDED = "not yet judged"  # a draft's reason


@dataclass(frozen=True)
class Draft:
    """A figure with everything that its verdict will rest on.

    Raises ValueError for a metric whose smallest effect is not declared in `base.SMALLEST_EFFECT`.
    """

    finding: Finding  # complete but for verdict and reason
    comparisons: tuple[Comparison, ...]  # with every floor; it leaks only where it beats each one
    scale: float  # from the comparisons' unit to the finding's
    seed: int
    control_passed: bool | None
    control_words: str
    caution: str = ""  # why no verdict can rest on it: then it is inconclusive
    passes_itself: bool = False  # the control's rule, at its own tap (`base.overruled`)
    still_falling: bool = False  # more training would have found more: a bound, not a value

    def __post_init__(self) -> None:
        if self.finding.metric not in SMALLEST_EFFECT:
            raise ValueError(
                f"{self.finding.id}: no smallest effect of '{self.finding.metric}' is declared"
            )


def finding_id(attack: str, tap: str, slug: str) -> str:
    """The id of a family's figure at a tap."""
    return f"{attack}.{tap.replace('.', '-')}.{slug}"


def undecided(
    inputs: Inputs,
    tap: str,
    attack: str,
    slug: str,
    attacker: Attacker = "semi-informed",
    ceiling: Interval | None = None,
    **figure: Any,
) -> Finding:
    """A family's finding at a tap before its verdict: whose it is, with the fields of its `figure` as they are.

    Its id is that of `finding_id`; the ceiling is the attack at the log-mel.
    """
    return Finding(
        id=finding_id(attack, tap, slug),
        system=inputs.system,
        system_fingerprint=inputs.captures[tap].system_fingerprint,
        corpus=inputs.test.name,
        tap=tap,
        attacker=attacker,
        position="network plaintext",
        attack=attack,
        ceiling=ceiling,
        ceiling_name="" if ceiling is None else NAMES[CEILING_TAP],
        verdict="untested",
        reason=UNDECIDED,
        **figure,
    )


def judged(drafts: Sequence[Draft]) -> tuple[Finding, ...]:
    """Every draft's finding with its verdict, in order; the same drafts give the same findings.

    To leak is to beat each floor, so a draft stands or falls with its hardest floor (an intersection-union test,
    Berger 1982, doi:10.1080/00401706.1982.10487790). Over the drafts runs Holm's step-down procedure (Holm 1979) by
    intervals instead of p-values: as long as any draft left stands at the level that allows for all drafts left, one of
    them falls. That gives Holm's own result, with few bootstraps: no search for each draft's p-value.
    """
    plain = [_differences(draft, LEVEL) for draft in drafts]
    strength = [min(map(_strength, rows), default=-np.inf) for rows in plain]
    # What does not stand alone stands at no level; the strongest first, for it is the likeliest to stand.
    left = sorted((i for i, s in enumerate(strength) if s > 1), key=lambda i: -strength[i])
    corrected: dict[int, float] = {}
    while left:
        level = 1 - (1 - LEVEL) / (len(drafts) - len(corrected))
        bounds = ((i, min(e.low for e in _differences(drafts[i], level))) for i in left)
        fallen = next(((i, low) for i, low in bounds if low > 0), None)
        if fallen is None:
            break
        corrected[fallen[0]] = fallen[1]
        left.remove(fallen[0])
    return tuple(
        _with_verdict(draft, _evidence(draft, plain[i], corrected.get(i)))
        for i, draft in enumerate(drafts)
    )


def _differences(draft: Draft, level: float) -> list[Estimate]:
    # The same draws for every floor and level: intervals of growing level then contain one another.
    return [
        comparison.difference(level, np.random.default_rng([draft.seed, 1]))
        for comparison in draft.comparisons
    ]


def _strength(estimate: Estimate) -> float:
    """How many half-widths the difference lies above zero; more than 1 where its interval excludes zero."""
    if not np.isfinite(estimate.low) or estimate.value <= estimate.low:
        return -np.inf
    return estimate.value / (estimate.value - estimate.low)


def _evidence(draft: Draft, plain: Sequence[Estimate], corrected: float | None) -> Evidence:
    """The comparison that decides: with the strongest floor, unless only another one is not beaten."""
    if not plain or not all(np.isfinite(estimate.low) for estimate in plain):
        return Evidence(None, None, None, None)
    order = sorted(range(len(plain)), key=lambda k: plain[k].value)
    unbeaten = [k for k in order if not plain[k].low > 0]
    decisive = order[0] if not unbeaten or order[0] in unbeaten else unbeaten[0]
    estimate, scale = plain[decisive], draft.scale
    return Evidence(
        estimate.value * scale,
        estimate.low * scale,
        estimate.high * scale,
        None if corrected is None else corrected * scale,
        draft.comparisons[decisive].floor,
    )


def _with_verdict(draft: Draft, evidence: Evidence) -> Finding:
    finding = draft.finding
    control = draft.control_passed, draft.control_words, draft.passes_itself
    verdict, reason = decide(finding.metric, evidence, *control)
    if draft.caution and verdict in ("leaks", "not detected"):
        verdict, reason = "inconclusive", f"{draft.caution} ({reason})"
    reason = f"{finding.system} at {finding.tap}, {finding.metric}: {reason}"
    set_aside = (OVERRULED,) if overruled(draft.control_passed, draft.passes_itself) else ()
    notes = (*finding.notes, *((STILL_FALLING,) if draft.still_falling else ()), *set_aside)
    if draft.still_falling:
        reason += "; a bound, not a value: more training would find more"
    return finding.model_copy(update={"verdict": verdict, "reason": reason, "notes": notes})
