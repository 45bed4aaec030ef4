"""The methods of a fitted estimator as outputs that can be served."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from penstock_serving.model.frame import Matrix

MODELS_OWN = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RuntimeError)
"""What a model's methods raise for rows that they do not take, as far as packaging reckons with it."""


def dense(values: Any) -> Matrix:
    """What an estimator's method returned as an array; sparse matrices (of transformers) are filled up."""
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values)


def methods(estimator: object, names: Sequence[str]) -> Mapping[str, Callable[[Matrix], Matrix]]:
    """Those of the named methods that the estimator has, each from a matrix [rows, columns] to an array [rows, …]."""
    found = {name: getattr(estimator, name, None) for name in names}
    return {name: functools.partial(_call, method) for name, method in found.items() if callable(method)}


def _call(method: Callable[[Matrix], Any], matrix: Matrix) -> Matrix:
    return dense(method(matrix))
