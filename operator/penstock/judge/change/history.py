"""The past in logarithmic memory: recent steps one by one, older ones in sums over 2, 4, 8, … steps.

A block's width is at most about 1/8 of its age, so an onset keeps its relative precision however long ago it was;
pushing costs O(1) amortised. The structure is the exponential histogram of Datar, Gionis, Indyk and Motwani, SIAM J.
Comput. 31 (2002).
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PER_LEVEL = 16
LEVELS = 14


class Block(NamedTuple):
    """Steps observed in the block (at most its width) and the sum of their residuals."""

    observed: int
    total: float


@dataclass(frozen=True, slots=True)
class History:
    """Level l holds blocks of 2^l steps, oldest first; beyond the last level (131,000 to 262,000 steps) the past is
    dropped."""

    levels: tuple[tuple[Block, ...], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """The history in time order, all of shape (blocks,): width in steps, steps observed, sum of residuals."""

    width: NDArray[np.float64]
    observed: NDArray[np.float64]
    total: NDArray[np.float64]


def push(history: History, residual: float | None) -> History:
    """One step later; None for a step without observation."""
    levels = list(history.levels)
    carried = Block(0, 0.0) if residual is None else Block(1, residual)
    for level in range(LEVELS):
        if level == len(levels):
            levels.append((carried,))
            break
        blocks = (*levels[level], carried)
        if len(blocks) <= PER_LEVEL:
            levels[level] = blocks
            break
        oldest, next_oldest, *rest = blocks
        levels[level] = tuple(rest)
        carried = Block(oldest.observed + next_oldest.observed, oldest.total + next_oldest.total)
    return History(tuple(levels))


def blocks(history: History) -> Blocks:
    """The history as arrays, oldest block first."""
    widths = [2.0**level for level in reversed(range(len(history.levels))) for _ in history.levels[level]]
    held = [block for level in reversed(history.levels) for block in level]
    return Blocks(
        np.array(widths),
        np.array([float(block.observed) for block in held]),
        np.array([block.total for block in held]),
    )


def local_noise(history: History) -> float:
    """Variance of a step's residual from neighbouring recent steps, blind to slow changes of the mean; 0 without
    pairs."""
    recent = [block for level in reversed(history.levels[:2]) for block in level if block.observed]
    squares = [
        (after.total / after.observed - before.total / before.observed) ** 2
        / (1 / after.observed + 1 / before.observed)
        for before, after in pairwise(recent)
    ]
    return sum(squares) / len(squares) if squares else 0.0
