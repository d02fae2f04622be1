"""The attack families by name: what each asks, what it needs, and how it is run.

A family is one module of `attacks/`. Its heavy part, `measure`, answers at one tap with one seed, and what it returns
is kept on disk; its cheap part, `drafts`, puts all answers into figures. Modules are imported when they are asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from esrt_privacy.errors import AttackError, shown
from esrt_privacy.findings import Attacker, BudgetPoint, Lengths
from esrt_privacy.progress import Reporter

if TYPE_CHECKING:
    from esrt_privacy.attacks.answers import Answers
    from esrt_privacy.attacks.drafts import Draft
    from esrt_privacy.attacks.inputs import Inputs
    from esrt_privacy.attacks.trials import TrialList

RECONSTRUCTION = "reconstruction"  # judged by ear, so it runs by a path of its own

# In the order in which a report shows them.
MODULES: dict[str, str] = {
    name: f"esrt_privacy.attacks.{name}"
    for name in (
        "speaker",
        "linkage",
        "language",
        "duration",
        "attributes",
        "structure",
        "reading",
    )
}


@dataclass(frozen=True)
class Family:
    """What a family is, without running it."""

    name: str
    question: str  # as a reader would ask it
    needs: tuple[str, ...] = ()  # labels of an utterance without which nothing can be asked
    taps: tuple[str, ...] = ("transparent", "mel")  # read beside the audited tap: control, ceiling
    attackers: tuple[Attacker, ...] = ("semi-informed",)
    version: int = 1  # raised when what is measured changes, so that old answers are not used


def assets_key(module: FamilyModule, inputs: Inputs) -> str:
    """What beside captures, labels and options decides a family's answers: its function `assets`, where it has one."""
    assets = getattr(module, "assets", None)
    return "" if assets is None else str(assets(inputs))


def trial_lists(
    module: FamilyModule, inputs: Inputs, answers: Mapping[tuple[str, int], Answers]
) -> tuple[TrialList, ...]:
    """The lists that a family's trials come from: its function `lists`, where it has one."""
    lists = getattr(module, "lists", None)
    return () if lists is None else tuple(lists(inputs, answers))


class FamilyModule(Protocol):
    """A module that holds a family."""

    FAMILY: Family

    def measure(self, inputs: Inputs, tap: str, seed: int, report: Reporter) -> Answers:
        """Attack one tap with one seed. Reads the captures of `tap` and of FAMILY.taps.

        Raises AttackError, in one line, where the data cannot answer the question.
        """
        ...

    def drafts(
        self, inputs: Inputs, answers: Mapping[tuple[str, int], Answers]
    ) -> tuple[Draft, ...]:
        """Figures of all taps from the answers by (tap, seed), the audited taps first."""
        ...


def family_module(name: str) -> FamilyModule:
    """The module of a family. Raises AttackError for a name that is not known."""
    path = MODULES.get(name)
    if path is None:
        known = ", ".join((*MODULES, RECONSTRUCTION))
        raise AttackError(f"no attack '{shown(name, 40)}'; there are {known}")
    return cast(FamilyModule, importlib.import_module(path))


def budget_points(
    module: FamilyModule, inputs: Inputs, answers: Mapping[tuple[str, int], Answers]
) -> tuple[BudgetPoint, ...]:
    """The training curves of a family that trains: its function `budget`, where it has one."""
    budget = getattr(module, "budget", None)
    return () if budget is None else tuple(budget(inputs, answers))


def length_points(
    module: FamilyModule, inputs: Inputs, answers: Mapping[tuple[str, int], Answers]
) -> tuple[Lengths, ...]:
    """True and inferred lengths of a family that infers them: its function `lengths`, where it has one."""
    lengths = getattr(module, "lengths", None)
    return () if lengths is None else tuple(lengths(inputs, answers))
