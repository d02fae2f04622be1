"""Real tensors of a system, for what the shape alone cannot tell: how well they compress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from esrt_privacy.bandwidth.tensors import TensorFormat
from esrt_privacy.progress import Reporter, silent

if TYPE_CHECKING:
    from esrt_privacy.captures import Capture
    from esrt_privacy.corpora import Corpus, Utterance
    from esrt_privacy.systems.base import System

PAIR = ("reference", "reference-lite")  # one system with two query sets


@dataclass(frozen=True)
class RealSizes:
    """Bytes of real tensors in one format, one for each of `utterances`."""

    format: TensorFormat
    system: str
    utterances: tuple[Utterance, ...]
    sizes: tuple[int, ...]


def system_names(system: str) -> tuple[str, ...]:
    """The systems to encode with: the reference brings its Lite, others stand alone."""
    return PAIR if system == PAIR[0] else (system,)


def build(names: Sequence[str], weights: Path | None, allow_remote_code: bool) -> list[System]:
    """The systems of these names. Raises SystemUnavailable or AssetError where one cannot be built."""
    from esrt_privacy.systems.registry import build_system

    return [build_system(name, weights, allow_remote_code) for name in names]


def captured(systems: Sequence[System], corpus: Corpus, report: Reporter = silent) -> list[Capture]:
    """A capture of each system's wire tap over `corpus`, made once and kept in the cache.

    Raises CorpusError where no recording can be read.
    """
    from esrt_privacy.assets import cache_folder
    from esrt_privacy.captures import capture
    from esrt_privacy.systems.base import wire_tap

    found = []
    for system in systems:
        tap = wire_tap(system).name

        def progress(done: int, total: int, name: str = system.name) -> None:
            report(f"encoding with {name}", done, total)

        found.append(capture(system, [tap], corpus, cache_folder() / "captures", progress)[tap])
    return found


def real_sizes(capture: Capture, formats: Sequence[TensorFormat]) -> list[RealSizes]:
    """Bytes that each captured tensor takes in each of `formats`, which must have its shape."""
    utterances = capture.corpus.utterances
    tensors = [capture.tensor(u) for u in utterances]
    return [
        RealSizes(
            each,
            capture.system_name,
            utterances,
            tuple(len(each.pack(tensor)) for tensor in tensors),
        )
        for each in formats
    ]
