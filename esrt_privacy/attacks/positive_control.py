"""Which tap is a tap's positive control, and whether the attack works there: else nothing that it says counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from esrt_privacy.attacks.base import CONTROL_RULE
from esrt_privacy.captures import Capture
from esrt_privacy.findings import Interval
from esrt_privacy.measures.intervals import Estimate

TRANSPARENT = "transparent"
CEILING_TAP = "mel"
NAMES = {TRANSPARENT: "transparent tensor", CEILING_TAP: "log-mel"}


@dataclass(frozen=True)
class Control:
    """What the attack reached where leakage is certain. `passed` is None where no such tap was attacked."""

    tap: str | None
    passed: bool | None
    words: str
    least: float = 0.0
    rule: str = ""

    def passed_by(self, own: Estimate) -> bool:
        """Whether a figure that lies `own` beyond its floor, in the rule's unit, passes the rule itself."""
        return self.tap is not None and _passes(own, self.least)

    def shown(self, tap: str, figure: Interval | None) -> dict[str, Any]:
        """The fields of a finding at `tap` that tell of its control; none at the control itself."""
        if self.tap is None or self.tap == tap or figure is None:
            return {}
        return {
            "control": figure,
            "control_name": NAMES[self.tap],
            "control_rule": self.rule,
            "control_passed": self.passed,
        }


def control_tap(captures: Mapping[str, Capture], tap: str) -> str | None:
    """The transparent tensor where it has the tap's shape, else the log-mel; None where neither was captured."""
    transparent = captures.get(TRANSPARENT)
    if transparent is not None and transparent.shape == captures[tap].shape:
        return TRANSPARENT
    return CEILING_TAP if CEILING_TAP in captures else None


def judge_control(tap: str | None, question: str, beyond_floor: Estimate | None) -> Control:
    """Whether the attack passes at its control tap.

    `beyond_floor` is how far the figure of CONTROL_RULE[question] lies beyond its floor there, in the rule's unit. To
    pass, the value must reach the rule and the lower bound, where one exists, must lie above zero.
    """
    if tap is None or beyond_floor is None:
        return Control(None, None, "no control was run")
    least, rule = CONTROL_RULE[question]
    words = f"{NAMES[tap]}: {beyond_floor.value:.2f} beyond the floor, needed {least:g}"
    return Control(tap, _passes(beyond_floor, least), words, least, rule)


def below_chance(rate: Estimate) -> Estimate:
    """How far an EER, a share, lies below 50%, as the rules of speakers and linkage count it."""
    return rate._replace(value=0.5 - rate.value, low=0.5 - rate.high, high=0.5 - rate.low)


def _passes(beyond_floor: Estimate, least: float) -> bool:
    return bool(beyond_floor.value >= least) and not beyond_floor.low <= 0
