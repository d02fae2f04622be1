"""Whether a tensor's vectors lie in the order of time, and a linear map that puts them into it where they do not.

The reconstruction network expects vector i to tell of the i-th part of the time. Queries are learnt, though: a system
may as well spread them over time in any order, or mix several times in each. As long as the mixture is the same for
every recording it hides nothing, and it is found in seconds: alternating least squares for a matrix over the vectors
and one over their channels, whose product comes nearest to a coarse log-mel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from esrt_privacy.captures import Capture
from esrt_privacy.corpora import Utterance

Floats = NDArray[np.float64]

MOST_VECTORS = 256  # longer sequences are frames in time
MOST_UTTERANCES = 300
LEAST_UTTERANCES = 15
CHANNELS = 48  # principal ones of a vector
BANDS = 16  # of the coarse log-mel
ROUNDS = 12
PENALTY = 1e-2  # of each least-squares fit, as a share of its mean variance
MARGIN = 0.1  # of the variance of the coarse log-mel, that the map must explain more than the order as it is
LEAST_EXPLAINED = 0.2  # of it, for a map to be more than chance
EVERY = 5  # of which one utterance is held out to judge by
LEAST_ROW = 0.02  # of the largest row of a map, for a part of the time to be told of
_TINY = 1e-8


def time_order(
    tensors: Capture,
    mels: Capture,
    utterances: Sequence[Utterance],
    frames: Sequence[int],
    seed: int,
) -> torch.Tensor | None:
    """(vectors, vectors): row t holds what of each vector tells of the t-th part of the time.

    None where the vectors lie in that order already, on the 30 s window or on each utterance's own length, or where no
    map explains held-out utterances much better. `frames` are the utterances' lengths in mel frames.
    """
    vectors = tensors.shape[0]
    if vectors > MOST_VECTORS or len(utterances) < LEAST_UTTERANCES:
        return None
    chosen = np.random.default_rng([seed, 11]).permutation(len(utterances))[:MOST_UTTERANCES]
    rows = _channels(np.stack([tensors.tensor(utterances[i]).float().numpy() for i in chosen]))
    canvases = [_canvases(mels.tensor(utterances[i]).float(), frames[i], vectors) for i in chosen]
    targets = [
        canvas - canvas.mean(axis=0) for canvas in map(np.stack, zip(*canvases, strict=True))
    ]
    held = np.arange(len(chosen)) % EVERY == 0
    as_it_is = max(_explained(np.eye(vectors), rows, target, held) for target in targets)
    maps = [_map(rows[~held], target[~held]) for target in targets]
    shares = [_explained(m, rows, t, held) for m, t in zip(maps, targets, strict=True)]
    best, explained = maps[int(np.argmax(shares))], max(shares)
    if explained < max(LEAST_EXPLAINED, as_it_is + MARGIN):
        return None
    size = np.linalg.norm(best, axis=1, keepdims=True)
    told = size > LEAST_ROW * size.max()
    # Parts of the window that no utterance reaches have nothing to be told of; the others keep their proportions.
    best = np.where(told, best, 0.0) / np.median(size[told])
    return torch.from_numpy(best.astype(np.float32))


def _channels(tensors: NDArray[np.float32]) -> Floats:
    """(utterances, vectors, channels): the strongest principal channels, centred at each place, of deviation 1."""
    centred = (tensors - tensors.mean(axis=0)).astype(np.float64)
    flat = centred.reshape(-1, centred.shape[2])
    strength, axes = np.linalg.eigh(flat.T @ flat / len(flat))
    kept = axes[:, ::-1][:, :CHANNELS] / np.sqrt(np.maximum(strength[::-1][:CHANNELS], _TINY))
    return np.asarray(centred @ kept)


def _canvases(mel: torch.Tensor, end: int, parts: int) -> tuple[Floats, Floats]:
    """(parts, BANDS) means of the log-mel (frames, bins) in equal parts of the window, and of the time up to `end`."""
    whole, spoken = (
        torch.nn.functional.adaptive_avg_pool2d(stretch[None], (parts, BANDS))[0].double().numpy()
        for stretch in (mel, mel[: max(1, end)])
    )
    return whole, spoken


def _map(rows: Floats, target: Floats) -> Floats:
    """(parts, vectors): what alternating least squares ends with."""
    wanted = target.transpose(0, 2, 1).reshape(-1, target.shape[1])
    order = _start(rows, target)
    for _ in range(ROUNDS):
        over_channels = _over_channels(order, rows, target)
        seen = (rows @ over_channels).transpose(0, 2, 1).reshape(-1, rows.shape[1])
        order = _solved(seen, wanted).T
    return order


def _start(rows: Floats, target: Floats) -> Floats:
    """(parts, vectors): the loudness of each part from one channel of all vectors, whichever tells it best."""
    loudness = target.mean(axis=2)
    maps = [_solved(rows[:, :, c], loudness).T for c in range(min(8, rows.shape[2]))]
    missed = [float(np.square(rows[:, :, c] @ m.T - loudness).sum()) for c, m in enumerate(maps)]
    return maps[int(np.argmin(missed))]


def _over_channels(order: Floats, rows: Floats, target: Floats) -> Floats:
    """(channels, BANDS) that leads from ordered vectors to the target."""
    ordered = np.einsum("tv,nvc->ntc", order, rows, optimize=True)
    return _solved(ordered.reshape(-1, rows.shape[2]), target.reshape(-1, target.shape[2]))


def _explained(order: Floats, rows: Floats, target: Floats, held: NDArray[np.bool_]) -> float:
    """Share of a held-out target's variance that ordered vectors explain, by one map over channels learnt elsewhere."""
    over_channels = _over_channels(order, rows[~held], target[~held])
    guessed = np.einsum("tv,nvc->ntc", order, rows[held], optimize=True) @ over_channels
    return 1.0 - float(np.square(guessed - target[held]).sum() / np.square(target[held]).sum())


def _solved(rows: Floats, targets: Floats) -> Floats:
    """Least squares with a small penalty, (columns of rows, columns of targets)."""
    gram = rows.T @ rows
    level = PENALTY * np.trace(gram) / len(gram) + _TINY
    return np.asarray(np.linalg.solve(gram + level * np.eye(len(gram)), rows.T @ targets))
