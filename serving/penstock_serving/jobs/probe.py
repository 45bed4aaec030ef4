"""Finding out what a fitted model takes, by asking it: missing values and unseen categories, column by column."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from penstock_serving.model.datatype import Datatype
from penstock_serving.model.frame import Matrix

_REFUSALS = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError)
_ROWS = 8


def takes(predict: Callable[[Matrix], Any], matrix: Matrix, column: int, value: object) -> bool:
    """Whether `predict` gives finite answers when one row of `matrix` [rows, columns] holds `value` in `column`."""
    rows = matrix[:_ROWS].copy()
    rows[0, column] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            answers = np.asarray(predict(rows))
        except _REFUSALS:
            return False
    return answers.dtype.kind != "f" or bool(np.isfinite(answers).all())


def missing_value(datatype: Datatype) -> object:
    """How a missing value stands in the matrix."""
    return None if datatype is Datatype.BYTES else np.nan


def unseen_category(categories: tuple[str, ...]) -> str:
    """A text that is not among the categories."""
    longest = max(categories, key=len, default="")
    return longest + "?"
