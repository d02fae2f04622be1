"""Both halves of a released checkpoint in one process, for translation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from esrt_privacy.systems.released import ReleasedCloud, ReleasedSystem
from esrt_privacy.systems.remote_checkpoint import Checkpoint


@dataclass(frozen=True)
class ReleasedModel:
    """The edge half as it runs on a device, and the cloud half beside it."""

    edge: ReleasedSystem
    cloud_half: ReleasedCloud

    @classmethod
    def load(cls, checkpoint: Checkpoint) -> ReleasedModel:
        """Each half as the released script loads it, through the checkpoint's own code.

        Raises SystemUnavailable.
        """
        return cls(ReleasedSystem.load(checkpoint), ReleasedCloud.load(checkpoint))

    def encode(self, waves: Sequence[np.ndarray]) -> Tensor:
        """Waveforms (samples,) at 16 kHz -> the wire tensor (batch, vectors, width)."""
        return self.edge.encode(waves)

    def cloud(self) -> ReleasedCloud:
        """The cloud half."""
        return self.cloud_half
