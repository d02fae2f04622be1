"""Tensors as trained heads take them: the silent padding cut off, fine frames averaged, read once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from esrt_privacy.captures import Capture
from esrt_privacy.captures.capture import StoreView
from esrt_privacy.corpora import Utterance
from esrt_privacy.corpora.audio import WINDOW_SECONDS
from esrt_privacy.errors import AttackError, CaptureError

STEPS = 750  # most steps of 30 s: finer frames are averaged, 40 ms a step
PADDING_TOLERANCE = 1e-3  # of the tensor's deviation: vectors that differ by less are one padding
LEAST_STEPS = 4
TIME_TAPS = ("waveform", "mel", "transparent", "encoder")  # also encoder.k


def sequences(capture: Capture, utterances: Sequence[Utterance], trim: bool = True) -> list[Tensor]:
    """Each utterance's tensor as (steps, width) float32; steps differ between utterances where `trim` cuts.

    Only what has a time axis is cut (`comes_whole` says what has none). At `mel` and in the transparent tensor the
    padding can be seen: it is the vectors at the end that all equal the last one. At the encoder every vector differs,
    but its length is as good as written in the tensor: all behind the utterance's duration goes. An attack on the
    duration itself must take `trim=False`. Frames finer than 40 ms are averaged to that.

    Raises CaptureError for a tensor that is missing or damaged, AttackError for values that are no numbers.
    """
    return [_sequence(capture, u, trim) for u in utterances]


def comes_whole(capture: Capture, trim: bool = True) -> bool:
    """Whether all sequences have one length and each place a meaning of its own, as a Q-Former's queries have."""
    return not trim or capture.tap.partition(".")[0] not in TIME_TAPS


def step_seconds(capture: Capture) -> float:
    """How much of the 30 s window a step of `sequences` stands for, where steps follow time."""
    return WINDOW_SECONDS * _joined(capture) / capture.shape[0]


def pooled(capture: Capture, utterances: Sequence[Utterance], trim: bool = True) -> np.ndarray:
    """Mean and standard deviation over the steps, (utterances, 2 · width) float32. Errors as `sequences`."""
    width = capture.shape[1]
    rows = np.zeros((len(utterances), 2 * width), dtype=np.float32)
    for row, u in zip(rows, utterances, strict=True):
        steps = _sequence(capture, u, trim)
        row[:width] = steps.mean(dim=0)
        row[width:] = steps.std(dim=0, correction=0)
    return rows


def remembered(capture: Capture, trim: bool = True) -> Capture:
    """The same capture, whose sequences are read, cut and averaged once and then kept in memory.

    For an attack that goes through its utterances many times. `sequences` and `pooled` of it give what they give of the
    capture with the same `trim`, to the precision of half floats.
    """
    if isinstance(capture.store, _Memory):
        return capture
    return Capture(capture.corpus, _Memory(capture.store, capture, trim))


def readable(
    capture: Capture, utterances: Iterable[Utterance]
) -> tuple[tuple[Utterance, ...], tuple[str, ...]]:
    """The utterances whose tensors can be used, and a note for each that cannot."""
    kept, notes = [], []
    for u in utterances:
        try:
            _sequence(capture, u, trim=True)
            kept.append(u)
        except (CaptureError, AttackError) as error:
            notes.append(f"left out {u.id}: {error}")
    return tuple(kept), tuple(notes)


def _sequence(capture: Capture, utterance: Utterance, trim: bool) -> Tensor:
    store = capture.store
    if isinstance(store, _Memory):
        if store.trim != trim:
            raise AttackError(f"{capture.tap}: sequences were kept with trim={store.trim}")
        return store.sequence(utterance).float()
    return _reduced(capture, utterance, trim)


def _reduced(capture: Capture, utterance: Utterance, trim: bool) -> Tensor:
    tensor = capture.tensor(utterance).float()
    if not comes_whole(capture, trim):
        tensor = tensor[: _speech_vectors(tensor, capture.tap, utterance.duration)]
    factor = _joined(capture)
    if factor > 1:
        whole = max(1, len(tensor) // factor) * factor
        tensor = tensor[:whole] if len(tensor) >= factor else tensor
        size = min(factor, len(tensor))
        tensor = tensor.unflatten(0, (-1, size)).mean(dim=1)
    if not bool(torch.isfinite(tensor).all()):
        raise AttackError(
            f"{capture.tap}: the tensor of {utterance.id} has values that are no numbers; encode it again"
        )
    return tensor


def _joined(capture: Capture) -> int:
    """Vectors that are averaged to one step."""
    return max(1, capture.shape[0] // STEPS)


def _speech_vectors(tensor: Tensor, tap: str, seconds: float | None) -> int:
    """How many vectors lie before the padding; at least LEAST_STEPS."""
    vectors = len(tensor)
    if tap.partition(".")[0] == "encoder":
        share = 1.0 if seconds is None else min(1.0, seconds / WINDOW_SECONDS)
        return max(LEAST_STEPS, round(share * vectors))
    tolerance = PADDING_TOLERANCE * float(tensor[::8].std(correction=0))
    differs = (tensor - tensor[-1]).abs().amax(dim=1) > tolerance
    last = int(differs.nonzero()[-1]) + 1 if bool(differs.any()) else 0
    # One vector alone at the end is no padding.
    return vectors if last >= vectors - 1 else max(LEAST_STEPS, last)


@dataclass
class _Memory(StoreView):
    """A store that keeps each utterance's sequence beside the tensors of the one that it reads."""

    capture: Capture
    trim: bool
    _kept: dict[Utterance, Tensor] = field(default_factory=dict)

    def sequence(self, utterance: Utterance) -> Tensor:
        # By the utterance itself: a fingerprint asks the file system each time.
        if utterance not in self._kept:
            whole = _reduced(self.capture, utterance, self.trim)
            half = whole.half()
            # Half floats end at 65504; the rare tensor that goes beyond is kept as it is.
            self._kept[utterance] = half if bool(torch.isfinite(half).all()) else whole
        return self._kept[utterance]
