"""A finding: an attack's answer to one question, with its interval, floors, ceiling, control and verdict.

The verdicts' words stand here; the rules that choose between them belong to the attacks.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, get_args

from pydantic import Field, model_validator

from esrt_privacy.findings.fields import Count, Measured, Named, Record, Slug

if TYPE_CHECKING:
    from esrt_privacy.measures.intervals import Estimate

Verdict = Literal["leaks", "not detected", "inconclusive", "invalid", "untested"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
Attacker = Literal["ignorant", "lazy-informed", "semi-informed", "cross-modal", "white-box"]
ATTACKERS: tuple[Attacker, ...] = get_args(Attacker)
Position = Literal["network plaintext", "outside TLS", "cloud"]
POSITIONS: tuple[Position, ...] = get_args(Position)
Direction = Literal["lower", "higher"]


class Interval(Record):
    """A figure and how sure we are of it; `value`, `low` and `high` are in the finding's unit.

    `level` is the coverage aimed at, `method` says how the interval was made (for example
    "speaker bootstrap, 1000 draws"), `n` is the number of things averaged over. `low` and `high`
    are null where no interval exists; `value` is null where the figure could not be computed.
    """

    value: Measured
    low: Measured = None
    high: Measured = None
    level: float = Field(default=0.95, gt=0, lt=1)
    method: str = ""
    n: Count = 0

    @classmethod
    def of(cls, estimate: "Estimate", scale: float = 1.0) -> "Interval":
        """An estimate in the finding's unit, which is `scale` times the measure's."""
        return cls(
            value=estimate.value * scale,
            low=estimate.low * scale,
            high=estimate.high * scale,
            method=estimate.method,
            n=estimate.n,
        )

    @model_validator(mode="after")
    def _ordered(self) -> "Interval":
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"the interval's low {self.low} is above its high {self.high}")
        return self


class Finding(Record):
    """An attack's answer to one question about one tap of one system over one corpus."""

    id: Slug
    question: Named = Field(description="The question in words, as a reader would ask it")
    system: Named
    system_fingerprint: Named
    corpus: Named
    tap: Named
    attacker: Attacker = Field(description="What the attacker knows")
    position: Position = Field(description="Where the attacker stands")
    attack: Named
    metric: Named
    unit: str = Field(default="", description="Unit of every value here; empty for a plain number")
    leaks_when: Direction = Field(description="Which direction of the metric means more leakage")
    estimate: Interval
    floors: Mapping[str, Interval] = Field(
        default_factory=dict, description="What is reached without looking at the tensor, by name"
    )
    ceiling: Interval | None = None
    ceiling_name: str = Field(default="", description="For example: Griffin-Lim from the true mel")
    control: Interval | None = Field(
        default=None, description="The same network, data and budget where leakage is certain"
    )
    control_name: str = Field(default="", description="For example: transparent tensor")
    control_rule: str = Field(default="", description="What the control must reach, in words")
    control_passed: bool | None = None
    verdict: Verdict
    reason: Named = Field(description="Why this verdict, in one sentence")
    utterances: Count
    speakers: Count
    seeds: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _references_are_named(self) -> "Finding":
        if self.ceiling is not None and not self.ceiling_name:
            raise ValueError("a ceiling needs a ceiling_name")
        if self.control is not None and not (self.control_name and self.control_rule):
            raise ValueError("a control needs a control_name and a control_rule")
        if self.control is not None and self.control_passed is None:
            raise ValueError("a control needs control_passed, true or false")
        return self
