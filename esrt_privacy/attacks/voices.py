"""Real voices by GE2E, encoded once like any tap and found again: what an attacker has who holds recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from esrt_privacy.captures import Capture, capture
from esrt_privacy.corpora import Corpus
from esrt_privacy.errors import AudioError
from esrt_privacy.judges.speakers import EMBEDDING, Ge2e
from esrt_privacy.progress import Reporter, silent
from esrt_privacy.systems.base import Tap

TAP = "voice"


@dataclass(frozen=True)
class VoiceSystem:
    """The speaker encoder as a system with one tap: (1, 256), of unit length, zeros where there is no voice."""

    encoder: Ge2e
    name: str = "ge2e"

    @property
    def taps(self) -> dict[str, Tap]:
        """The one tap."""
        shape = (1, EMBEDDING)
        return {TAP: Tap(TAP, shape, torch.float32, self.encoder.fingerprint, is_wire=True)}

    def represent(self, waves: Sequence[np.ndarray], taps: Sequence[str]) -> dict[str, Tensor]:
        """Waveforms (samples,) at 16 kHz -> (batch, 1, 256)."""
        rows = np.zeros((len(waves), 1, EMBEDDING), dtype=np.float32)
        for row, wave in zip(rows, waves, strict=True):
            voice = voice_of(self.encoder, wave)
            row[0] = 0.0 if voice is None else voice
        return {TAP: torch.from_numpy(rows)}


def voice_of(encoder: Ge2e, wave: np.ndarray) -> np.ndarray | None:
    """The voice of one recording, (256,) of unit length; None for a recording without one, such as silence."""
    try:
        return encoder.embed(wave)
    except AudioError:
        return None


def real_voices(
    encoder: Ge2e, corpus: Corpus, root: Path, report: Reporter = silent
) -> dict[str, np.ndarray]:
    """Utterance fingerprint -> its recording's voice, (256,) of unit length; without those that have none.

    Kept under `root` by audio fingerprint. Raises CorpusError when no recording can be decoded.
    """
    label = f"listening to {len(corpus)} recordings"
    held: Capture = capture(
        VoiceSystem(encoder), [TAP], corpus, root, lambda done, total: report(label, done, total)
    )[TAP]
    rows = {u.fingerprint: held.tensor(u)[0].numpy() for u in held.corpus}
    return {key: row for key, row in rows.items() if row.any()}
