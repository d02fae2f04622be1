"""What `esrt-privacy profile` leaves for a report: `profile.json`, checked when it is read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from esrt_privacy import __version__, schemas
from esrt_privacy.evaluation.profile import Figure, ProfileOptions
from esrt_privacy.findings.fields import Named, Record

FILE_NAME = "profile.json"
SCHEMA_VERSION: Literal["1"] = "1"
MAX_FILE_BYTES = 1024 * 1024  # a profile has some dozens of figures
MOST_FIGURES = 1000
NO_PROFILE = "{path}: no profile ({place}: {why}); give one of esrt-privacy profile"
REFUSALS = schemas.Refusals(
    large="{path}: too large for a profile; give one of esrt-privacy profile",
    unread="{path}: cannot be read ({why})",
    no_json=NO_PROFILE,
    unfit=NO_PROFILE,
)


class ProfileFigure(Record):
    """One measured figure, as `profile.Figure` has it."""

    part: Named
    what: Named
    batch: int | None = None
    positions: int | None = None
    value: float = Field(allow_inf_nan=False)
    unit: str


class Profile(Record):
    """What edge and cloud of one model took on one machine. Memory of a process counts all that it holds."""

    schema_version: Literal["1"] = SCHEMA_VERSION
    tool_version: Named
    model: Named
    random: bool = Field(description="Random weights of the preset's sizes: memory is the same")
    dtype: Named
    figures: tuple[ProfileFigure, ...] = Field(max_length=MOST_FIGURES)

    @classmethod
    def of(cls, options: ProfileOptions, figures: list[Figure]) -> Self:
        """The record of a measurement."""
        return cls(
            tool_version=__version__,
            model=options.model,
            random=options.random,
            dtype=options.dtype,
            figures=tuple(ProfileFigure(**asdict(figure)) for figure in figures),
        )


def write_profile(record: Profile, path: Path) -> None:
    """Write a record, whole or not at all. Raises ReportError."""
    schemas.write_checked(record, path, None, "the profile")


def read_profile(path: Path) -> Profile:
    """Read what `write_profile` wrote. Raises ReportError, in one line, for anything else."""
    return schemas.read_checked(path, Profile, None, REFUSALS, MAX_FILE_BYTES)
