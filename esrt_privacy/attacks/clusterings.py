"""Groups found in tensors without any label: several clusterings, of which the most stable one is kept.

An attacker without labels cannot choose by them. What can be seen is whether a clustering comes out again on another
draw of the same recordings; the candidate for which it does so most is the attacker's choice.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

VARIANCE_KEPT = 0.9
MOST_COMPONENTS = 48
WHITENED_COMPONENTS = 12  # more of them would be noise raised to the level of speech
PAIRS = 3  # of subsamples that stability is measured on
SUBSAMPLE = 0.8
_TINY = 1e-9

Method = Callable[[np.ndarray, int, int], np.ndarray]  # features, clusters, seed -> assignment


@dataclass(frozen=True)
class Clustering:
    """A partition (utterances,), how it was made, and how stable that is, at most 1."""

    method: str
    stability: float
    assignment: np.ndarray


def strongest_clustering(
    features: Mapping[str, np.ndarray], clusters: int, rng: np.random.Generator
) -> Clustering:
    """The most stable of all clusterings of all representations into `clusters` groups.

    `features` are (utterances, values) by name, as they come out of the tensors. Each is standardised and turned to
    its principal components, as they are and whitened, and clustered by k-means, by Ward's method and by a mixture of
    Gaussians. Stability is the adjusted Rand index between clusterings of two subsamples (80% each), on the utterances
    that both hold, averaged over three pairs.

    Raises ValueError unless 2 <= clusters < utterances.

    Source: Ben-Hur, Elisseeff & Guyon, "A stability based method for discovering structure in clustered data", PSB
    2002; von Luxburg, "Clustering stability: an overview" (2010), arXiv:1007.1075.
    """
    count = len(next(iter(features.values())))
    if not 2 <= clusters < count:
        raise ValueError(f"{clusters} clusters of {count} utterances")
    representations = {
        f"{name}, {kind}": rows
        for name, raw in features.items()
        for kind, rows in _principal(raw).items()
    }
    size = max(clusters + 1, round(SUBSAMPLE * count))
    samples = [rng.choice(count, min(size, count), replace=False) for _ in range(2 * PAIRS)]
    seed = int(rng.integers(2**31))
    best: Clustering | None = None
    for space, rows in representations.items():
        for name, method in METHODS.items():
            stability = _stability(rows, method, clusters, samples, seed)
            if best is None or stability > best.stability + _TINY:
                assignment = method(rows, clusters, seed)
                best = Clustering(f"{name} of {space}", stability, assignment)
    assert best is not None
    return best


def _stability(
    rows: np.ndarray, method: Method, clusters: int, samples: list[np.ndarray], seed: int
) -> float:
    from sklearn.metrics import adjusted_rand_score

    found = []
    for sample in samples:
        labels = np.full(len(rows), -1)
        labels[sample] = method(rows[sample], clusters, seed)
        found.append(labels)
    scores = []
    for first, second in zip(found[::2], found[1::2], strict=True):
        both = (first >= 0) & (second >= 0)
        scores.append(adjusted_rand_score(first[both], second[both]))
    return float(np.mean(scores))


def _principal(raw: np.ndarray) -> dict[str, np.ndarray]:
    """Principal components that hold nine tenths of the variance, and the leading ones at equal variance."""
    rows = np.asarray(raw, dtype=np.float64)
    rows = (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), _TINY)
    left, strength, _ = np.linalg.svd(rows, full_matrices=False)
    share = np.cumsum(strength**2) / max(float((strength**2).sum()), _TINY)
    kept = min(MOST_COMPONENTS, int(np.searchsorted(share, VARIANCE_KEPT)) + 1)
    present = int((strength > 1e-6 * max(float(strength[0]), _TINY)).sum())
    whitened = min(WHITENED_COMPONENTS, kept, max(1, present))
    return {
        "principal components": left[:, :kept] * strength[:kept],
        "whitened components": left[:, :whitened] * np.sqrt(len(rows)),
    }


def _k_means(rows: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    return _quietly(KMeans(clusters, n_init=4, random_state=seed).fit_predict, rows)


def _ward(rows: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    from sklearn.cluster import AgglomerativeClustering

    return _quietly(AgglomerativeClustering(clusters, linkage="ward").fit_predict, rows)


def _mixture(rows: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    from sklearn.mixture import GaussianMixture

    scale = float(rows.var(axis=0).mean())
    model = GaussianMixture(
        clusters,
        covariance_type="diag",
        reg_covar=max(1e-3 * scale, _TINY),
        max_iter=50,
        random_state=seed,
    )
    return _quietly(model.fit_predict, rows)


def _quietly(fit: Callable[[np.ndarray], Any], rows: np.ndarray) -> np.ndarray:
    """Tensors that are all alike give fewer clusters than asked for, or no convergence: the figures show it."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return np.asarray(fit(rows))


METHODS: dict[str, Method] = {
    "k-means": _k_means,
    "Ward's clustering": _ward,
    "a mixture of Gaussians": _mixture,
}
