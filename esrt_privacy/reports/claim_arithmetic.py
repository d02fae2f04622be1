"""Claims that are arithmetic: what is printed, computed again from inputs that are printed too.

Inputs and printed values stand in the file of claims, the languages in `corpora/languages.csv`; a formula is code.
A printed value holds where it is the computed one, rounded to as many decimals as are printed.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Annotated, Literal

from pydantic import Field, model_validator

from esrt_privacy.bandwidth import sizes
from esrt_privacy.bandwidth.units import MB
from esrt_privacy.findings.fields import Measured, Record

LARGEST = 1e12  # of any input: larger ones are no sizes
ROUNDING = 1 + 1e-9  # floating point may miss an exact half

Number = Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=1, le=10**9)]
Decimals = Annotated[int, Field(ge=0, le=9)]
Label = Annotated[str, Field(min_length=1, max_length=200)]
Row = Annotated[
    tuple[Annotated[int, Field(ge=0, le=10**9)], ...], Field(min_length=1, max_length=100)
]


class ClaimFigure(Record):
    """A figure that a verdict on a claim rests on, in `unit`; `printed` is what the claim says it is.

    `source` is the id of a finding, the name of a record's row, or a formula with its numbers.
    """

    name: str
    value: Measured
    low: Measured = None
    high: Measured = None
    unit: str = ""
    printed: Measured = None
    source: str


class Computed(Record):
    """What a formula gave, and which of its figures are not what is printed."""

    figures: tuple[ClaimFigure, ...]
    wrong: tuple[ClaimFigure, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether everything printed agrees."""
        return not self.wrong


class ValuesRatio(Record):
    """How many times fewer values a tensor holds than an encoder's output (`sizes.values_ratio`)."""

    formula: Literal["values ratio"]
    frames: Whole
    frame_width: Whole
    vectors: Whole
    width: Whole
    printed: Number
    decimals: Decimals

    def compute(self) -> Computed:
        value = sizes.values_ratio(self.frames, self.frame_width, self.vectors, self.width)
        source = f"{self.frames} · {self.frame_width} / ({self.vectors} · {self.width})"
        return _rounded("times fewer values", value, "×", self.printed, self.decimals, source)


class Fewer(Record):
    """By how many percent `after` is less than `before` (`sizes.fewer`)."""

    formula: Literal["fewer"]
    before: Number
    after: Number
    printed: Number
    decimals: Decimals

    def compute(self) -> Computed:
        value = 100 * sizes.fewer(self.before, self.after)
        source = f"1 - {self.after:g} / {self.before:g}"
        return _rounded("fewer", value, "%", self.printed, self.decimals, source)


class AudioOverTensor(Record):
    """Bytes of bare PCM over those of a bare tensor (`sizes.audio_bytes`, `sizes.tensor_bytes`)."""

    formula: Literal["audio over tensor"]
    seconds: Number
    sample_rate: Whole
    sample_bytes: Whole
    vectors: Whole
    width: Whole
    value_bytes: Whole
    printed: Number
    decimals: Decimals

    def compute(self) -> Computed:
        audio = sizes.audio_bytes(self.seconds, self.sample_rate, self.sample_bytes)
        tensor = sizes.tensor_bytes(self.vectors, self.width, self.value_bytes)
        source = f"{audio:,.0f} B / {tensor:,} B"
        return _rounded("ratio", audio / tensor, "×", self.printed, self.decimals, source)


class Times(Record):
    """That `before` is at least so many times `after`."""

    formula: Literal["times"]
    before: Number
    after: Number
    at_least: Number

    def compute(self) -> Computed:
        value = self.before / self.after
        figure = ClaimFigure(
            name="ratio",
            value=value,
            unit="×",
            printed=self.at_least,
            source=f"{self.before:g} / {self.after:g}",
        )
        return _checked(figure, value >= self.at_least)


class Sent(Record):
    """Megabytes after an encoding, and the seconds that those, as printed, take on a link (`sizes.link_seconds`)."""

    formula: Literal["sent"]
    megabytes: Number
    factor: Number
    link_mbit: Number
    printed_megabytes: Number
    printed_seconds: Number
    decimals: Decimals  # of the seconds; megabytes are whole

    def compute(self) -> Computed:
        seconds = sizes.link_seconds(self.printed_megabytes * MB, self.link_mbit)
        return _joined(
            _rounded(
                *("sent", self.megabytes * self.factor, "MB", self.printed_megabytes, 0),
                f"{self.megabytes:g} MB · {self.factor:g}",
            ),
            _rounded(
                *("time", seconds, "s", self.printed_seconds, self.decimals),
                f"{self.printed_megabytes:g} MB at {self.link_mbit:g} Mbit/s",
            ),
        )


class Directions(Record):
    """Ordered pairs of different languages of `languages.csv`, and printed rows that must add up to as many."""

    formula: Literal["directions"]
    printed: Whole
    rows: Annotated[dict[Label, Row], Field(max_length=100, default_factory=dict)]

    def compute(self) -> Computed:
        from esrt_privacy.corpora.languages import PAPER_LANGUAGES

        count = len(PAPER_LANGUAGES)
        pairs = count * (count - 1)
        figures = [_exact("directions", pairs, self.printed, f"{count} · {count - 1}")]
        for name, row in self.rows.items():
            added = " + ".join(map(str, row))
            figures.append(_exact(f"row of {name}", sum(row), self.printed, added))
        return _joined(*figures)


class TrainingHours(Record):
    """The sum of the training hours of `languages.csv`."""

    formula: Literal["training hours"]
    printed: Number
    decimals: Decimals

    def compute(self) -> Computed:
        from esrt_privacy.corpora.languages import PAPER_LANGUAGES

        value = math.fsum(language.train_hours for language in PAPER_LANGUAGES)
        source = f"sum over {len(PAPER_LANGUAGES)} languages"
        return _rounded("training hours", value, "h", self.printed, self.decimals, source)


class Tiers(Record):
    """How many languages of `languages.csv` there are in each resource tier."""

    formula: Literal["tiers"]
    printed: Annotated[dict[Label, Whole], Field(min_length=1, max_length=20)]

    def compute(self) -> Computed:
        from esrt_privacy.corpora.languages import PAPER_LANGUAGES

        counts = Counter(language.resource for language in PAPER_LANGUAGES)
        return _joined(
            *(
                _exact(f"{tier} resource", counts[tier], printed, "counted in the table")
                for tier, printed in self.printed.items()
            )
        )


class Cell(Record):
    """One printed figure, and where."""

    table: Label
    value: Number


class SameCell(Record):
    """A figure that several tables print: it must be the same in all. `beside` are cells that explain a difference."""

    formula: Literal["same cell"]
    what: Label
    cells: Annotated[tuple[Cell, ...], Field(min_length=2, max_length=20)]
    beside: Annotated[tuple[Cell, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _tables_differ(self) -> SameCell:
        tables = [cell.table for cell in (*self.cells, *self.beside)]
        if len(set(tables)) < len(tables):
            raise ValueError("a table is named twice")
        return self

    def compute(self) -> Computed:
        first = self.cells[0].value
        said = [
            _checked(
                ClaimFigure(name=self.what, value=cell.value, printed=first, source=cell.table),
                cell.value == first,
            )
            for cell in self.cells
        ]
        beside = tuple(
            ClaimFigure(name="for comparison", value=cell.value, source=cell.table)
            for cell in self.beside
        )
        return _joined(*said, Computed(figures=beside))


Arithmetic = Annotated[
    ValuesRatio
    | Fewer
    | AudioOverTensor
    | Times
    | Sent
    | Directions
    | TrainingHours
    | Tiers
    | SameCell,
    Field(discriminator="formula"),
]


def _rounded(
    name: str, value: float, unit: str, printed: float, decimals: int, source: str
) -> Computed:
    figure = ClaimFigure(name=name, value=value, unit=unit, printed=printed, source=source)
    return _checked(figure, abs(value - printed) <= 0.5 * 10.0**-decimals * ROUNDING)


def _exact(name: str, value: int, printed: int, source: str) -> Computed:
    figure = ClaimFigure(name=name, value=value, printed=printed, source=source)
    return _checked(figure, value == printed)


def _checked(figure: ClaimFigure, agrees: bool) -> Computed:
    return Computed(figures=(figure,), wrong=() if agrees else (figure,))


def _joined(*parts: Computed) -> Computed:
    return Computed(
        figures=tuple(figure for part in parts for figure in part.figures),
        wrong=tuple(figure for part in parts for figure in part.wrong),
    )
