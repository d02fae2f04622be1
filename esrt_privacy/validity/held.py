"""Real tensors in memory, with labels that can be shuffled and signals that can be planted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from esrt_privacy.attacks.sequences import readable
from esrt_privacy.captures import Capture
from esrt_privacy.captures.capture import CapturedUtterance, StoreView
from esrt_privacy.corpora import Corpus, Utterance
from esrt_privacy.errors import AttackError

LEADING = 32  # principal directions in which tensors vary most, among which a signal is planted
ENERGY_FLOOR = 1e-6  # of the strongest direction: what is weaker is rounding


@dataclass
class HeldStore(StoreView):
    """A store whose tensors lie in memory, (vectors, width) float32, by key."""

    tensors: Mapping[str, Tensor]

    def tensor(self, key: str) -> Tensor:
        """(vectors, width)."""
        return self.tensors[key]


@dataclass(frozen=True)
class Held:
    """The readable utterances of a capture that carry what a question needs, and their tensors."""

    corpus: Corpus
    capture: Capture

    @classmethod
    def of(cls, capture: Capture, corpus: Corpus) -> Held:
        """Raises AttackError where nothing can be read."""
        kept, _ = readable(capture, corpus)
        if not kept:
            raise AttackError(f"{corpus.name}: no tensor at {capture.tap} can be read")
        rows = tuple(_captured(u) for u in kept)
        tensors = {
            row.fingerprint: capture.tensor(u).float() for row, u in zip(rows, kept, strict=True)
        }
        whole = replace(corpus, utterances=rows)
        return cls(whole, Capture(whole, HeldStore(capture.store, tensors)))

    def directions(self, rng: np.random.Generator, count: int) -> list[Tensor]:
        """`count` directions, (vectors, width) each, in which the tensors vary with deviation 1 and uncorrelated.

        Random turns of the LEADING principal components over the whole tensors, each scaled by its own deviation: the
        directions in which tensors differ by nature, so that a signal there is neither hidden nor bare. Raises
        AttackError where the tensors vary in fewer directions.
        """
        keys = [u.fingerprint for u in self.corpus]
        rows = torch.stack([self.capture.store.tensor(key).flatten() for key in keys])
        centred = rows - rows.mean(dim=0)
        strength, left = torch.linalg.eigh((centred @ centred.T).double())
        kept = torch.argsort(strength, descending=True)[:LEADING]
        kept = kept[strength[kept] > ENERGY_FLOOR * strength.max()]
        if len(kept) < count:
            raise AttackError(
                f"{self.corpus.name}: {len(keys)} tensors vary in {len(kept)} directions, {count} are needed;"
                " give more recordings"
            )
        # Of deviation 1: a component times its deviation.
        scaled = (left[:, kept].T.float() @ centred) / np.sqrt(len(keys))
        turn, _ = np.linalg.qr(rng.normal(size=(len(kept), len(kept))))
        turned = torch.from_numpy(turn[:count]).float() @ scaled
        return [row.reshape(self.capture.shape) for row in turned]

    def planted(self, signal: Callable[[Utterance], Tensor]) -> Held:
        """The same with a signal (vectors, width) added to each utterance's tensor."""
        store = self.capture.store
        tensors = {u.fingerprint: store.tensor(u.fingerprint) + signal(u) for u in self.corpus}
        return replace(self, capture=Capture(self.corpus, HeldStore(store, tensors)))

    def labelled(self, label: str, values: Sequence[object]) -> Held:
        """The same utterances with other values of a label, and the same tensors."""
        rows = tuple(
            replace(u, **{label: value})  # type: ignore[arg-type]
            for u, value in zip(self.corpus, values, strict=True)
        )
        corpus = replace(self.corpus, utterances=rows)
        return Held(corpus, Capture(corpus, self.capture.store))


def _captured(utterance: Utterance) -> CapturedUtterance:
    known = {f.name: getattr(utterance, f.name) for f in fields(Utterance)}
    return CapturedUtterance(**known, tensor_key=utterance.fingerprint)
