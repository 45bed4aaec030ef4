"""The judge's bets for many releases at once: looked up, each asked of the judge only once."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from penstock.judge import bets

Floats = NDArray[np.float64]

_REACH = math.ceil(bets.GRAIN * math.log(1e7)) + 1
"""The judge rounds rates and odds between 1e-7 and 1e7 to buckets −_REACH to _REACH."""

Choose = Callable[[bets.Line, bets.Expected], tuple[bets.Bet, ...]]


@dataclass(slots=True)
class Choices:
    """Bets against one line by bucket of stable's rate and of the odds of the candidate's share."""

    choose: Choose
    line: bets.Line
    index: NDArray[np.int32] = field(
        default_factory=lambda: np.full((2 * _REACH + 1, 2 * _REACH + 1), -1, dtype=np.int32)
    )
    table: Floats = field(default_factory=lambda: np.empty((0, 0, 3)))

    def of(self, estimate: Floats, share: Floats) -> Floats:
        """Stakes, stable points and candidate points, shape (3, releases, alternatives)."""
        row, column = _bucket(estimate), _bucket(share / (1.0 - share))
        for i in np.flatnonzero(self.index[row, column] < 0):
            if self.index[row[i], column[i]] < 0:
                self._add(int(row[i]), int(column[i]))
        return np.moveaxis(self.table[self.index[row, column]], 2, 0)

    def _add(self, row: int, column: int) -> None:
        chosen = self.choose(self.line, bets.Expected(row - _REACH, column - _REACH))
        entry = np.array([[(bet.stake, bet.stable_point, bet.candidate_point) for bet in chosen]])
        self.index[row, column] = len(self.table)
        self.table = np.concatenate((self.table.reshape(-1, *entry.shape[1:]), entry))


def _bucket(value: Floats) -> NDArray[np.int64]:
    return np.asarray(np.rint(bets.GRAIN * np.log(np.clip(value, 1e-7, 1e7))), dtype=np.int64) + _REACH


@lru_cache(maxsize=64)
def harm_choices(line: bets.Line) -> Choices:
    """Bets of harm against `line`, remembered."""
    return Choices(bets.harm_bets, line)


@lru_cache(maxsize=64)
def health_choices(line: bets.Line) -> Choices:
    """Bets of health against `line`, remembered."""
    return Choices(bets.health_bets, line)
