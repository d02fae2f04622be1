"""A capture: the tensors of one tap of one system over one corpus, made once and found again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from esrt_privacy.captures.store import About, TapStore
from esrt_privacy.corpora import Corpus, Utterance
from esrt_privacy.errors import AudioError, CaptureError, CorpusError, shown
from esrt_privacy.systems.base import System

BATCH = 8
SHARD_UTTERANCES = 32

Progress = Callable[[int, int], None]


class TensorStore(Protocol):
    """Where a capture's tensors lie: a `TapStore`, or what someone else has written."""

    @property
    def folder(self) -> Path: ...

    @property
    def about(self) -> About: ...

    @property
    def keyed_by_audio(self) -> bool:
        """Whether a key is the fingerprint of the audio; else it only tells tensors apart."""
        ...

    def __contains__(self, key: str) -> bool: ...

    def tensor(self, key: str) -> Tensor:
        """(vectors, width). Raises CaptureError if missing or damaged."""
        ...


@dataclass
class StoreView:
    """A store seen through another: all that a subclass does not change is the inner one's."""

    inner: TensorStore

    @property
    def folder(self) -> Path:
        """Where the inner store lies."""
        return self.inner.folder

    @property
    def about(self) -> About:
        """What the tensors are."""
        return self.inner.about

    @property
    def keyed_by_audio(self) -> bool:
        """As the inner store is."""
        return self.inner.keyed_by_audio

    def __contains__(self, key: str) -> bool:
        return key in self.inner

    def tensor(self, key: str) -> Tensor:
        """(vectors, width). Raises CaptureError if missing or damaged."""
        return self.inner.tensor(key)


@dataclass(frozen=True)
class CapturedUtterance(Utterance):
    """An utterance known by its tensor: `audio` is what the capture calls it, and may not be here.

    Its fingerprint is the key of its tensor, whatever becomes of the audio.
    """

    tensor_key: str = field(kw_only=True)

    @property
    def fingerprint(self) -> str:
        """Key of the tensor in its store."""
        return self.tensor_key

    def waveform(self) -> NDArray[np.float32]:
        """As for any utterance; AudioError where only the tensor was captured."""
        if not self.audio.is_file():
            raise AudioError(
                f"{shown(self.id)}: the capture holds its tensor, not its audio; give the corpus"
                " that it was made from"
            )
        return super().waveform()


@dataclass(frozen=True)
class Capture:
    """What an interceptor holds. `corpus` are the utterances whose tensors are in `store`."""

    corpus: Corpus
    store: TensorStore

    @property
    def system_name(self) -> str:
        """Of the system that made it."""
        return self.store.about.system

    @property
    def tap(self) -> str:
        """The tap's name."""
        return self.store.about.tap

    @property
    def shape(self) -> tuple[int, int]:
        """(vectors, width) of each tensor."""
        return self.store.about.shape

    @property
    def system_fingerprint(self) -> str:
        """Of everything that decided the values."""
        return self.store.about.fingerprint

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the system's and each utterance's fingerprint, in order."""
        rows = [self.system_fingerprint, *(u.fingerprint for u in self.corpus)]
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()

    def tensor(self, utterance: Utterance) -> Tensor:
        """One utterance's tensor (vectors, width)."""
        return self.store.tensor(utterance.fingerprint)

    def batch(self, utterances: Sequence[Utterance]) -> Tensor:
        """Tensors of several utterances, float32 (batch, vectors, width)."""
        return torch.stack([self.tensor(u).float() for u in utterances])

    def require(self, system: System) -> None:
        """Raise CaptureError unless this is a capture of `system`'s tap of the same name."""
        tap = system.taps.get(self.tap)
        if tap is None or tap.fingerprint != self.system_fingerprint:
            raise CaptureError(
                f"{self.store.folder}: a capture of {shown(self.system_name)} at"
                f" {shown(self.tap)}, not of {system.name}; encode the audio again with this system"
            )


def capture(
    system: System,
    taps: Sequence[str],
    corpus: Corpus,
    root: Path,
    progress: Progress | None = None,
    batch: int = BATCH,
) -> dict[str, Capture]:
    """Encode what `root` does not hold yet, and return a capture for each tap.

    Utterances whose audio cannot be decoded are left out with a note; CorpusError when none is
    left. Interrupted at any time, the next call goes on with the first shard that is missing.
    """
    stores = {name: _store(system, name, root) for name in taps}
    missing = [u for u in corpus if _lacking(u, stores)]
    done = len(corpus) - len(missing)
    bad: dict[str, str] = {}
    buffers: dict[str, dict[str, Tensor]] = {name: {} for name in taps}
    for start in range(0, len(missing), batch):
        waves, good = [], []
        for utterance in missing[start : start + batch]:
            try:
                waves.append(utterance.waveform())
                good.append(utterance)
            except AudioError as error:
                bad[utterance.id] = str(error)
        if good:
            wanted = [name for name in taps if any(u.fingerprint not in stores[name] for u in good)]
            tensors = system.represent(waves, wanted)
            for name in wanted:
                rows = zip(good, tensors[name], strict=True)
                store = stores[name]
                buffers[name] |= {u.fingerprint: t for u, t in rows if u.fingerprint not in store}
        last = start + batch >= len(missing)
        for name, buffer in buffers.items():
            if buffer and (last or len(buffer) >= SHARD_UTTERANCES):
                stores[name].add({k: t.clone() for k, t in buffer.items()})
                buffer.clear()
        if progress is not None:
            progress(done + min(start + batch, len(missing)), len(corpus))
    if bad:
        notes = (*corpus.notes, *(f"left out {reason}" for reason in bad.values()))
        corpus = replace(corpus.filter(lambda u: u.id not in bad), notes=notes)
        if not len(corpus):
            raise CorpusError(f"{corpus.name}: no recording could be decoded; {notes[-1]}")
    return {name: Capture(corpus, stores[name]) for name in taps}


def _lacking(utterance: Utterance, stores: dict[str, TapStore]) -> bool:
    try:
        key = utterance.fingerprint
    except AudioError:
        return True  # said when its audio is read
    return any(key not in store for store in stores.values())


def _store(system: System, name: str, root: Path) -> TapStore:
    tap = system.taps.get(name)
    if tap is None:
        raise CaptureError(
            f"system {system.name} has no tap '{name}'; it has {', '.join(system.taps)}"
        )
    return TapStore.create(
        root / f"{name}-{tap.fingerprint[:16]}",
        system=system.name,
        tap=name,
        fingerprint=tap.fingerprint,
        shape=tap.shape,
    )
