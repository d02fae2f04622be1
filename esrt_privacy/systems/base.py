"""What every system under audit offers: taps, in order from the microphone to the LLM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from esrt_privacy.errors import SystemUnavailable

if TYPE_CHECKING:
    from esrt_privacy.systems.transparent import TransparentBasis


@dataclass(frozen=True)
class Tap:
    """A point where a representation can be observed."""

    name: str
    shape: tuple[int, int]  # (vectors, width) of one utterance
    dtype: torch.dtype  # as it is stored in a capture
    fingerprint: str  # of everything that decides its values
    is_wire: bool = False  # what leaves the device


class System(Protocol):
    """A speech system under audit."""

    @property
    def name(self) -> str: ...

    @property
    def taps(self) -> dict[str, Tap]:
        """By name, in order from the microphone."""
        ...

    def represent(self, waves: Sequence[np.ndarray], taps: Sequence[str]) -> dict[str, Tensor]:
        """Waveforms (samples,) at 16 kHz -> for each tap (batch, vectors, width), its dtype."""
        ...


class ControlledSystem(System, Protocol):
    """A system that a positive control can be built for: mel patches in its wire tensor's shape."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a report on it must say beside the findings."""
        ...

    def with_transparent(self, basis: TransparentBasis) -> Self:
        """The same system with the positive control as a tap."""
        ...


def require_taps(system: System, names: Sequence[str]) -> None:
    """Raise SystemUnavailable for a tap that the system does not have."""
    for name in names:
        if name not in system.taps:
            raise SystemUnavailable(
                f"system {system.name} has no tap '{name}'; it has {', '.join(system.taps)}"
            )


def wire_tap(system: System) -> Tap:
    """The tap that leaves the device."""
    return next(tap for tap in system.taps.values() if tap.is_wire)
