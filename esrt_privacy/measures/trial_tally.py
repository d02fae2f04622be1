"""A trial list made ready for a bootstrap: how many trials of each speaker and pair lie where.

A draw gives speaker i the count c_i; target trials of i then weigh c_i, non-target trials between
i and j c_i · c_j. With trials counted by bin of score once, the masses of any number of draws are
sparse matrix products.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from esrt_privacy.measures.roc import Floats, binning_bound, run_starts

# A figure of masses (bins,) of targets and non-targets in ascending order of score.
Statistic = Callable[[Floats, Floats], float]

Indices = NDArray[np.intp]

# Draws that are multiplied at once, and rows of a block: their products stay in the cache.
DRAWS_AT_ONCE = 16
ROWS_AT_ONCE = 1 << 16
# Cells (speakers x bins) of the masses without one speaker that are held at once: 32 MB.
CELLS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class _Block:
    """The non-target trials of some neighbouring bins, grouped by bin and enrolled speaker."""

    bins: slice
    tested: sparse.csr_matrix  # (groups, speakers) trials of a group by tested speaker
    enrolled: Indices  # (groups,)
    bin_of: Indices  # (groups,) within the block
    of_bin: sparse.csr_matrix  # (bins of the block, groups) ones where the group lies in the bin


@dataclass(frozen=True)
class TrialTally:
    """Trials counted by bin of score and speaker.

    `bound` is the most by which the EER of the bins exceeds that of the scores themselves, 0 where
    each distinct score has a bin of its own. `value_masses` are those of all trials.
    """

    speakers: int
    bins: int
    left_out: int  # trials whose score is nan
    bound: float
    value_masses: tuple[Floats, Floats]  # (bins,) targets, non-targets
    targets: sparse.csr_matrix  # (bins, speakers)
    _blocks: tuple[_Block, ...]

    def drawn(self, counts: ArrayLike, statistic: Statistic) -> Floats:
        """The statistic, (draws,), when speaker i counts counts[draw, i] times.

        Args:
            counts: (draws, speakers), not negative.
        """
        table = np.asarray(counts, dtype=np.float64)
        found = [np.empty(0)]
        most = max((len(block.enrolled) for block in self._blocks), default=1)
        step = max(DRAWS_AT_ONCE, CELLS_AT_ONCE // 4 // max(most, self.bins, 1))
        for start in range(0, len(table), step):
            some = np.ascontiguousarray(table[start : start + step].T)
            found.append(_each(statistic, self.targets @ some, self._nontargets(some)))
        return np.concatenate(found)

    def without_each(self, statistic: Statistic) -> Floats:
        """The statistic, (speakers,), when one speaker after the other is left out."""
        targets, nontargets = self.value_masses
        found = [np.empty(0)]
        step = max(1, CELLS_AT_ONCE // max(1, self.bins))
        for start in range(0, self.speakers, step):
            own = self.targets[:, start : start + step].toarray()
            theirs = self._involving(start, min(start + step, self.speakers))
            found.append(_each(statistic, targets[:, None] - own, nontargets[:, None] - theirs))
        return np.concatenate(found)

    def _nontargets(self, counts: Floats) -> Floats:
        masses = np.zeros((self.bins, counts.shape[1]))
        for block in self._blocks:
            by_group = block.tested @ counts
            by_group *= counts[block.enrolled]
            masses[block.bins] = block.of_bin @ by_group
        return masses

    def _involving(self, first: int, last: int) -> Floats:
        """(bins, last - first) non-target trials in which each of these speakers takes part."""
        masses = np.zeros((self.bins, last - first))
        for block in self._blocks:
            here = np.flatnonzero((first <= block.enrolled) & (block.enrolled < last))
            as_enrolled = sparse.csr_matrix(
                (
                    np.diff(block.tested.indptr)[here].astype(np.float64),
                    (block.bin_of[here], block.enrolled[here] - first),
                ),
                shape=(block.of_bin.shape[0], last - first),
            )
            as_tested = (block.of_bin @ block.tested)[:, first:last]
            masses[block.bins] = (as_enrolled + as_tested).toarray()
        return masses


def tally(
    scores: ArrayLike,
    is_target: ArrayLike,
    enrol_speaker: ArrayLike,
    test_speaker: ArrayLike,
    bins: int | None = None,
) -> TrialTally:
    """Count trials by score, enrolled and tested speaker.

    Args:
        scores, is_target, enrol_speaker, test_speaker: (trials,); is_target holds booleans. Trials
            whose score is nan are left out and counted.
        bins: None for a bin for each distinct score. Otherwise about that many, with equal shares
            of the mean of both kinds' distributions: the EER of n bins is at most 1/n too high,
            and 1/(2n) where no score has a noticeable share of its own (see `binning_bound`).

    Raises ValueError when the arrays differ in length, a target trial joins two speakers or bins
    is less than 1.
    """
    values = np.asarray(scores, dtype=np.float64)
    labels = np.asarray(is_target, dtype=bool)
    enrol, test = np.asarray(enrol_speaker), np.asarray(test_speaker)
    if not len(values) == len(labels) == len(enrol) == len(test):
        raise ValueError("scores, is_target, enrol_speaker and test_speaker differ in length")
    if (labels & (enrol != test)).any():
        raise ValueError("a target trial joins two different speakers")
    if bins is not None and bins < 1:
        raise ValueError(f"{bins} bins")
    names = np.union1d(np.unique(enrol), np.unique(test))
    # Long lists are held in as little memory as will do.
    enrolled = np.searchsorted(names, enrol).astype(np.int32)
    tested = np.searchsorted(names, test).astype(np.int32)
    order = np.argsort(values, kind="stable")
    order = order[: len(order) - int(np.isnan(values).sum())]  # nan sorts last
    labels, enrolled, tested = labels[order], enrolled[order], tested[order]
    index, single = _bins(values[order], labels, bins)
    left_out = len(values) - len(order)
    del order
    count = int(index[-1]) + 1 if len(index) else 0
    targets = sparse.csr_matrix(
        (np.ones(int(labels.sum())), (index[labels], enrolled[labels])), shape=(count, len(names))
    )
    others = ~labels
    index_of_others = index[others]
    held = (
        np.bincount(index[labels], minlength=count).astype(np.float64),
        np.bincount(index_of_others, minlength=count).astype(np.float64),
    )
    bound = 0.0
    if labels.any() and others.any():
        # A bin with one score hides no threshold.
        bound = _bound(*held, single)
    return TrialTally(
        speakers=len(names),
        bins=count,
        left_out=left_out,
        bound=bound,
        value_masses=held,
        targets=targets,
        _blocks=tuple(_blocks(index_of_others, enrolled[others], tested[others], len(names))),
    )


def _bins(
    ascending: Floats, labels: NDArray[np.bool_], bins: int | None
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """(trials,) bin of each trial, and (bins,) whether all its trials share one score."""
    starts = run_starts(ascending)
    lengths = np.diff(np.r_[starts, len(ascending)])
    targets, nontargets = int(labels.sum()), int((~labels).sum())
    if bins is None or len(starts) <= bins or not targets or not nontargets:
        runs = np.arange(len(starts), dtype=np.int32)
        return np.repeat(runs, lengths), np.ones(len(starts), dtype=bool)
    share = np.where(labels, 0.5 / targets, 0.5 / nontargets)
    mass = np.add.reduceat(share, starts)
    below = np.cumsum(mass) - mass
    # A score with a bin's share of its own stands alone: beside others it would blur them.
    alone = mass >= 1 / bins
    stage = np.floor(below * bins).astype(np.int64)
    begins = np.r_[True, (stage[1:] != stage[:-1]) | alone[1:] | alone[:-1]]
    of_run = (np.cumsum(begins) - 1).astype(np.int32)
    single = np.bincount(of_run) == 1
    return np.repeat(of_run, lengths), single


def _bound(targets: Floats, nontargets: Floats, single: NDArray[np.bool_]) -> float:
    """`binning_bound` over the bins that hold more than one score."""
    if single.all():
        return 0.0
    coarse = ~single
    rest = targets[single].sum(), nontargets[single].sum()
    # What lies in the other bins counts for the shares; apart, its own product is zero.
    return binning_bound(
        np.r_[targets[coarse], rest[0], 0.0], np.r_[nontargets[coarse], 0.0, rest[1]]
    )


def _blocks(
    index: NDArray[np.int32],
    enrolled: NDArray[np.int32],
    tested: NDArray[np.int32],
    speakers: int,
) -> Iterator[_Block]:
    """Trials, in order of their bin, grouped and cut where a block has enough groups."""
    if not len(index):
        return
    order = np.argsort(index.astype(np.int64) * speakers + enrolled, kind="stable")
    enrolled, tested = enrolled[order], tested[order]
    change = (index[1:] != index[:-1]) | (enrolled[1:] != enrolled[:-1])
    starts = np.flatnonzero(np.r_[True, change])
    ends = np.r_[starts[1:], len(index)]
    bin_of_group = index[starts]
    first = 0
    while first < len(starts):
        last = min(first + ROWS_AT_ONCE, len(starts))
        if last < len(starts):
            # Back to where a bin begins, or on to where this one ends.
            begins = int(np.searchsorted(bin_of_group, bin_of_group[last]))
            last = (
                begins
                if begins > first
                else int(np.searchsorted(bin_of_group, bin_of_group[last], side="right"))
            )
        low, high = int(bin_of_group[first]), int(bin_of_group[last - 1]) + 1
        bin_of = (bin_of_group[first:last] - low).astype(np.intp)
        trials = slice(starts[first], ends[last - 1])
        groups = last - first
        yield _Block(
            bins=slice(low, high),
            tested=sparse.csr_matrix(
                (
                    np.ones(trials.stop - trials.start),
                    tested[trials],
                    np.r_[starts[first:last], ends[last - 1]].astype(np.int64) - starts[first],
                ),
                shape=(groups, speakers),
            ),
            enrolled=enrolled[starts[first:last]].astype(np.intp),
            bin_of=bin_of,
            of_bin=sparse.csr_matrix(
                (np.ones(groups), (bin_of, np.arange(groups))),
                shape=(high - low, groups),
            ),
        )
        first = last


def _each(statistic: Statistic, targets: Floats, nontargets: Floats) -> Floats:
    """The statistic of each column of masses (bins, draws)."""
    columns = np.ascontiguousarray(targets.T), np.ascontiguousarray(nontargets.T)
    return np.array([statistic(t, n) for t, n in zip(*columns, strict=True)])
