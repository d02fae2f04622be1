"""What `esrt-privacy validate` is asked for, and the sizes that decide how sure its answers are."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from esrt_privacy.errors import AttackError, shown

PartName = Literal["false-alarms", "coverage", "power", "budget"]
PARTS: tuple[PartName, ...] = get_args(PartName)
MOST = 1_000_000  # of anything that is counted
SPEAKERS = (10, 30)  # of a simulated null


@dataclass(frozen=True)
class Sizes:
    """How many of each; the defaults are those that the audit's claims rest on."""

    null_sets: int = 1000  # simulated, at each number of speakers
    reruns: int = 200  # of each linear-probe attack on shuffled labels
    corpora: int = 1000  # simulated, in each cell of coverage
    draws: int = 1000  # of a bootstrap in coverage
    planted: int = 20  # reruns at each strength of a planted leak
    strengths: tuple[float, ...] = (2.0, 1.4, 1.0, 0.7, 0.5, 0.35, 0.25)

    @classmethod
    def quick(cls) -> Sizes:
        """Enough to see that everything runs, too few to judge by."""
        return cls(null_sets=20, reruns=4, corpora=20, draws=200, planted=2, strengths=(2.0, 0.5))

    def check(self) -> None:
        """Raise AttackError, in one line, for a size that measures nothing or never ends."""
        for field in fields(self):
            if field.name == "strengths":
                continue
            value = getattr(self, field.name)
            if not 1 <= value <= MOST:
                option = "--" + field.name.replace("_", "-")
                raise AttackError(f"{option} {value}: give a number from 1 to {MOST:,}")
        if not self.strengths or len(self.strengths) > 50:
            raise AttackError("--strengths: give 1 to 50 numbers, apart by commas")
        for strength in self.strengths:
            if not 0 < strength <= 100:
                raise AttackError(f"--strengths: {strength:g} is not in (0, 100]")


@dataclass(frozen=True)
class ValidityRequest:
    """A whole run."""

    out: Path
    parts: tuple[PartName, ...] = PARTS
    sizes: Sizes = Sizes()
    quick: bool = False
    system: str = "reference"
    corpus: str = "demo"
    run: Path | None = None  # an audit's folder, whose training curves are shown
    seed: int = 0
    folds: int = 5
    jobs: int | None = None
    weights: Path | None = None
    captures: Path | None = None
    command: str = "esrt-privacy validate"

    @property
    def real(self) -> bool:
        """Whether anything is asked of real tensors."""
        return "false-alarms" in self.parts or "power" in self.parts


def parts_of(text: str) -> tuple[PartName, ...]:
    """Parts by name, apart by commas, each once; empty text is all of them. Raises AttackError for another name."""
    asked = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in asked if word not in PARTS]
    if unknown:
        raise AttackError(
            f"--only: no part '{shown(unknown[0], 40)}'; there are {', '.join(PARTS)}"
        )
    return tuple(part for part in PARTS if not asked or part in asked)


def strengths_of(text: str) -> tuple[float, ...]:
    """Numbers apart by commas, the strongest first. Raises AttackError for a word that is none."""
    try:
        return tuple(sorted({float(word) for word in text.split(",")}, reverse=True))
    except ValueError as error:
        raise AttackError(
            f"--strengths: '{shown(text, 60)}' are no numbers apart by commas"
        ) from error
