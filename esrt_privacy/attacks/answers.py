"""What one run of an attack at one tap with one seed found, as data on disk.

One safetensors file: numbers as tensors, names and notes as JSON in its header. It is written whole or not at all, and
checked against its SHA-256 when it is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from esrt_privacy.bounded_safetensors import DamagedError, opened
from esrt_privacy.errors import AttackError, shown
from esrt_privacy.whole_file import write_whole

FORMAT = "esrt-privacy answers 1"
MAX_FILE_BYTES = 2 * 2**30
MAX_HEADER_BYTES = 64 * 2**20
NUMERIC_KINDS = "biuf"  # of numpy's dtypes: truth values, integers, floats


@dataclass(frozen=True)
class Answers:
    """Arrays by name, and lists of names (utterance ids, speakers, labels) that stand for their rows.

    What the axes are is the family's own; a figure that does not exist is nan.
    """

    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    rows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, array in self.arrays.items():
            if array.dtype.kind not in NUMERIC_KINDS:
                raise ValueError(f"answers '{name}' hold {array.dtype}, not numbers")

    def save(self, path: Path) -> None:
        """Write one file, whole or not at all. Raises ReportError where the folder cannot be written."""
        from safetensors.numpy import save

        arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays.items()}
        about = {"rows": {name: list(row) for name, row in self.rows.items()}, "notes": self.notes}
        text = json.dumps(about)
        metadata = {"format": FORMAT, "about": text, "sha256": _digest(arrays, text)}
        write_whole(path, save(arrays, metadata=metadata))

    @classmethod
    def load(cls, path: Path) -> Answers:
        """Read what `save` wrote. Raises AttackError naming a file that is missing or damaged."""
        try:
            with opened(path, MAX_FILE_BYTES, MAX_HEADER_BYTES) as file:
                metadata = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                if metadata.get("format") != FORMAT:
                    raise ValueError(f"its format is not '{FORMAT}'")
                if metadata["sha256"] != _digest(arrays, metadata["about"]):
                    raise ValueError("checksum differs")
                about = json.loads(metadata["about"])
                rows = {str(name): _names(row) for name, row in about["rows"].items()}
                return cls(arrays, rows, _names(about["notes"]))
        except DamagedError as error:
            raise AttackError(
                f"{path}: not the answers of an attack ({shown(error)}); delete the file and run again"
            ) from error


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError("a list of names is not one")
    return tuple(value)


def _digest(arrays: Mapping[str, np.ndarray], about: str) -> str:
    digest = hashlib.sha256(about.encode("utf-8", "surrogatepass"))
    for name, array in sorted(arrays.items()):
        digest.update(json.dumps([name, str(array.dtype), array.shape]).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
