"""The training audio through the frozen encoder, once: a capture of the tap `encoder`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from esrt_privacy.corpora import Corpus
from esrt_privacy.esrt.edge import Edge
from esrt_privacy.esrt.encoder import log_mel
from esrt_privacy.esrt.training.frames import StoredFrames
from esrt_privacy.esrt.training.selection import Selection
from esrt_privacy.progress import Reporter

if TYPE_CHECKING:
    from accelerate import Accelerator

    from esrt_privacy.systems.base import Tap

TAP = "encoder"


class _DeviceEncoder:
    """The system's `encoder` tap alone, computed where the training runs."""

    def __init__(self, edge: Edge, device: torch.device) -> None:
        from esrt_privacy.systems.esrt_system import EsrtSystem

        system = EsrtSystem(edge)
        self.name = system.name
        self.taps: dict[str, Tap] = {TAP: system.taps[TAP]}
        self._encoder = edge.encoder.to(device)
        self._device = device

    @torch.inference_mode()
    def represent(self, waves: Sequence[np.ndarray], taps: Sequence[str]) -> dict[str, Tensor]:
        """Waveforms (samples,) at 16 kHz -> frames (batch, 1500, width) in float16."""
        mel = log_mel(waves, self._encoder.config.mel_bins)
        frames = self._encoder(mel.to(self._device))
        return {TAP: frames.to(self.taps[TAP].dtype).cpu()}


def stored_frames(
    edge: Edge, selection: Selection, root: Path, accelerator: Accelerator, report: Reporter
) -> tuple[StoredFrames, Selection]:
    """Encode what `root` does not hold yet, each process its share; the frames, and what is left.

    Recordings that cannot be decoded are left out with a note. Raises CorpusError where none is left.
    """
    from esrt_privacy.captures import capture

    system = _DeviceEncoder(edge, accelerator.device)
    rank, world = accelerator.process_index, accelerator.num_processes
    corpus = Corpus("training audio", selection.with_text)

    def told(done: int, total: int) -> None:
        if accelerator.is_main_process:
            report("encoding the recordings", done, total)

    if world > 1:
        share = corpus.utterances[rank::world]
        if share:
            capture(system, [TAP], replace(corpus, utterances=share), root, told)
        accelerator.wait_for_everyone()
    captured = capture(system, [TAP], corpus, root, told)[TAP]
    edge.encoder.to("cpu")  # its memory is free for the LLM
    kept = {u.id for u in captured.corpus}
    lost = {u.id for u in corpus} - kept
    return StoredFrames(captured.store.tensor), selection.less(lost, captured.corpus.notes)
