"""What pictures need, taken from the drafts of findings: scores become DET curves, answers confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from esrt_privacy.attacks.comparisons import AccuracyComparison, EerComparison
from esrt_privacy.attacks.drafts import Draft
from esrt_privacy.findings import Confusion, DetCurve, Finding, Lengths
from esrt_privacy.findings.pictured import MOST_LABELS, MOST_LETTERS, MOST_PAIRS, MOST_POINTS
from esrt_privacy.measures import verification

DIGITS = 6  # of a share: finer than any trial list
MILLISECONDS = 3  # digits of a second


@dataclass(frozen=True)
class Pictures:
    """The curves and tables of some drafts, in their order."""

    det_curves: tuple[DetCurve, ...]
    confusions: tuple[Confusion, ...]


def pictures(drafts: Sequence[Draft]) -> Pictures:
    """A DET curve for each draft that compares EERs, a confusion matrix for each that compares accuracies."""
    curves = (det_curve(draft) for draft in drafts)
    tables = (confusion(draft) for draft in drafts)
    return Pictures(
        tuple(curve for curve in curves if curve is not None),
        tuple(table for table in tables if table is not None),
    )


def det_curve(draft: Draft) -> DetCurve | None:
    """Misses against false alarms on the hull of the ROC, at most MOST_POINTS of them; None for other figures.

    The equal error rate is that of all scored trials, as in the finding.
    """
    held = next((c for c in draft.comparisons if isinstance(c, EerComparison)), None)
    if held is None:
        return None
    scores = np.asarray(held.own_scores, dtype=np.float64)
    target = np.asarray(held.is_target, dtype=bool)
    scored = ~np.isnan(scores)
    own, others = scores[scored & target], scores[scored & ~target]
    curve = verification.hull_det_curve(own, others, points=MOST_POINTS)
    finding = draft.finding
    return DetCurve(
        finding=finding.id,
        system=finding.system,
        tap=finding.tap,
        attacker=finding.attacker,
        asked=_told_apart(finding),
        trials=f"{len(own):,} target and {len(others):,} non-target trials",
        false_alarm=tuple(curve.false_alarm.round(DIGITS).tolist()),
        miss=tuple(curve.miss.round(DIGITS).tolist()),
        eer=verification.eer(own, others),
    )


def confusion(draft: Draft) -> Confusion | None:
    """How often each label was answered with each, over utterances; None for other figures and too many labels."""
    held = next((c for c in draft.comparisons if isinstance(c, AccuracyComparison)), None)
    if held is None:
        return None
    truth, own = np.asarray(held.truth).astype(str), np.asarray(held.own).astype(str)
    labels, places = np.unique(np.concatenate([truth, own]), return_inverse=True)
    if len(labels) > MOST_LABELS:
        return None
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(counts, (places[: len(truth)], places[len(truth) :]), 1)
    finding = draft.finding
    return Confusion(
        finding=finding.id,
        system=finding.system,
        tap=finding.tap,
        asked=_label_asked(finding),
        labels=_bounded(labels.tolist()),
        counts=tuple(tuple(row) for row in counts.tolist()),
    )


def length_pairs(
    finding: str,
    system: str,
    tap: str,
    true: np.ndarray,
    inferred: np.ndarray,
    rng: np.random.Generator,
) -> Lengths:
    """True and inferred seconds, (utterances,) each, with the id of their finding; of many, MOST_PAIRS are drawn.

    Utterances without an inferred length are left out.
    """
    known = np.flatnonzero(np.isfinite(true) & np.isfinite(inferred))
    kept, thinning = known, ""
    if len(known) > MOST_PAIRS:
        kept = np.sort(rng.choice(known, MOST_PAIRS, replace=False))
        thinning = f"{MOST_PAIRS:,} of {len(known):,} utterances, drawn by the audit's seed"
    return Lengths(
        finding=finding,
        system=system,
        tap=tap,
        true=tuple(true[kept].astype(float).round(MILLISECONDS).tolist()),
        inferred=tuple(inferred[kept].astype(float).round(MILLISECONDS).tolist()),
        utterances=len(known),
        thinning=thinning,
    )


def _bounded(labels: list[str]) -> tuple[str, ...]:
    """The labels, or where one is too long for a picture all of them cut and numbered, so that none are alike."""
    if all(len(label) <= MOST_LETTERS for label in labels):
        return tuple(labels)
    return tuple(f"{i}: {label[: MOST_LETTERS - 10]}" for i, label in enumerate(labels, 1))


def _told_apart(finding: Finding) -> str:
    """What both kinds of trials are, in a few words."""
    slug = finding.id.rpartition(".")[2]
    if finding.attack == "speaker":
        return "same speaker, " + ("sexes mixed" if slug.endswith("-mixed") else "one sex")
    if finding.attack == "reconstruction":
        return "same voice in reconstructed speech"
    return slug.replace("-", " ")


def _label_asked(finding: Finding) -> str:
    """The label's name: a family's own, or what stands before the figure in the id."""
    slug = finding.id.rpartition(".")[2].removesuffix("balanced-accuracy").removesuffix("-")
    return slug.replace("-", " ") or finding.attack
