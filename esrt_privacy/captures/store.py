"""Captures on disk: tensors of one tap in safetensors shards, found by the audio's fingerprint.

One folder a tap: `about.json` says what the tensors are, each shard holds some utterances and is
written whole or not at all, so that a killed run goes on where it was. Tensors are memory-mapped;
each is checked against the SHA-256 in its shard's header when it is read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from esrt_privacy.errors import CaptureError, shown

FORMAT = 1
ABOUT_FILE = "about.json"
MAX_HEADER_BYTES = 16 * 1024 * 1024
OPEN_SHARDS = 16
MAX_ABOUT_BYTES = 64 * 1024


@dataclass(frozen=True)
class About:
    """What the tensors of a capture are."""

    system: str
    tap: str
    fingerprint: str  # of everything that decided the values
    shape: tuple[int, int]  # (vectors, width)

    def to_json(self) -> str:
        """As `about.json` holds it."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1)

    @classmethod
    def read(cls, path: Path) -> About:
        """Read what `to_json` gave. Raises CaptureError for anything else."""
        try:
            if path.stat().st_size > MAX_ABOUT_BYTES:
                raise ValueError(f"{ABOUT_FILE} is too long")
            row = json.loads(path.read_text(encoding="utf-8"))
            if row["format"] != FORMAT:
                raise CaptureError(f"{path}: format {shown(row['format'])} is not known here")
            vectors, width = row["shape"]
            if not all(type(size) is int and size > 0 for size in (vectors, width)):
                raise ValueError(f"shape {row['shape']}")
            system, tap, fingerprint = (row[name] for name in ("system", "tap", "fingerprint"))
            if not all(isinstance(name, str) for name in (system, tap, fingerprint)):
                raise TypeError("system, tap and fingerprint must be text")
            return cls(system, tap, fingerprint, (vectors, width))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise CaptureError(f"{path.parent}: no capture here ({shown(error)})") from error


class TapStore:
    """The tensors of one tap of one system, keyed by audio fingerprint."""

    keyed_by_audio = True

    def __init__(self, folder: Path, about: About) -> None:
        self.folder = folder
        self.about = about
        self._shards: dict[str, Path] = {}
        self._digests: dict[str, str] = {}
        self._open: dict[Path, Any] = {}
        self._checked: set[str] = set()
        for path in sorted(folder.glob("*.safetensors")):
            for key, digest in _shard_digests(path).items():
                self._shards[key] = path
                self._digests[key] = digest

    @classmethod
    def create(
        cls, folder: Path, *, system: str, tap: str, fingerprint: str, shape: Sequence[int]
    ) -> TapStore:
        """Open the store in `folder`, or start one.

        Raises CaptureError where it holds another tap's tensors.
        """
        vectors, width = shape
        about = About(system, tap, fingerprint, (vectors, width))
        if (folder / ABOUT_FILE).exists():
            store = cls.open(folder)
            held = store.about
            if (held.fingerprint, held.shape) != (fingerprint, about.shape):
                raise CaptureError(
                    f"{folder}: a capture of another system ({shown(held.system)}, tap"
                    f" {shown(held.tap)}); give another folder"
                )
            return store
        folder.mkdir(parents=True, exist_ok=True)
        _write_atomically(folder / ABOUT_FILE, about.to_json().encode())
        return cls(folder, about)

    @classmethod
    def open(cls, folder: Path) -> TapStore:
        """Open an existing store. Raises CaptureError naming the missing or damaged file."""
        return cls(folder, About.read(folder / ABOUT_FILE))

    def __contains__(self, key: str) -> bool:
        return key in self._shards

    def __len__(self) -> int:
        return len(self._shards)

    @property
    def keys(self) -> list[str]:
        """Audio fingerprints held, sorted."""
        return sorted(self._shards)

    def add(self, tensors: dict[str, Tensor]) -> None:
        """Write one shard of tensors (vectors, width), whole or not at all.

        Raises CaptureError, and writes nothing, where a tensor has another shape than the tap or
        holds NaN or infinity: half precision may be too narrow for what a system computes.
        """
        from safetensors.torch import save

        for tensor in tensors.values():
            if tuple(tensor.shape) != self.about.shape:
                raise CaptureError(
                    f"{self.about.system} gave a tensor of shape {tuple(tensor.shape)} at"
                    f" {self.about.tap}, not {self.about.shape}; nothing was stored"
                )
            if not torch.isfinite(tensor).all():
                raise CaptureError(
                    f"{self.about.system} gave values that are no numbers at {self.about.tap}"
                    f" ({tensor.dtype}); nothing was stored, choose another tap"
                )
        tensors = {key: tensor.contiguous() for key, tensor in tensors.items()}
        digests = {key: _digest(tensor) for key, tensor in tensors.items()}
        name = hashlib.sha256("".join(sorted(tensors)).encode()).hexdigest()[:24]
        path = self.folder / f"{name}.safetensors"
        _write_atomically(path, save(tensors, metadata={"sha256": json.dumps(digests)}))
        self._shards |= dict.fromkeys(tensors, path)
        self._digests |= digests

    def tensor(self, key: str) -> Tensor:
        """One utterance's tensor (vectors, width). Raises CaptureError if missing or damaged."""
        from safetensors import SafetensorError, safe_open

        if key not in self._shards:
            raise CaptureError(f"{self.folder}: no tensor of this audio in the capture")
        path = self._shards[key]
        try:
            if path not in self._open:
                # A mapped shard counts as memory of the process while it is open.
                while len(self._open) >= OPEN_SHARDS:
                    self._open.pop(next(iter(self._open))).__exit__(None, None, None)
                self._open[path] = safe_open(path, framework="pt").__enter__()
            tensor: Tensor = self._open[path].get_tensor(key)
        except (OSError, SafetensorError) as error:
            raise _damaged(path, error) from error
        if key not in self._checked:
            if tuple(tensor.shape) != self.about.shape:
                raise _damaged(path, f"shape {tuple(tensor.shape)}")
            if _digest(tensor) != self._digests[key]:
                raise _damaged(path, "checksum differs")
            if not torch.isfinite(tensor).all():
                raise _damaged(path, "values that are no numbers")
            self._checked.add(key)
        return tensor


def _digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.view(torch.uint8).numpy().tobytes()).hexdigest()[:32]


def _shard_digests(path: Path) -> dict[str, str]:
    # Only the header is read here: its length is bounded before anything is allocated.
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 0 < size <= min(MAX_HEADER_BYTES, path.stat().st_size):
                raise _damaged(path, "header length")
            header = json.loads(file.read(size))
        end = max(row["data_offsets"][1] for k, row in header.items() if k != "__metadata__")
        if path.stat().st_size != 8 + size + end:
            raise _damaged(path, "truncated")
        digests = json.loads(header["__metadata__"]["sha256"])
        if not isinstance(digests, dict) or set(digests) != set(header) - {"__metadata__"}:
            raise _damaged(path, "checksums missing")
        return digests
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, reason: object) -> CaptureError:
    return CaptureError(f"{path}: damaged shard ({shown(reason)}); delete the file and run again")


def _write_atomically(path: Path, data: bytes) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    with open(partial, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
