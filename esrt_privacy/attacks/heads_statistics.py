"""What a sequence of vectors is like as it goes on: levels, spreads, changes, their interplay, and how long it is.

Mean and deviation of each channel, all made equally strong, say little of a language: its sounds are the few strongest
directions of a vector, and it lies in how these follow one another. Vectors finer than a syllable are looked at a third
of a second at a time, so that what follows what is within one look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from esrt_privacy.attacks.sequences import comes_whole, sequences, step_seconds
from esrt_privacy.captures import Capture
from esrt_privacy.corpora import Utterance

LOOK_SECONDS = 0.4
HOP = 2  # steps from one look to the next
VECTOR_COMPONENTS = 48  # of a step, before several are joined to a look
COMPONENTS = 32  # of a look, whose course is described
RELATED = 20  # of the strongest, whose covariances are taken
MOST_LOOKS = 6000  # that the directions are fitted on
_TINY = 1e-6
Floats = np.ndarray


@dataclass(frozen=True)
class Statistics:
    """Fitted on training utterances: the strongest directions of a look, and the scale of each statistic."""

    mean: Floats  # (width,), or (steps, width) where tensors come whole
    scale: Floats  # as `mean`
    vector_axes: Floats  # (width, kept)
    look: int  # steps
    look_axes: Floats | None  # (look · kept, components); None for looks of one step
    centre: Floats  # of the statistics, (statistics,)
    spread: Floats
    trim: bool

    def of(self, capture: Capture, utterances: Sequence[Utterance]) -> Floats:
        """(utterances, statistics) float64, each of mean 0 and deviation 1 over the training utterances."""
        rows = [_described(*self._course(capture, u)) for u in utterances]
        table = np.array(rows).reshape(len(rows), len(self.centre))
        return np.asarray((table - self.centre) / self.spread, dtype=np.float64)

    def _course(self, capture: Capture, utterance: Utterance) -> tuple[Floats, int]:
        """(looks, components), and the number of steps."""
        steps = sequences(capture, [utterance], self.trim)[0].numpy()
        looks = _looks(((steps - self.mean) / self.scale) @ self.vector_axes, self.look)
        return (looks if self.look_axes is None else looks @ self.look_axes), len(steps)


def fit_statistics(
    capture: Capture, training: Sequence[Utterance], trim: bool, equal: bool
) -> Statistics:
    """Statistics fitted on the training utterances; `equal` gives all channels one deviation first.

    Where tensors come whole (a Q-Former's queries) each place has a mean and deviation of its own, and is equal anyway.
    """
    rows = sequences(capture, training, trim)
    chosen = [row.numpy() for row in rows]
    if comes_whole(capture, trim):
        table = np.stack(chosen)
        mean, deviation = table.mean(axis=0), table.std(axis=0)
        equal = True
    else:
        mean, deviation = (f(np.concatenate(chosen), axis=0) for f in (np.mean, np.std))
    # What hardly varies is not blown up.
    floor = max(_TINY, 0.05 * float(deviation.mean()))
    scale = (
        np.maximum(deviation, floor)
        if equal
        else np.full_like(deviation, max(_TINY, float(np.sqrt(np.mean(deviation**2)))))
    )
    scaled = [(row - mean) / scale for row in chosen]
    look = 1 if comes_whole(capture, trim) else max(1, round(LOOK_SECONDS / step_seconds(capture)))
    axes = directions(scaled, COMPONENTS if look == 1 else VECTOR_COMPONENTS)
    look_axes = None
    if look > 1:
        look_axes = directions([_looks(row @ axes, look) for row in scaled], COMPONENTS)
    size = len(_described(np.zeros((1, (axes if look_axes is None else look_axes).shape[1])), 1))
    unscaled = Statistics(mean, scale, axes, look, look_axes, np.zeros(size), np.ones(size), trim)
    table = unscaled.of(capture, training)
    spread = np.maximum(table.std(axis=0), _TINY)
    return Statistics(mean, scale, axes, look, look_axes, table.mean(axis=0), spread, trim)


def _looks(steps: Floats, look: int) -> Floats:
    """(steps, width) -> (looks, look · width): each HOP steps a look at `look` of them; short sequences are held on."""
    if look == 1:
        return steps
    if len(steps) < look:
        steps = np.pad(steps, ((0, look - len(steps)), (0, 0)), mode="edge")
    return np.stack([steps[i : i + look].ravel() for i in range(0, len(steps) - look + 1, HOP)])


def directions(sequences_of: Sequence[Floats], count: int) -> Floats:
    """The `count` strongest principal directions of at most MOST_LOOKS vectors, (width, count)."""
    rows = np.concatenate(list(sequences_of))
    rows = rows[:: -(-len(rows) // MOST_LOOKS)]
    rows = rows - rows.mean(axis=0)
    _, axes = np.linalg.eigh((rows.T @ rows).astype(np.float64))
    return np.asarray(axes[:, ::-1][:, :count], dtype=np.float32)


def _described(course: Floats, steps: int) -> Floats:
    """Mean, deviation, change and lasting of each component, covariances of the strongest, and the length.

    Change is the deviation of differences between neighbours, lasting their autocorrelation.
    """
    mean, deviation = course.mean(axis=0), course.std(axis=0)
    centred = course - mean
    change, lasting = np.zeros_like(mean), np.zeros_like(mean)
    if len(course) > 1:
        change = np.diff(course, axis=0).std(axis=0)
        lasting = (centred[1:] * centred[:-1]).mean(axis=0) / (deviation**2 + _TINY)
    strongest = centred[:, :RELATED]
    related = strongest.T @ strongest / len(course)
    upper = related[np.triu_indices(len(related))]
    return np.concatenate([mean, deviation, change, lasting, upper, [np.log(steps), steps]])
