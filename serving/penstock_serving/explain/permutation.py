"""Shapley values of any prediction, by asking it: exact for few columns, else sampled.

The game is the marginal one: v(S) is the mean prediction over the background's rows with the columns in S taken from
the row that is explained. Exact values are Shapley's sum over all subsets. Samples are orders of the columns, each used
forwards and backwards (antithetic: Mitchell, Cooper, Frank & Holmes, "Sampling Permutations for Shapley Value
Estimation", JMLR 23, 2022, section 2.2); an order's gains add up to v(all) − v(none), so the estimate always adds up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import factorial

import numpy as np

from penstock_serving.model.frame import Matrix

Predict = Callable[[Matrix], Matrix]
Pause = Callable[[], None]

MAX_EXACT_COLUMNS = 12
_ASKED_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class Found:
    """Contributions [columns, outputs], the values of knowing nothing and everything [outputs], whether exact."""

    contributions: Matrix
    nothing: Matrix
    everything: Matrix
    exact: bool


@dataclass(frozen=True, slots=True)
class Budget:
    """Predictions that may be asked for one explained row, and the seed of the orders."""

    predictions: int
    seed: int


def explain_row(predict: Predict, row: Matrix, background: Matrix, budget: Budget, pause: Pause) -> Found:
    """The contributions of a row [columns] by a prediction [rows, outputs], before a background [rows, columns].

    Exact when there are at most 12 columns and all subsets fit the budget; else at least one order and its reverse are
    sampled. The same seed gives the same answer. `pause` is called between blocks; what it raises passes through.
    """
    width = len(row)
    game = _Game(predict, row, background, pause)
    if width <= MAX_EXACT_COLUMNS and (1 << width) * len(background) <= budget.predictions:
        return _exact(game, width)
    orders = max(1, budget.predictions // (2 * width * len(background)))
    return _sampled(game, width, orders, budget.seed)


class _Game:
    """The worth of sets of known columns."""

    def __init__(self, predict: Predict, row: Matrix, background: Matrix, pause: Pause) -> None:
        self._predict, self._row, self._background, self._pause = predict, row, background, pause

    def worth(self, known: Matrix) -> Matrix:
        """The worth [sets, outputs] of sets of columns [sets, columns]."""
        rows = len(self._background)
        step = max(1, _ASKED_AT_ONCE // rows)
        parts = []
        for start in range(0, len(known), step):
            some = known[start : start + step]
            asked = np.where(some[:, None, :], self._row, self._background)
            answers = np.asarray(self._predict(asked.reshape(-1, len(self._row))), dtype=np.float64)
            parts.append(answers.reshape(len(some), rows, -1).mean(axis=1))
            self._pause()
        return np.concatenate(parts)


def _exact(game: _Game, width: int) -> Found:
    sets = np.arange(1 << width)
    known = (sets[:, None] >> np.arange(width)) & 1 == 1
    worth = game.worth(known)
    size = known.sum(axis=1)
    weights = np.array([factorial(s) * factorial(width - s - 1) / factorial(width) for s in range(width)] + [0.0])
    found = np.empty((width, worth.shape[1]))
    for column in range(width):
        without = sets[~known[:, column]]
        gains = worth[without | (1 << column)] - worth[without]
        found[column] = weights[size[without]] @ gains
    return Found(found, worth[0], worth[-1], exact=True)


def _sampled(game: _Game, width: int, orders: int, seed: int) -> Found:
    chance = np.random.default_rng(seed)
    ends = game.worth(np.array([[False] * width, [True] * width]))
    total = np.zeros((width, ends.shape[1]))
    for _ in range(orders):
        forwards = chance.permutation(width)
        for order in (forwards, forwards[::-1]):
            rank = np.argsort(order)
            known = rank[None, :] < np.arange(1, width)[:, None]
            worth = np.concatenate([ends[:1], game.worth(known), ends[1:]]) if width > 1 else ends
            total[order] += np.diff(worth, axis=0)
    return Found(total / (2 * orders), ends[0], ends[1], exact=False)
