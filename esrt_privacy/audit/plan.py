"""A plan: which systems are audited at which taps, by which attacks and attackers, with which seeds. A TOML file."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from esrt_privacy.attacks.families import MODULES, RECONSTRUCTION
from esrt_privacy.errors import AttackError, shown
from esrt_privacy.findings import Attacker

MAX_FILE_BYTES = 64 * 1024
SHIPPED = ("default", "full")
WIRE = "wire"  # stands for whatever tap leaves the device

Name = Annotated[str, Field(min_length=1, max_length=500)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1, max_length=20)]
Taps = Annotated[tuple[Name, ...], Field(min_length=1, max_length=50)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlannedAttack(_Strict):
    """One attack family. What is left out is the plan's own, and every attacker that the family knows."""

    name: Name
    taps: Taps | None = None
    seeds: Seeds | None = None
    attackers: Annotated[tuple[Attacker, ...], Field(min_length=1)] | None = None
    utterances: Annotated[int, Field(ge=1, le=100_000)] = 48  # reconstruction: most, by ear
    training: Annotated[str, Field(max_length=40)] = "5m"  # reconstruction: where none is shipped

    @model_validator(mode="after")
    def _known_and_read(self) -> Self:
        if self.name not in MODULES and self.name != RECONSTRUCTION:
            known = ", ".join((*MODULES, RECONSTRUCTION))
            raise ValueError(f"no attack '{shown(self.name, 40)}'; there are {known}")
        unread = {"seeds", "attackers"} if self.name == RECONSTRUCTION else _BY_EAR_ONLY
        for option in sorted(unread & self.model_fields_set):
            raise ValueError(f"{self.name} takes no '{option}'")
        return self


_BY_EAR_ONLY = {"utterances", "training"}


class Plan(_Strict):
    """An audit: every system × its taps × attacks × seeds, over one corpus."""

    title: Annotated[str, Field(min_length=1, max_length=200)]
    systems: Annotated[tuple[Name, ...], Field(min_length=1, max_length=50)] = ("reference",)
    corpus: Name = "demo"
    train_corpus: Name | None = None
    taps: Taps = (WIRE,)  # audited; control and ceiling come with each attack
    channel: Seed | Literal["auto", "none"] = "auto"
    seeds: Seeds = (0, 1, 2)  # of training; their answers are averaged
    seed: Seed = 0  # of every other draw
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    budget: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 1.0
    attacks: Annotated[tuple[PlannedAttack, ...], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for what, names in (
            ("system", list(self.systems)),
            ("attack", [attack.name for attack in self.attacks]),
        ):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"the {what} {shown(min(twice), 40)} stands there twice")
        return self

    def taps_of(self, attack: PlannedAttack) -> tuple[str, ...]:
        """Where an attack is run, each tap once."""
        return tuple(dict.fromkeys(attack.taps or self.taps))

    def seeds_of(self, attack: PlannedAttack) -> tuple[int, ...]:
        """The seeds of an attack's training, each once."""
        return tuple(dict.fromkeys(attack.seeds or self.seeds))


def read_plan(path: Path) -> Plan:
    """Reads and checks a plan. Raises AttackError, one line, when it cannot."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise AttackError(f"{path}: too long for a plan; give a TOML file as --list shows them")
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise AttackError(f"{path}: cannot be read as a plan ({shown(error)})") from error
    return _parsed(text, str(path))


@cache
def shipped_plan(name: str) -> Plan:
    """The plan of that name in the package. Raises AttackError for another name."""
    if name not in SHIPPED:
        raise AttackError(f"no plan '{shown(name, 40)}'; there are {', '.join(SHIPPED)}")
    file = resources.files("esrt_privacy.audit") / "plans" / f"{name}.toml"
    return _parsed(file.read_text(encoding="utf-8"), f"plan {name}")


def _parsed(text: str, where: str) -> Plan:
    try:
        return Plan.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise AttackError(f"{where}: not TOML ({shown(error)})") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the plan"
        raise AttackError(f"{where}: {shown(place, 80)}: {shown(first['msg'])}") from error
