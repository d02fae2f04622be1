"""Which rows each step trains on: a function of seed, stage and step alone.

The rows of a step are all of one task. Tasks and languages are dealt by a golden-ratio sequence, so
that every stretch of steps holds them in nearly their exact shares, and the rows of a language by
shuffled rounds, so that none comes back before all have been seen. Steps that follow one another
share rows of like length between them: little padding, no order by length over time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from esrt_privacy.esrt.training.balance import shares
from esrt_privacy.esrt.training.material import Material
from esrt_privacy.esrt.training.tasks import Row, Task

T = TypeVar("T")
WINDOW = 16  # steps of one task that share rows of like length
GOLDEN = (5**0.5 - 1) / 2
_TASKS, _UNITS, _ROUNDS, _LENGTHS, _QUERIES = range(5)  # what a generator draws


@dataclass(frozen=True)
class Step:
    """What one optimiser step trains on, in all processes together."""

    task: Task
    rows: tuple[Row, ...]
    queries: int  # of the query set


def share_of(items: Sequence[T], rank: int, world: int, micro: int, accumulate: int) -> Sequence[T]:
    """What falls to one process (`rank` of `world`) in its `micro`-th pass of `accumulate`."""
    return items[micro * world + rank :: accumulate * world]


class Sampler:
    """The steps of one stage. `size` rows each; `query_sets` are drawn from with equal chances."""

    def __init__(
        self,
        materials: Mapping[Task, Material],
        weights: Mapping[Task, float],
        *,
        steps: int,
        size: int,
        temperature: float,
        query_sets: Sequence[int],
        seed: int,
        stage: int,
    ) -> None:
        self._seed = (seed, stage)
        self._query_sets = tuple(query_sets)
        tasks = list(weights)
        chosen = _dealt(np.arange(steps), [weights[t] for t in tasks], self._drawn(_TASKS))
        self._tasks = [tasks[i] for i in chosen]
        self._places = np.zeros(steps, dtype=np.int64)  # of a step among those of its task
        for i in range(len(tasks)):
            self._places[chosen == i] = np.arange((chosen == i).sum())
        self._pools = {
            task: _Pool(materials[task], size, temperature, (*self._seed, n))
            for n, task in enumerate(Task)
            if task in weights
        }

    def __getitem__(self, step: int) -> Step:
        task = self._tasks[step]
        rows = self._pools[task].batch(int(self._places[step]))
        queries = self._drawn(_QUERIES, step).integers(len(self._query_sets))
        return Step(task, rows, self._query_sets[queries])

    def __len__(self) -> int:
        return len(self._tasks)

    def _drawn(self, *what: int) -> np.random.Generator:
        return np.random.default_rng([*self._seed, *what])


class _Pool:
    """The endless sequence of one task's batches."""

    def __init__(
        self, material: Material, size: int, temperature: float, seed: tuple[int, ...]
    ) -> None:
        self._material = material
        self._units = list(material.units)
        self._sizes = [len(material.units[unit]) for unit in self._units]
        self._shares = shares(self._sizes, temperature)
        self._size = size
        self._seed = seed
        self._window = -1
        self._batches: list[tuple[Row, ...]] = []
        self._before = np.zeros(len(self._units), dtype=np.int64)  # rows drawn in earlier windows
        self._orders: dict[int, tuple[int, np.ndarray]] = {}  # a unit's round and its order

    def batch(self, number: int) -> tuple[Row, ...]:
        window, place = divmod(number, WINDOW)
        if window != self._window:
            self._open(window)
        return self._batches[place]

    def _open(self, window: int) -> None:
        if window < self._window + 1:
            self._window, self._before = -1, np.zeros_like(self._before)
        elif self._window >= 0:
            self._before += np.bincount(self._dealt(self._window), minlength=len(self._units))
        for earlier in range(self._window + 1, window):
            self._before += np.bincount(self._dealt(earlier), minlength=len(self._units))
        self._window = window
        rows = self._rows(self._dealt(window))
        rng = np.random.default_rng([*self._seed, _LENGTHS, window])
        jitter = rng.uniform(0.9, 1.1, len(rows))
        lengths = [jitter[i] * (len(r.text) + len(r.translation)) for i, r in enumerate(rows)]
        order = np.argsort(lengths, kind="stable")
        groups = order.reshape(WINDOW, self._size)[rng.permutation(WINDOW)]
        self._batches = [tuple(rows[i] for i in rng.permutation(group)) for group in groups]

    def _dealt(self, window: int) -> np.ndarray:
        count = WINDOW * self._size
        places = np.arange(window * count, (window + 1) * count)
        return _dealt(places, self._shares, np.random.default_rng([*self._seed, _UNITS]))

    def _rows(self, dealt: np.ndarray) -> list[Row]:
        reached = self._before.copy()
        rows = []
        for unit in dealt:
            rounds, place = divmod(int(reached[unit]), self._sizes[unit])
            reached[unit] += 1
            order = self._order(int(unit), rounds)
            rows.append(self._material.row(self._units[unit], int(order[place])))
        return rows

    def _order(self, unit: int, rounds: int) -> np.ndarray:
        held = self._orders.get(unit)
        if held is None or held[0] != rounds:
            rng = np.random.default_rng([*self._seed, _ROUNDS, unit, rounds])
            held = (rounds, rng.permutation(self._sizes[unit]))
            self._orders[unit] = held
        return held[1]


def _dealt(
    places: np.ndarray, weights: Sequence[float] | np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Which of the weighted choices each place of an endless sequence gets, int64 (places,)."""
    ends = np.cumsum(np.asarray(weights, dtype=np.float64))
    points = (rng.random() + places * GOLDEN) % 1.0 * ends[-1]
    return np.minimum(np.searchsorted(ends, points, side="right"), len(ends) - 1)
