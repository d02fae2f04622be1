"""An ESRT system as something to audit: its edge half, seen at each tap."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from esrt_privacy.esrt.config import ENCODER_FRAMES, MEL_FRAMES
from esrt_privacy.esrt.edge import Edge
from esrt_privacy.esrt.encoder import log_mel
from esrt_privacy.systems.base import Tap, require_taps
from esrt_privacy.systems.transparent import TransparentBasis


class EsrtSystem:
    """Taps of an edge half: `mel`, `transparent` (if given), `encoder.k`, `encoder`, `qformer`."""

    def __init__(self, edge: Edge, transparent: TransparentBasis | None = None) -> None:
        self.edge = edge
        self.transparent = transparent

    def with_transparent(self, basis: TransparentBasis) -> EsrtSystem:
        """The same system with the positive control as a tap."""
        return EsrtSystem(self.edge, basis)

    @property
    def name(self) -> str:
        """The configuration's name."""
        return self.edge.config.name

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing beside the findings."""
        return ()

    @cached_property
    def taps(self) -> dict[str, Tap]:
        """By name, in order from the microphone."""
        encoder = self.edge.config.encoder
        weights = self.edge.encoder_fingerprint
        taps = [
            Tap(
                "mel",
                (MEL_FRAMES, encoder.mel_bins),
                torch.float16,
                mel_fingerprint(encoder.mel_bins),
            )
        ]
        if self.transparent is not None:
            shape = (self.transparent.vectors, self.transparent.components.shape[0])
            taps.append(Tap("transparent", shape, torch.bfloat16, self.transparent.fingerprint))
        frames = (ENCODER_FRAMES, encoder.width)
        for k in range(encoder.layers):
            layer = hashlib.sha256(f"{weights}|{k}".encode()).hexdigest()
            taps.append(Tap(f"encoder.{k}", frames, torch.float16, layer))
        taps.append(Tap("encoder", frames, torch.float16, weights))
        wire = self.edge.wire_fingerprint
        taps.append(Tap("qformer", self.edge.config.wire_shape, torch.bfloat16, wire, is_wire=True))
        return {tap.name: tap for tap in taps}

    @torch.inference_mode()
    def represent(self, waves: Sequence[np.ndarray], taps: Sequence[str]) -> dict[str, Tensor]:
        """Waveforms (samples,) at 16 kHz -> for each tap (batch, vectors, width), its dtype."""
        require_taps(self, taps)
        mel = log_mel(waves, self.edge.config.encoder.mel_bins)
        out: dict[str, Tensor] = {}
        if "mel" in taps:
            out["mel"] = mel.transpose(1, 2)
        if "transparent" in taps and self.transparent is not None:
            out["transparent"] = self.transparent.project(mel)
        inner = [name for name in taps if name.startswith("encoder.")]
        if inner:
            layers = self.edge.encoder.layers(mel)
            out |= {name: layers[int(name.split(".")[1])] for name in inner}
        if "encoder" in taps or "qformer" in taps:
            frames = layers[-1] if inner else self.edge.encoder(mel)
            if "encoder" in taps:
                out["encoder"] = frames
            if "qformer" in taps:
                out["qformer"] = self.edge.qformer(frames, self.edge.config.queries)
        return {name: out[name].to(self.taps[name].dtype) for name in taps}


def mel_fingerprint(mel_bins: int) -> str:
    """Of Whisper's log-mel front end, which has no weights."""
    return hashlib.sha256(f"whisper log-mel {mel_bins}".encode()).hexdigest()
