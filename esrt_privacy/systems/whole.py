"""A whole system, edge and cloud half: ESRT's own models, and checkpoints with code of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from esrt_privacy.esrt.cloud import Answer
    from esrt_privacy.esrt.model import EsrtModel
    from esrt_privacy.systems.released_model import ReleasedModel


class CloudHalf(Protocol):
    """Wire tensors of one spoken language -> answers, as `esrt.cloud.Cloud` gives them."""

    def translate(
        self, wire: Tensor, source: str, targets: Sequence[str], beam: int, most_tokens: int
    ) -> Sequence[Mapping[str, Answer]]:
        """Of each recording the answers by target language."""
        ...

    def transcribe(
        self, wire: Tensor, source: str, beam: int, most_tokens: int
    ) -> Sequence[Answer]:
        """Of each recording what was said."""
        ...


class Translator(Protocol):
    """Edge and cloud half of one system."""

    def encode(self, waves: Sequence[np.ndarray]) -> Tensor:
        """Waveforms (samples,) at 16 kHz -> wire tensors (batch, vectors, width)."""
        ...

    def cloud(self) -> CloudHalf:
        """The cloud half."""
        ...


def load_translator(
    name_or_folder: str, weights: Path | None = None, allow_remote_code: bool = False
) -> EsrtModel | ReleasedModel:
    """What `load_model` loads; or a checkpoint with code of its own, which the user has to allow.

    Raises AssetError or SystemUnavailable.
    """
    from esrt_privacy.systems.registry import is_released

    if is_released(name_or_folder, allow_remote_code):
        from esrt_privacy.systems.released_model import ReleasedModel
        from esrt_privacy.systems.remote_checkpoint import open_checkpoint

        return ReleasedModel.load(open_checkpoint(name_or_folder, allow_remote_code))
    return load_model(name_or_folder, weights)


def load_model(name_or_folder: str, weights: Path | None = None) -> EsrtModel:
    """A whole model by the reference's name, from a folder or from the hub, merged: to decode, not to be trained.

    Raises AssetError or SystemUnavailable where it has no cloud half, or is not to be had.
    """
    from esrt_privacy.esrt.model import EsrtModel
    from esrt_privacy.esrt.model_config import model_preset
    from esrt_privacy.systems.registry import REFERENCE_NAMES, reference_folder

    if name_or_folder in REFERENCE_NAMES:
        preset = model_preset(name_or_folder)
        return EsrtModel.from_pretrained(reference_folder(), preset, weights).merge()
    return EsrtModel.from_pretrained(name_or_folder, weights=weights).merge()
