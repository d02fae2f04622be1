"""What an attack gets: captures by tap, the people under attack, and other people to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from esrt_privacy.captures import Capture
from esrt_privacy.corpora import Corpus

if TYPE_CHECKING:
    import numpy as np

    from esrt_privacy.attacks.trials import TrialList


@dataclass(frozen=True)
class Inputs:
    """The material of one attack on one system. Test people never appear in what a fold trains on.

    `captures` hold, by tap, the tensors of `test` and of `training`. `budget` scales the number of training steps: 1 is
    the default, less for budget curves and quick tests. `trials` are the user's own list, else lists are drawn.
    `reconstructions` are what the reconstruction attack made of the test utterances, by tap and utterance id: sounds
    (samples,) at 16 kHz, for the ignorant attacker.
    """

    system: str
    captures: Mapping[str, Capture]
    test: Corpus
    training: Corpus | None  # other people's recordings that the attacker labelled itself
    seed: int
    folds: int = 5
    budget: float = 1.0
    trials: TrialList | None = None
    reconstructions: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    weights: Path | None = None  # a folder to look for model weights in, before the fetched ones
    model: str = ""  # as the system was asked for, where its cloud half can be loaded too
    allow_remote_code: bool = False  # the user's consent to the code of the system's publisher
