"""Who attacks, from where, and the rules by which an attack's figures become a verdict."""

from __future__ import annotations

from dataclasses import dataclass

from esrt_privacy.findings import Attacker, Direction, Position, Verdict


@dataclass(frozen=True)
class Knowledge:
    """What an attacker is assumed to hold (design: who attacks)."""

    name: Attacker
    trains_on_pairs: bool  # may label data of other speakers with the public edge half
    raw_enrolment: bool  # has recordings of the target
    position: Position = "network plaintext"


SEMI_INFORMED = Knowledge("semi-informed", trains_on_pairs=True, raw_enrolment=False)

# The smallest difference to the floor that would matter, in each metric's unit, and why.
SMALLEST_EFFECT: dict[str, tuple[float, str]] = {
    "WER": (10.0, "a tenth of the words more than by chance gives away topics and names"),
    "STOI": (0.05, "about the step that listeners notice"),
    "ESTOI": (0.05, "as STOI"),
    "MCD": (0.5, "about the step that listeners notice in synthesis"),
    "F0 correlation": (0.10, "weaker contours do not carry intonation"),
    "envelope correlation": (0.10, "weaker envelopes do not carry rhythm"),
    "length error": (5.0, "5% of the length, the tolerance of the duration attack"),
    "speaker cosine": (0.05, "half the gap between same-sex strangers and the same speaker"),
    "speaker EER": (5.0, "five points from chance"),
}


@dataclass(frozen=True)
class Evidence:
    """How far a figure lies from its strongest floor, in the direction of leakage.

    `low` and `high` bound the difference at 95%; `corrected_low` bounds it at the level that Holm's procedure asks
    for, None where the procedure stopped before. None of them is known where no interval exists.
    """

    difference: float | None
    low: float | None
    high: float | None
    corrected_low: float | None


def decide(
    metric: str, evidence: Evidence, control_passed: bool | None, control_words: str
) -> tuple[Verdict, str]:
    """The verdict of one finding and the reason in a sentence (design: what makes a finding true)."""
    if control_passed is False:
        return "invalid", f"the positive control failed ({control_words}): the attack is too weak"
    if evidence.difference is None or evidence.low is None or evidence.high is None:
        return (
            "inconclusive",
            "no interval exists: too few speakers or values, or all of them alike",
        )
    if evidence.corrected_low is not None and evidence.corrected_low > 0:
        return (
            "leaks",
            f"beats the strongest floor by {evidence.difference:.3g}"
            f" (95%: {evidence.low:.3g} to {evidence.high:.3g}, Holm-corrected bound"
            f" {evidence.corrected_low:.3g})",
        )
    smallest, _ = SMALLEST_EFFECT[metric]
    if evidence.high < smallest:
        if control_passed is None:
            return (
                "inconclusive",
                "nothing was found, and there is no positive control to trust that",
            )
        return (
            "not detected",
            f"bound: at most {max(evidence.high, 0.0):.3g} better than the strongest floor,"
            f" below the smallest effect {smallest:g}",
        )
    return (
        "inconclusive",
        f"the difference to the strongest floor is {evidence.difference:.3g}"
        f" (95%: {evidence.low:.3g} to {evidence.high:.3g})",
    )


def leakage_sign(direction: Direction) -> float:
    """+1 where a higher value means more leakage, -1 where a lower one does."""
    return 1.0 if direction == "higher" else -1.0
