"""How long one call takes, without a server around it."""

import time
from collections.abc import Callable

import numpy as np

from penstock_serving.model.card import Latency
from penstock_serving.model.frame import Matrix

_CALLS = 300
_WARM_UP = 20
_SECONDS = 5.0


def measure(ask: Callable[[Matrix], Matrix], backend: str, matrix: Matrix) -> Latency:
    """Time up to 300 calls (for at most five seconds) with one of the rows [rows, columns] each, after a warm-up."""
    for position in range(_WARM_UP):
        ask(matrix[position % len(matrix)][None])
    taken: list[float] = []
    while len(taken) < _CALLS and sum(taken) < _SECONDS:
        row = matrix[len(taken) % len(matrix)][None]
        began = time.perf_counter()
        ask(row)
        taken.append(time.perf_counter() - began)
    median, high = np.quantile(taken, (0.5, 0.99)).tolist()
    return Latency(backend, median, high)
