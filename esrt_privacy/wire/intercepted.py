"""From recorded bytes to a capture: the tensors as they were sent, and what travelled beside them.

    OUT/captures/qformer-…/   a capture (`captures/store.py`), one for each shape that was seen
    OUT/evidence.jsonl        one row a call, an exchange and a connection (`wire/evidence.py`)
    OUT/tensors.jsonl         one row a tensor: its key, what it is, when it was first seen, and whose recording it is

A recording itself is never changed; the same one read again gives the same files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from esrt_privacy.errors import CaptureError, shown
from esrt_privacy.wire.address import Address
from esrt_privacy.wire.call_evidence import Links, Row, SeenTensor, Sink
from esrt_privacy.wire.errors import MessageError, WireError
from esrt_privacy.wire.evidence import Witness
from esrt_privacy.wire.grpc_calls import Held
from esrt_privacy.wire.reassembly import read_pcap
from esrt_privacy.wire.streams import Event, Peers, Remark, log_files, read_log
from esrt_privacy.wire.tensors import decode_tensor

if TYPE_CHECKING:
    from torch import Tensor

    from esrt_privacy.captures.store import TapStore
    from esrt_privacy.systems.base import Tap
    from esrt_privacy.wire.labels import Labels

TAP = "qformer"
UNKNOWN_SYSTEM = "intercepted"
EVIDENCE_FILE, TENSORS_FILE, CAPTURES_FOLDER = "evidence.jsonl", "tensors.jsonl", "captures"
MOST_SHAPES = 8  # captures of one reading
MOST_NOTES = 10  # on connections that are told at once; evidence has them all
SHARD_TENSORS = 32
SHARD_BYTES = 16 << 20


@dataclass(frozen=True)
class Recording:
    """Recorded traffic: logs of the proxy, or a pcap file."""

    logs: tuple[Path, ...] = ()
    pcap: Path | None = None
    cloud: Address | None = None  # of a pcap file: no other connections

    @classmethod
    def of_logs(cls, path: Path) -> Recording:
        """A log, or a folder of them. Raises WireError where there is none."""
        return cls(tuple(log_files(path)))

    def events(self) -> Iterator[tuple[Peers | None, Event | None]]:
        """Of every connection; None when it is over. Raises WireError for files of another kind."""
        if self.pcap is not None:
            yield from read_pcap(self.pcap, self.cloud)
        for path in self.logs:
            peers, events = read_log(path)
            for event in events:
                yield peers, event
            yield peers, None

    def fingerprint(self) -> str:
        """SHA-256 (hex) over the files. Raises WireError where one cannot be read."""
        whole = hashlib.sha256()
        for path in (*self.logs, *([self.pcap] if self.pcap is not None else [])):
            try:
                with path.open("rb") as file:
                    whole.update(hashlib.file_digest(file, "sha256").digest())
            except OSError as error:
                raise WireError(f"{path}: cannot be read ({error.strerror})") from error
        return whole.hexdigest()


@dataclass
class Recovered:
    """What was found."""

    connections: dict[str, int] = field(default_factory=dict)  # by transport
    calls: int = 0
    tensors: int = 0  # distinct ones
    sendings: int = 0  # of tensors, repeated ones too
    captures: list[Path] = field(default_factory=list)
    evidence: Path = Path(EVIDENCE_FILE)
    notes: list[str] = field(default_factory=list)


def recover(
    recording: Recording,
    out: Path,
    labels: Labels | None = None,
    system: tuple[str, Tap] | None = None,
) -> Recovered:
    """Write capture and evidence of a recording into `out`.

    `labels` tell whose recordings the tensors are; a tensor without one is kept under the hash of its bytes. `system`
    is the name and wire tap of the system that the edge is known to run; without it the capture is of an unknown one.
    Raises WireError for a recording that cannot be read or an `out` that cannot be written, CaptureError where `out`
    holds a capture of something else.
    """
    found = Recovered(evidence=out / EVIDENCE_FILE)
    try:
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
        parts = [out / f"{name}.part" for name in (EVIDENCE_FILE, TENSORS_FILE)]
        with parts[0].open("w") as evidence, parts[1].open("w") as listed:
            content = recording.fingerprint()
            if labels is not None:  # other keys make another capture
                content += labels.fingerprint
            keeper = Keeper(content, out, labels, system)
            sink = _Files(found, keeper, evidence, listed)
            follow(recording, sink, found.notes)
            found.captures = keeper.close()
        for part in parts:
            part.replace(part.with_suffix(""))
    except OSError as error:
        raise WireError(
            f"{out}: cannot hold what was found ({shown(error.strerror)}); give another folder as --out"
        ) from error
    found.notes += keeper.notes
    if not found.tensors:
        found.notes.append("no tensor was seen in plaintext, so there is no capture")
    return found


def follow(recording: Recording, sink: Sink, notes: list[str]) -> None:
    """Tell `sink` all that a recording shows; `notes` gets remarks on the recording itself."""
    links, held = Links(), Held()
    open_ones: dict[str, Witness] = {}
    for peers, event in recording.events():
        if peers is None:
            if isinstance(event, Remark):
                notes.append(event.text)
        elif event is None:
            (open_ones.pop(peers.name, None) or Witness(peers, sink, links, held)).finish()
        else:
            if peers.name not in open_ones:
                open_ones[peers.name] = Witness(peers, sink, links, held)
            open_ones[peers.name].feed(event)


@dataclass
class _Files:
    """Rows of evidence and tensors on their way to disk."""

    found: Recovered
    keeper: Keeper
    evidence: TextIO
    listed: TextIO

    def row(self, row: Row) -> None:
        if row["kind"] == "call":
            self.found.calls += 1
        elif row["kind"] == "connection":
            kinds = self.found.connections
            kinds[row["transport"]] = kinds.get(row["transport"], 0) + 1
            for note in row["notes"]:
                if len(self.found.notes) < MOST_NOTES:
                    self.found.notes.append(f"connection {row['connection']}: {note}")
        self.evidence.write(json.dumps(row) + "\n")

    def tensor(self, seen: SeenTensor) -> str | None:
        self.found.sendings += 1
        try:
            row = self.keeper.keep(seen)
        except MessageError as error:
            return f"not kept: {shown(error)}"
        if row is not None:
            self.found.tensors += 1
            self.listed.write(json.dumps(row) + "\n")
        return None


class Keeper:
    """Puts tensors into captures, each once."""

    def __init__(
        self,
        content: str,
        out: Path,
        labels: Labels | None = None,
        system: tuple[str, Tap] | None = None,
    ) -> None:
        """`content` is the fingerprint of the recording."""
        self._content = content
        self._out = out
        self._labels = labels
        self._system = system
        self._kept: set[str] = set()
        self._stores: dict[tuple[int, int], TapStore] = {}
        self._waiting: dict[tuple[int, int], dict[str, Tensor]] = {}
        self.notes: list[str] = []

    def keep(self, seen: SeenTensor) -> Row | None:
        """What `tensors.jsonl` says of it; None for one that is kept already. Raises MessageError for a broken one."""
        if seen.key in self._kept:
            return None
        tensor = decode_tensor(seen.data)
        shape = (tensor.shape[0], tensor.shape[1])
        store = self._store(shape)
        self._kept.add(seen.key)
        key, audio = seen.key, None
        if self._labels is not None:
            key, audio = self._labels.of(seen.key)
        if key not in store:
            waiting = self._waiting[shape]
            waiting[key] = tensor
            size = sum(t.numel() * t.element_size() for t in waiting.values())
            if len(waiting) >= SHARD_TENSORS or size >= SHARD_BYTES:
                self._write(shape)
        return {
            "tensor": seen.key,
            "key": key,
            "audio": audio,
            "shape": list(shape),
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "sent_bytes": len(seen.data),
            "connection": seen.connection,
            "stream": seen.stream,
            "source": seen.source,
        }

    def close(self) -> list[Path]:
        """Write what is left; the captures' folders."""
        for shape in self._stores:
            self._write(shape)
        return [store.folder for store in self._stores.values()]

    def _store(self, shape: tuple[int, int]) -> TapStore:
        from esrt_privacy.captures.store import TapStore

        if shape in self._stores:
            return self._stores[shape]
        if self._system is not None:
            name, tap = self._system
            fingerprint = tap.fingerprint
            if shape != tap.shape:
                raise MessageError(f"a tensor of {shape}, which {name} does not send")
        else:
            # What made the values is not known; two recordings must not pass for one system.
            name = UNKNOWN_SYSTEM
            fingerprint = (
                f"unknown-{hashlib.sha256(f'{self._content} {shape}'.encode()).hexdigest()}"
            )
        if len(self._stores) >= MOST_SHAPES:
            raise MessageError(f"more than {MOST_SHAPES} shapes of tensors in one recording")
        label = fingerprint.removeprefix("unknown-")[:16]
        store = TapStore.create(
            self._out / CAPTURES_FOLDER / f"{TAP}-{label}",
            system=name,
            tap=TAP,
            fingerprint=fingerprint,
            shape=shape,
        )
        self._stores[shape], self._waiting[shape] = store, {}
        return store

    def _write(self, shape: tuple[int, int]) -> None:
        if self._waiting[shape]:
            try:
                self._stores[shape].add(self._waiting[shape])
            except OSError as error:
                raise CaptureError(
                    f"{self._stores[shape].folder}: cannot be written ({error.strerror}); make room and read again"
                ) from error
            self._waiting[shape] = {}
