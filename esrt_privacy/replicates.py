"""The replicates of a run's figures over speakers, in one file beside its findings.

With them two runs over the same speakers are compared speaker by speaker: a difference of their figures is taken draw
by draw, so what makes a speaker hard for both cancels. The file holds no names, only a fingerprint of them.

Attacks write it, reports read it. It is read with safetensors, and its size is bounded before anything is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esrt_privacy.bounded_safetensors import DamagedError, TooLargeError, opened
from esrt_privacy.errors import ReportError, shown
from esrt_privacy.whole_file import write_whole

FILE_NAME = "replicates.safetensors"
FORMAT = "esrt-privacy replicates 1"
MAX_FILE_BYTES = 512 * 2**20
MAX_HEADER_BYTES = 16 * 2**20
MOST_VALUES = 1_000_000  # of one figure: draws, or speakers

Singles = NDArray[np.float32]


@dataclass(frozen=True)
class FigureReplicates:
    """A finding's figure, without each speaker, and of drawn speakers, in the finding's unit."""

    value: float
    jackknife: NDArray[np.floating]  # (speakers,) in the speakers' order
    draws: NDArray[
        np.floating
    ]  # (draws,), nan where a draw has no figure; empty where none were made
    speakers: str  # fingerprint of the sorted speakers, of which the draws depend on nothing else

    def pairs_with(self, other: FigureReplicates) -> bool:
        """Whether both are over the same speakers, drawn alike.

        Should two corpora share the names of their speakers by accident, the figures are independent, and their paired
        difference has the interval of an unpaired one.
        """
        return (
            self.speakers == other.speakers
            and self.jackknife.shape == other.jackknife.shape
            and self.draws.shape == other.draws.shape
        )


def write_replicates(replicates: Mapping[str, FigureReplicates], folder: Path) -> Path:
    """Write `folder/replicates.safetensors`, whole or not at all; by the ids of findings, as float32.

    Raises ReportError where the folder cannot be written.
    """
    from safetensors.numpy import save

    arrays: dict[str, Singles] = {}
    for name, figure in replicates.items():
        arrays[f"{name}/jackknife"] = np.ascontiguousarray(figure.jackknife, dtype=np.float32)
        arrays[f"{name}/draws"] = np.ascontiguousarray(figure.draws, dtype=np.float32)
    about = {n: {"value": f.value, "speakers": f.speakers} for n, f in replicates.items()}
    path = folder / FILE_NAME
    write_whole(path, save(arrays, metadata={"format": FORMAT, "about": json.dumps(about)}))
    return path


def read_replicates(folder: Path) -> dict[str, FigureReplicates]:
    """What `write_replicates` wrote, by the ids of findings; empty where a run has no such file.

    Raises ReportError, one line, for a file that is damaged or none of ours.
    """
    path = folder / FILE_NAME
    try:
        if not path.exists():
            return {}
        with opened(path, MAX_FILE_BYTES, MAX_HEADER_BYTES) as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ReportError(f"{path}: not a file of replicates, or of another version")
            return {
                name: FigureReplicates(
                    float(about["value"]),
                    _values(file, f"{name}/jackknife"),
                    _values(file, f"{name}/draws"),
                    str(about["speakers"]),
                )
                for name, about in json.loads(metadata["about"]).items()
            }
    except TooLargeError as error:
        raise ReportError(f"{path}: larger than any file of replicates, it was not read") from error
    except (DamagedError, OSError) as error:
        raise ReportError(
            f"{path}: damaged ({shown(error)}); run the audit again, or delete the file to compare without pairing"
        ) from error


def _values(file: Any, name: str) -> Singles:
    part = file.get_slice(name)
    shape = part.get_shape()
    if len(shape) != 1 or shape[0] > MOST_VALUES or part.get_dtype() != "F32":
        raise ValueError(f"{shown(name, 80)} has the form {part.get_dtype()} {shape}")
    values: Singles = file.get_tensor(name)
    return values
