"""Captures whose leaks are known: noise, and a direction for each value of a label at a given strength."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.captures import Capture
from esrt_privacy.captures.capture import CapturedUtterance
from esrt_privacy.captures.store import About
from esrt_privacy.corpora import Corpus

SHAPE = (6, 12)


@dataclass
class PlantedStore:
    """Tensors in memory."""

    tap: str
    tensors: dict[str, torch.Tensor]
    shape: tuple[int, int] = SHAPE
    keyed_by_audio = True

    @property
    def folder(self) -> Path:
        return Path(self.tap)

    @property
    def about(self) -> About:
        return About("planted", self.tap, hashlib.sha256(self.tap.encode()).hexdigest(), self.shape)

    def __contains__(self, key: str) -> bool:
        return key in self.tensors

    def tensor(self, key: str) -> torch.Tensor:
        return self.tensors[key]


def people(
    speakers: int = 24, each: int = 5, languages: int = 2, seed: int = 0, name: str = "planted"
) -> Corpus:
    """`speakers` people with `each` utterances: sex and language cross, every sentence is said once."""
    rng = np.random.default_rng(seed)
    rows = []
    for s in range(speakers):
        for n in range(each):
            key = f"{name}-{s}-{n}"
            rows.append(
                CapturedUtterance(
                    key,
                    Path(f"{key}.wav"),
                    speaker=f"{name}{s}",
                    session=f"{name}{s}-{n % 2}",
                    language=f"l{s // 2 % languages:02d}",
                    sex="FM"[s % 2],
                    text=" ".join(rng.choice(list("abcdefghijklmnop"), 16)),
                    duration=float(rng.uniform(1, 6)),
                    corpus=name,
                    tensor_key=key,
                )
            )
    return Corpus(name, tuple(rows))


def planted(
    corpus: Corpus,
    tap: str,
    leaks: Mapping[str, float],
    shape: tuple[int, int] = SHAPE,
    seed: int = 0,
) -> Capture:
    """Noise of deviation 1 and, for each label of `leaks`, a direction a value at that strength.

    A duration moves along one direction. Directions are the same at every tap and for every corpus.
    """
    rng = np.random.default_rng([seed, int(hashlib.sha256(tap.encode()).hexdigest()[:6], 16)])
    tensors = {}
    for u in corpus:
        signal = np.zeros(shape[1])
        for label, strength in leaks.items():
            value = getattr(u, label)
            if label == "duration":
                signal += strength * (value - 3.5) * direction(label, shape[1])
            elif value is not None:
                signal += strength * direction(f"{label} {value}", shape[1])
        tensors[u.fingerprint] = torch.tensor(rng.normal(size=shape) + signal, dtype=torch.float32)
    return Capture(corpus, PlantedStore(tap, tensors, shape))


def direction(name: str, width: int) -> np.ndarray:
    """A random vector of length 1 that its name decides."""
    seed = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
    vector = np.random.default_rng(seed).normal(size=width)
    return vector / np.linalg.norm(vector)


def inputs(
    corpus: Corpus,
    leaks: Mapping[str, Mapping[str, float]],
    training: Corpus | None = None,
    **options: object,
) -> Inputs:
    """What an attack on captures with these leaks by tap gets."""
    both = corpus if training is None else replace(corpus, utterances=(*corpus, *training))
    captures = {tap: planted(both, tap, strengths) for tap, strengths in leaks.items()}
    rest = {"seed": 0, "folds": 4, "budget": 0.1, **options}
    return Inputs("planted", captures, corpus, training, **rest)
