"""What a report's pictures need beside findings: curves, tables and pairs, each of one finding.

All are bounded, so that a page stays a page and a hostile file stays small.
"""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from esrt_privacy.findings.fields import Count, Measured, Named, Record, Seconds, Share, Slug
from esrt_privacy.findings.finding import Attacker

MOST_POINTS = 200  # of a DET curve
MOST_LABELS = 200  # of a confusion matrix
MOST_LETTERS = 200  # of a label
MOST_PAIRS = 2_000  # of true and inferred lengths

Label = Annotated[str, Field(min_length=1, max_length=MOST_LETTERS)]
Shares = Annotated[tuple[Share, ...], Field(max_length=MOST_POINTS)]
ManySeconds = Annotated[tuple[Seconds, ...], Field(max_length=MOST_PAIRS)]


class BudgetPoint(Record):
    """What an attacker reached at one tap with one amount of training."""

    tap: Named
    amount: float = Field(ge=0, allow_inf_nan=False)
    amount_unit: Literal["examples", "steps", "seconds"]
    metric: Named
    unit: str = ""
    value: Measured
    system: str = Field(default="", description="Empty where the run has one system")
    bound: bool = Field(
        default=False, description="The attack still improved here: a bound, not the value"
    )


class DetCurve(Record):
    """Misses against false alarms of one attacker's scores (detection error trade-off).

    `false_alarm` and `miss` are shares, in the order of a rising threshold: false alarms never rise, misses never
    fall. There may be no point at all: scores that part both kinds of trials lie off the axes.
    """

    finding: Slug = Field(description="The id of the finding whose scores these are")
    system: Named
    tap: Named
    attacker: Attacker
    asked: str = Field(default="", description="What is told apart, for example: same speaker")
    trials: Named = Field(description="How many trials of each kind, in words")
    false_alarm: Shares
    miss: Shares
    eer: Measured = Field(description="Equal error rate on the ROC's convex hull, a share")

    @model_validator(mode="after")
    def _is_a_curve(self) -> "DetCurve":
        if len(self.false_alarm) != len(self.miss):
            raise ValueError("a DET curve needs as many misses as false alarms")
        if any(a < b for a, b in pairwise(self.false_alarm)):
            raise ValueError("false alarms rise along a DET curve")
        if any(a > b for a, b in pairwise(self.miss)):
            raise ValueError("misses fall along a DET curve")
        return self


class Confusion(Record):
    """How often each label was answered with each label, over utterances."""

    finding: Slug = Field(description="The id of the finding whose answers these are")
    system: Named
    tap: Named
    asked: Named = Field(description="What the labels are, for example: language")
    labels: Annotated[tuple[Label, ...], Field(min_length=1, max_length=MOST_LABELS)]
    counts: Annotated[
        tuple[Annotated[tuple[Count, ...], Field(max_length=MOST_LABELS)], ...],
        Field(max_length=MOST_LABELS, description="counts[true][answered], in order of `labels`"),
    ]

    @model_validator(mode="after")
    def _is_square(self) -> "Confusion":
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("a label occurs twice")
        size = len(self.labels)
        if len(self.counts) != size or any(len(row) != size for row in self.counts):
            raise ValueError(f"{size} labels need a table of {size} times {size} counts")
        return self


class Lengths(Record):
    """True and inferred length of utterances, in seconds, pair by pair."""

    finding: Slug = Field(description="The id of the finding whose answers these are")
    system: Named
    tap: Named
    true: ManySeconds
    inferred: ManySeconds
    utterances: Count = Field(description="How many there were before thinning")
    thinning: str = Field(default="", description="How some were drawn; empty where all are here")

    @model_validator(mode="after")
    def _are_pairs(self) -> "Lengths":
        if len(self.true) != len(self.inferred):
            raise ValueError("each true length needs an inferred one")
        if self.utterances < len(self.true):
            raise ValueError("more pairs than utterances")
        if (self.utterances > len(self.true)) != bool(self.thinning):
            raise ValueError("pairs that were drawn need the words of how, all of them need none")
        return self
