"""Whose recording an intercepted tensor is: an interceptor does not see it, an auditor may know it.

Either a file says it, or the order does, where the calls came strictly one after another. A tensor that is known is
kept under the fingerprint of its audio, as a capture of one's own is.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from esrt_privacy.corpora import Corpus, Utterance
from esrt_privacy.errors import AudioError, CaptureError, shown
from esrt_privacy.wire.call_evidence import Row, SeenTensor

if TYPE_CHECKING:
    from esrt_privacy.wire.intercepted import Recording

MOST_FILE_BYTES = 64 << 20


@dataclass(frozen=True)
class Labels:
    """By the tensor's key (SHA-256 of its bytes as sent): key in the capture, and the audio's path."""

    known: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over what is known."""
        return hashlib.sha256(json.dumps(sorted(self.known.items())).encode()).hexdigest()

    def of(self, key: str) -> tuple[str, str | None]:
        """Key and audio of a tensor; of one that is not known, its own key."""
        return self.known.get(key, (key, None))


def by_file(path: Path) -> Labels:
    """From JSON lines `{"tensor": KEY, "audio": PATH}`, where KEY is that of `tensors.jsonl`, PATH beside the file.

    Raises CaptureError naming the line.
    """
    known: dict[str, tuple[str, str]] = {}
    taken: dict[str, int] = {}
    for number, line in enumerate(_lines(path), 1):
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
            key, audio = row["tensor"], row["audio"]
            if not isinstance(key, str) or not isinstance(audio, str) or len(key) != 64:
                raise TypeError("tensor and audio must be a key of 64 letters and a path")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CaptureError(
                f'{where}: not {{"tensor": KEY, "audio": PATH}} ({shown(error)})'
            ) from error
        fingerprint = _fingerprint(Utterance(audio, path.parent / audio), where)
        if key in known or fingerprint in taken:
            raise CaptureError(
                f"{where}: this tensor or this audio is named before; name each tensor and audio once"
            )
        known[key] = fingerprint, audio
        taken[fingerprint] = number
    return Labels(known)


def by_order(recording: Recording, corpus: Corpus) -> Labels:
    """The first tensor is of the corpus's first utterance, and so on.

    Raises CaptureError where their numbers differ, or where calls overlapped in time: then the order says nothing.
    """
    from esrt_privacy.wire.intercepted import follow

    order = _Order()
    follow(recording, order, [])
    keys = order.keys()
    if len(keys) != len(corpus):
        raise CaptureError(
            f"{len(keys)} tensors were seen and {corpus.name} has {len(corpus)} recordings, so their order does not"
            " tell which is which; give --mapping FILE"
        )
    pairs = zip(keys, corpus, strict=True)
    labels = Labels({key: (_fingerprint(u, u.id), str(u.audio)) for key, u in pairs})
    if len({fingerprint for fingerprint, _ in labels.known.values()}) < len(keys):
        raise CaptureError(
            f"{corpus.name} holds one recording twice, so the order does not tell which is which; give --mapping FILE"
        )
    return labels


class _Order:
    """A sink that notes when each tensor was first sent."""

    def __init__(self) -> None:
        self._times: list[tuple[int, int, str]] = []  # first and last byte of a call, key

    def row(self, row: Row) -> None:
        if row.get("carried") == "tensor":
            up, down = row["up"], row["down"]
            last = max(up["last_ns"] or 0, down["last_ns"] or 0)
            self._times.append((up["first_ns"] or 0, last, row["tensor"]))

    def tensor(self, seen: SeenTensor) -> str | None:
        return None

    def keys(self) -> list[str]:
        """In order of time, each once."""
        self._times.sort()
        for (_, last, _), (first, _, _) in zip(self._times, self._times[1:], strict=False):
            if first < last:
                raise CaptureError(
                    "calls overlapped in time, so the order of the tensors does not tell whose they are; give"
                    " --mapping FILE, or record again with one recording at a time (translate --batch 1)"
                )
        return list(dict.fromkeys(key for _, _, key in self._times))


def _fingerprint(utterance: Utterance, where: str) -> str:
    try:
        return utterance.fingerprint
    except AudioError as error:
        raise CaptureError(f"{where}: {error}") from error


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise CaptureError(f"{path}: larger than {MOST_FILE_BYTES >> 20} MiB; not a mapping")
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise CaptureError(f"{path}: cannot be read ({shown(error)})") from error
