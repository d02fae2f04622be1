"""The transparent tensor: mel patches in the wire tensor's shape; everything can be read from it.

It is the positive control of every attack on a Q-Former's tensor: the same shape, the same budget,
nothing hidden. An attack that fails here is too weak to say anything. The log-mel of 30 s (80 ×
3000) is cut into as many patches in time as there are queries, and each patch is projected on the
leading principal components of speech.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from esrt_privacy.errors import AssetError, shown
from esrt_privacy.esrt.config import MEL_FRAMES


@dataclass(frozen=True)
class TransparentBasis:
    """Principal components of mel patches: mean (patch,) and components (width, patch)."""

    mean: Tensor
    components: Tensor
    vectors: int
    mel_bins: int

    @property
    def frames(self) -> int:
        """Mel frames in a patch; the last patch is padded with its own last frame."""
        return -(-MEL_FRAMES // self.vectors)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the values."""
        digest = hashlib.sha256(f"{self.vectors}|{self.mel_bins}".encode())
        for tensor in (self.mean, self.components):
            digest.update(tensor.float().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def project(self, mel: Tensor) -> Tensor:
        """(batch, mel bins, 3000) -> (batch, vectors, width), float32."""
        return (patches(mel, self.vectors) - self.mean) @ self.components.T

    def invert(self, tensor: Tensor) -> Tensor:
        """(batch, vectors, width) -> (batch, mel bins, 3000): the best linear reading."""
        flat = tensor.float() @ self.components + self.mean
        mel = flat.unflatten(-1, (self.mel_bins, self.frames))
        mel = mel.permute(0, 2, 1, 3).flatten(2)
        return mel[:, :, :MEL_FRAMES]

    def save(self, path: Path) -> None:
        """Write as safetensors, float16."""
        from safetensors.torch import save_file

        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {"mean": self.mean.half(), "components": self.components.half().contiguous()}
        sizes = {"vectors": str(self.vectors), "mel_bins": str(self.mel_bins)}
        save_file(tensors, path, metadata=sizes)

    @classmethod
    def load(cls, path: Path) -> TransparentBasis:
        """Read what `save` wrote. Raises AssetError naming the file."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                sizes = file.metadata() or {}
                mean, components = (
                    file.get_tensor("mean").float(),
                    file.get_tensor("components").float(),
                )
            basis = cls(mean, components, int(sizes["vectors"]), int(sizes["mel_bins"]))
            if not (0 < basis.vectors <= MEL_FRAMES and basis.mel_bins > 0):
                raise ValueError(f"{basis.vectors} vectors of {basis.mel_bins} mel bins")
            patch = basis.mel_bins * basis.frames
            if mean.shape != (patch,) or components.ndim != 2 or components.shape[1] != patch:
                raise ValueError(f"{tuple(components.shape)} components of patches of {patch}")
            return basis
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise AssetError(f"{path}: not a transparent basis ({shown(error)})") from error


def patches(mel: Tensor, vectors: int) -> Tensor:
    """(batch, mel bins, 3000) -> (batch, vectors, mel bins × frames of a patch)."""
    frames = -(-MEL_FRAMES // vectors)
    missing = vectors * frames - mel.shape[-1]
    padded = torch.cat([mel, mel[..., -1:].expand(-1, -1, missing)], dim=-1)
    return padded.unflatten(-1, (vectors, frames)).permute(0, 2, 1, 3).flatten(2)


def fit_basis(
    mels: list[Tensor], vectors: int, width: int, generator: np.random.Generator
) -> TransparentBasis:
    """PCA of mel patches (Pearson 1901) by singular values.

    `mels` holds (mel bins, frames) of speech without the padding; patches are cut at random offsets
    too, so that the basis does not depend on where speech starts. Speech shorter than a patch is
    filled up with its own silence. Directions that so little speech does not have are zeros.
    """
    frames = -(-MEL_FRAMES // vectors)
    rows = []
    for mel in mels:
        start = int(generator.integers(frames))
        if start >= mel.shape[1] - frames:
            start = 0
            filled = torch.full((mel.shape[0], frames + 1), float(mel.min()))
            filled[:, : mel.shape[1]] = mel[:, : frames + 1]
            mel = filled
        for first in range(start, mel.shape[1] - frames, frames):
            rows.append(mel[:, first : first + frames].flatten())
    data = torch.stack(rows).float()
    mean = data.mean(dim=0)
    components = torch.zeros(width, data.shape[1])
    found = _principal_directions(data - mean)[:width]
    components[: len(found)] = found
    # Stored in float16: rounded here, so that a saved basis has the fingerprint of the fitted one.
    return TransparentBasis(
        mean.half().float(), components.half().float(), vectors, mels[0].shape[0]
    )


def _principal_directions(centred: Tensor) -> Tensor:
    """(rows, values) -> orthonormal (directions, values), the strongest first.

    By whichever of the two Gram matrices is smaller: patches of few vectors have tens of thousands of values.
    """
    rows, values = centred.shape
    if values <= rows:
        return torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1).T
    # Double: in single precision weak directions come out visibly askew.
    centred = centred.double()
    strength, left = torch.linalg.eigh(centred @ centred.T)
    strength, left = strength.flip(0), left.flip(1)
    kept = strength > 1e-6 * strength[0]
    return ((left[:, kept] / strength[kept].sqrt()).T @ centred).float()
