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
    "WER at its own length": (10.0, "as WER"),
    "STOI": (0.05, "about the step that listeners notice"),
    "ESTOI": (0.05, "as STOI"),
    "MCD": (0.5, "about the step that listeners notice in synthesis"),
    "MCD at its own length": (0.5, "as MCD"),
    "F0 correlation": (0.10, "weaker contours do not carry intonation"),
    "envelope correlation": (0.10, "weaker envelopes do not carry rhythm"),
    "length error": (5.0, "5% of the length, the tolerance of the duration attack"),
    "speaker cosine": (0.05, "half the gap between same-sex strangers and the same speaker"),
    "speaker EER": (5.0, "five points from chance"),
    "linkage EER": (5.0, "as speaker EER"),
    "top-1": (5.0, "one recording in twenty more than by chance"),
    "top-10": (10.0, "one recording in ten more than by chance"),
    "balanced accuracy": (5.0, "one answer in twenty more than by chance"),
    "macro-F1": (5.0, "as balanced accuracy"),
    "mutual information": (0.1, "a tenth of a bit in each utterance adds up over a talk"),
    "open-set AUROC": (0.05, "one pair in twenty more than by chance"),
    "duration MAE": (0.1, "about half a syllable"),
    "duration R²": (0.05, "a twentieth of the variance: a correlation of 0.22"),
    "share within 5%": (10.0, "one utterance in ten more than by a guess"),
    "frame error": (2.0, "one frame in fifty"),
    "onset error": (20.0, "one frame of the mask, in ms"),
    "offset error": (20.0, "as onset error"),
    "NMI": (0.05, "a twentieth of the label"),
    "purity": (5.0, "one utterance in twenty more than by chance"),
}


# What a family's positive control must reach beyond its floor, and the rule in words. It is less than the attack can do
# with plenty of data: it says that there was enough to see a plain leak.
CONTROL_RULE: dict[str, tuple[float, str]] = {
    "speaker": (0.15, "EER at most 35%"),
    "untrained speaker": (0.05, "EER at most 45%: nothing is learnt from the tensors"),
    "linkage": (0.1, "EER at most 40%: a pair of tensors says less than an enrolment"),
    "recording search": (
        0.2,
        "the recording among the first ten a fifth more often than by chance",
    ),
    "language": (0.3, "balanced accuracy at least 30% of the way from chance to certainty"),
    "open-set language": (0.1, "open-set AUROC at least 0.6"),
    "sex": (0.5, "balanced accuracy at least halfway from chance to certainty"),
    "age group": (0.1, "balanced accuracy at least 10% of the way from chance to certainty"),
    "accent": (0.1, "balanced accuracy at least 10% of the way from chance to certainty"),
    "emotion": (0.1, "balanced accuracy at least 10% of the way from chance to certainty"),
    "duration": (0.9, "R² at least 0.9"),
    "speech mask": (0.3, "frame error at most 70% of the best floor's"),
    "structure": (0.05, "NMI at least 0.05 above shuffled labels"),
}


@dataclass(frozen=True)
class Evidence:
    """How far a figure lies from the floor that decides, in the direction of leakage.

    `low` and `high` bound the difference at 95%; `corrected_low` bounds that with every floor at the level that Holm's
    procedure asks for, None where the procedure stopped before. None of them is known where no interval exists.
    """

    difference: float | None
    low: float | None
    high: float | None
    corrected_low: float | None
    floor: str = ""  # the name of the one that decides


OVERRULED = (
    "the positive control failed, but the attack passes the same rule at this tap: what it finds here counts, what it"
    " does not find elsewhere does not"
)


def overruled(control_passed: bool | None, passes_itself: bool) -> bool:
    """Whether a failed control does not bear on a figure, since the attack passes the control's rule at its very tap.

    A control makes silence believable. An attack that passes the rule here is not too weak to speak of this tap: what
    beats its floors is said to leak. It is never believed where it finds nothing.
    """
    return control_passed is False and passes_itself


def decide(
    metric: str,
    evidence: Evidence,
    control_passed: bool | None,
    control_words: str,
    passes_itself: bool = False,
) -> tuple[Verdict, str]:
    """The verdict of one finding and the reason in a sentence (design: what makes a finding true).

    `passes_itself` says that the attack passes the control's rule at the finding's own tap (see `overruled`).
    """
    if control_passed is False and not overruled(control_passed, passes_itself):
        return "invalid", f"the positive control failed ({control_words}): the attack is too weak"
    if evidence.difference is None or evidence.low is None or evidence.high is None:
        return (
            "inconclusive",
            "no interval exists: too few speakers or values, or all of them alike",
        )
    floor = f"the floor '{evidence.floor}'" if evidence.floor else "the strongest floor"
    if evidence.corrected_low is not None and evidence.corrected_low > 0:
        return (
            "leaks",
            f"beats {floor} by {evidence.difference:.3g}"
            f" (95%: {evidence.low:.3g} to {evidence.high:.3g}, Holm-corrected bound"
            f" {evidence.corrected_low:.3g})",
        )
    smallest, _ = SMALLEST_EFFECT[metric]
    if evidence.high < smallest:
        if not control_passed:
            return (
                "inconclusive",
                "nothing was found, and there is no positive control to trust that"
                if control_passed is None
                else f"nothing was found, and the positive control failed ({control_words})",
            )
        return (
            "not detected",
            f"bound: at most {max(evidence.high, 0.0):.3g} better than {floor},"
            f" below the smallest effect {smallest:g}",
        )
    return (
        "inconclusive",
        f"the difference to {floor} is {evidence.difference:.3g}"
        f" (95%: {evidence.low:.3g} to {evidence.high:.3g})",
    )


def leakage_sign(direction: Direction) -> float:
    """+1 where a higher value means more leakage, -1 where a lower one does."""
    return 1.0 if direction == "higher" else -1.0
