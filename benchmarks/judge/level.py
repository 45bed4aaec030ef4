"""How often the judge is wrong: releases within tolerance that reach the rollback line at some look."""

import math
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from penstock.judge.release import Release

from benchmarks.judge.cells import CELLS, Cell
from benchmarks.judge.scenarios import judge

ALPHAS = (0.01, 0.05)
"""Both are read from one run: the judge stops at the line of 1 %, past that of 5 %."""

CHUNK = 100
STEP_ASIDE = 10
"""Niceness: what else the machine does, such as a cluster under test, goes first."""


@dataclass(frozen=True, slots=True)
class Level:
    """Releases judged and, per `ALPHAS`, those that crossed its line."""

    releases: int
    crossings: tuple[int, ...]


def measure(position: int, releases: int | None = None, processes: int | None = None) -> Level:
    """The level in the cell at `position` of `CELLS`, on all cores unless told otherwise."""
    count = CELLS[position].releases if releases is None else releases
    starts = range(0, count, CHUNK)
    with ProcessPoolExecutor(processes or os.cpu_count(), initializer=os.nice, initargs=(STEP_ASIDE,)) as pool:
        found = pool.map(_chunk, [position] * len(starts), starts, [min(CHUNK, count - start) for start in starts])
        totals = np.sum(list(found), axis=0)
    return Level(count, tuple(int(total) for total in totals))


def _chunk(position: int, start: int, count: int) -> tuple[int, ...]:
    cell = CELLS[position]
    highest = np.array([_highest(cell, position, i) for i in range(start, start + count)])
    return tuple(int((highest >= -math.log(alpha)).sum()) for alpha in ALPHAS)


def _highest(cell: Cell, position: int, i: int) -> float:
    return judge(Release(cell.criteria), cell.source(np.random.default_rng([position, i]), i)).highest
