"""Do clusters found without labels follow a label? Agreement, and what labels by lot would give."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.special import xlogy

Floats = NDArray[np.float64]

# An agreement of labels and clusters, (utterances,) each.
Agreement = Callable[[ArrayLike, ArrayLike], float]

# The same of tables (..., labels, clusters) of weights, for many at once.
TableAgreement = Callable[[Floats], Floats]
CELLS_AT_ONCE = 1 << 22


class Floor(NamedTuple):
    """An agreement of labels by lot."""

    mean: float
    low: float  # 2.5% quantile
    high: float  # 97.5% quantile
    at_least: (
        float  # p-value: share of permutations that agree as well as the labels, those included
    )
    permutations: int


def purity(truth: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Share of utterances that bear the commonest label of their cluster.

    As many clusters as utterances are pure by themselves: compare with `permutation_floor`.

    Args:
        truth, clusters: (utterances,) labels, numbers or strings.
        weights: (utterances,), not negative. None: all 1.

    Returns nan without any weight. Raises ValueError when lengths differ or a weight is negative.

    Source: Manning, Raghavan & Schütze, "Introduction to Information Retrieval" (2008), 16.3.
    """
    table = _contingency(truth, clusters, weights)
    total = table.sum()
    return float(table.max(axis=0).sum() / total) if total > 0 else float("nan")


def normalised_mutual_information(
    truth: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Mutual information of labels and clusters over the mean of their entropies, in [0, 1].

    1 when both divide the utterances alike, even into one group only. Arguments and errors as
    `purity`.

    Source: Vinh, Epps & Bailey, "Information Theoretic Measures for Clusterings Comparison",
    JMLR 11 (2010) (their NMI_sum).
    """
    table = _contingency(truth, clusters, weights)
    total = table.sum()
    if not total > 0:
        return float("nan")
    p = table / total
    of_labels, of_clusters, both = (
        -xlogy(q, q).sum() for q in (p.sum(axis=1), p.sum(axis=0), p[p > 0])
    )
    mean = (of_labels + of_clusters) / 2
    return float(np.clip((of_labels + of_clusters - both) / mean, 0.0, 1.0)) if mean > 0 else 1.0


def purity_of(tables: Floats) -> Floats:
    """`purity` of tables (..., labels, clusters) of weights -> (...)."""
    with np.errstate(invalid="ignore"):
        return tables.max(axis=-2).sum(axis=-1) / tables.sum(axis=(-2, -1))


def normalised_mutual_information_of(tables: Floats) -> Floats:
    """`normalised_mutual_information` of tables (..., labels, clusters) of weights -> (...)."""
    with np.errstate(invalid="ignore"):
        p = tables / tables.sum(axis=(-2, -1), keepdims=True)
    of_labels = -xlogy(p.sum(axis=-1), p.sum(axis=-1)).sum(axis=-1)
    of_clusters = -xlogy(p.sum(axis=-2), p.sum(axis=-2)).sum(axis=-1)
    both = -xlogy(p, p).sum(axis=(-2, -1))
    mean = (of_labels + of_clusters) / 2
    shared = np.clip(of_labels + of_clusters - both, 0.0, None)
    return np.clip(np.divide(shared, mean, out=np.ones_like(mean), where=mean > 0), 0.0, 1.0)


def permuted_agreements(
    truth: ArrayLike,
    clusters: ArrayLike,
    rng: np.random.Generator,
    agreement: TableAgreement = normalised_mutual_information_of,
    permutations: int = 1000,
    groups: ArrayLike | None = None,
) -> Floats:
    """Agreements, (permutations,), of clusters with labels dealt out by lot, many at once.

    Arguments and errors as `permutation_floor`; for quantiles that it does not give.
    """
    labels, found, member, first = _dealing(truth, clusters, groups, permutations)
    of_group = labels[first]
    rows, columns = int(labels.max()) + 1, int(found.max()) + 1
    step = max(1, CELLS_AT_ONCE // max(len(labels), rows * columns))
    parts = []
    for start in range(0, permutations, step):
        count = min(step, permutations - start)
        dealt = rng.permuted(np.tile(of_group, (count, 1)), axis=1)[:, member]
        cell = (np.arange(count)[:, None] * rows + dealt) * columns + found
        tables = np.bincount(cell.ravel(), minlength=count * rows * columns)
        parts.append(agreement(tables.reshape(count, rows, columns).astype(np.float64)))
    return np.concatenate(parts)


def permutation_floor(
    truth: ArrayLike,
    clusters: ArrayLike,
    rng: np.random.Generator,
    agreement: Agreement = normalised_mutual_information,
    permutations: int = 1000,
    groups: ArrayLike | None = None,
) -> Floor:
    """The agreement of clusters with labels dealt out by lot.

    Args:
        truth, clusters: (utterances,).
        groups: (utterances,) speakers, each with one label: whole speakers swap labels, since
            utterances of one speaker cluster together whatever the label means. None: utterances
            swap.

    The p-value is (1 + permutations at least as high) / (1 + permutations).

    Raises ValueError when lengths differ, a group has two labels or permutations are fewer than 1.

    Source: Phipson & Smyth, "Permutation P-values Should Never Be Zero", SAGMB 9 (2010),
    doi:10.2202/1544-6115.1585.
    """
    labels, found, member, first = _dealing(truth, clusters, groups, permutations)
    of_group = labels[first]
    own = agreement(labels, found)
    dealt = np.array(
        [agreement(rng.permutation(of_group)[member], found) for _ in range(permutations)]
    )
    low, high = np.quantile(dealt, [0.025, 0.975])
    # The same sum in another order may differ in its last digit.
    reached = int((dealt >= own - 1e-12).sum())
    p_value = (1 + reached) / (1 + permutations)
    return Floor(float(dealt.mean()), float(low), float(high), p_value, permutations)


def _dealing(
    truth: ArrayLike, clusters: ArrayLike, groups: ArrayLike | None, permutations: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Labels and clusters as numbers, (utterances,); each utterance's group; an utterance of each group."""
    labels, found = np.asarray(truth).ravel(), np.asarray(clusters).ravel()
    units = np.arange(len(labels)) if groups is None else np.asarray(groups).ravel()
    if not len(labels) == len(found) == len(units):
        raise ValueError(f"{len(labels)} labels, {len(found)} clusters, {len(units)} groups")
    if permutations < 1:
        raise ValueError(f"{permutations} permutations")
    _, labels = np.unique(labels, return_inverse=True)
    _, found = np.unique(found, return_inverse=True)
    _, first, member = np.unique(units, return_index=True, return_inverse=True)
    if (labels[first][member] != labels).any():
        raise ValueError("a group has two labels, so that its label cannot be dealt out")
    return labels, found, member, first


def _contingency(truth: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None) -> Floats:
    """(labels, clusters) weight."""
    labels, found = np.asarray(truth).ravel(), np.asarray(clusters).ravel()
    mass = np.ones(len(labels)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not len(labels) == len(found) == len(mass):
        raise ValueError(f"{len(labels)} labels, {len(found)} clusters, {len(mass)} weights")
    if (mass < 0).any():
        raise ValueError("a weight is negative")
    names, row = np.unique(labels, return_inverse=True)
    groups, column = np.unique(found, return_inverse=True)
    shape = (len(names), len(groups))
    return sparse.coo_matrix((mass, (row, column)), shape=shape).toarray()
