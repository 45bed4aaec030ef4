"""Whether an answer depends on the other rows of the call: only where not may a server batch its callers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from penstock_serving.compile.adversarial import spread
from penstock_serving.compile.compare import equal
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import OUTPUTS

_ROWS = 32
# by these an estimator says that the way it was fitted has no such method
_NOT_FOR_THIS_FIT = (NotImplementedError, AttributeError)

Method = Callable[[Matrix], Any]


def array_methods(estimator: Any, rows: Matrix) -> dict[str, Method]:
    """The estimator's methods by name that answer `rows` [rows, columns] by an array; others cannot be served."""
    found: dict[str, Method] = {}
    for name in OUTPUTS:
        method = getattr(estimator, name, None)
        if callable(method) and _gives_array(method, rows):
            found[name] = method
    return found


def _gives_array(method: Method, rows: Matrix) -> bool:
    try:
        return isinstance(method(rows), np.ndarray)
    except _NOT_FOR_THIS_FIT:
        return False


def rows_independent(estimator: Any, rows: Matrix) -> bool:
    """Whether each of the estimator's methods gives a row the same answer alone, in a batch, and in another order.

    At most 32 of `rows` [rows, columns], evenly spread, are asked; they must be rows that the estimator takes. Equal is
    up to 1e-12 (1e-6 for float32). Exceptions of the estimator pass through.
    """
    return all(method_is_independent(method, rows) for method in array_methods(estimator, rows[:1]).values())


def method_is_independent(method: Method, rows: Matrix) -> bool:
    """`rows_independent` of one method."""
    asked = rows[spread(len(rows), _ROWS)]
    together = method(asked)
    if not isinstance(together, np.ndarray) or together.shape[:1] != (len(asked),):
        return False
    alone = np.concatenate([method(asked[at : at + 1]) for at in range(len(asked))])
    turned = np.asarray(method(asked[::-1].copy()))[::-1]
    halves = (
        np.concatenate([method(asked[: len(asked) // 2 + 1]), method(asked[len(asked) // 2 + 1 :])])
        if len(asked) > 2
        else together
    )
    return equal(together, alone) and equal(together, turned) and equal(together, halves)
