"""From a fitted encoder of categories to codebooks: the encoder is asked what it makes of each of its categories."""

import math
import warnings
from typing import Any

import numpy as np
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from penstock_serving.explain.stages import Category, Codebook, Encode
from penstock_serving.explain.unexplained import UnsupportedError
from penstock_serving.model.frame import Matrix

_MAX_CATEGORIES = 10_000
_UNSEEN = "never seen by the encoder"


def read_encoder(encoder: OneHotEncoder | OrdinalEncoder | TargetEncoder) -> Encode:
    """The codebooks of a fitted encoder; raises `UnsupportedError`."""
    if isinstance(encoder, TargetEncoder) and len(getattr(encoder, "classes_", ())) > 2:
        raise UnsupportedError("a TargetEncoder of more than two classes is not explained")
    categories = [_listed(values) for values in encoder.categories_]
    if any(len(values) > _MAX_CATEGORIES for values in categories):
        raise UnsupportedError(f"an encoder of more than {_MAX_CATEGORIES} categories in one column is not explained")
    takes_unseen = isinstance(encoder, TargetEncoder) or encoder.handle_unknown != "error"
    books = []
    first = 0
    for position, values in enumerate(categories):
        made = _transform(encoder, categories, position, values)
        width = 1 if not isinstance(encoder, OneHotEncoder) else _width(encoder, position)
        block = made[:, first : first + width]
        first += width
        unseen = np.full((1, width), np.nan)
        if takes_unseen:
            whole = _transform(encoder, categories, position, [_unseen(values)])
            unseen = whole[:, first - width : first]
        table = np.vstack([block, unseen])
        if isinstance(encoder, OneHotEncoder):
            books.append(Codebook(tuple(values), _places(table), max(width, 1), takes_unseen))
        else:
            books.append(Codebook(tuple(values), table, 0, takes_unseen))
    return Encode(tuple(books))


def _width(encoder: OneHotEncoder, position: int) -> int:
    width = int(encoder._n_features_outs[position])
    if not width:
        raise UnsupportedError("a OneHotEncoder that makes no column of one of its columns is not explained")
    return width


def _places(table: Matrix) -> Matrix:
    """For rows [rows, group] of at most one 1 each, where it is; -1 for none (and for the unused row of NaN)."""
    return np.where((table == 1).any(axis=1), np.argmax(table == 1, axis=1), -1)


def _listed(values: Matrix) -> list[Category]:
    found: list[Category] = []
    for value in values.tolist():
        if value is None or isinstance(value, str):
            found.append(value)
        elif isinstance(value, bool | int | float):
            found.append(float(value))
        else:
            raise UnsupportedError(f"categories of type {type(value).__name__} are not explained")
    return found


def _unseen(values: list[Category]) -> Category:
    """A value of the categories' kind that is none of them."""
    if any(isinstance(value, str) for value in values):
        longest = max(len(value) for value in values if isinstance(value, str))
        return _UNSEEN.ljust(longest + 1, ".")
    present = [float(value) for value in values if isinstance(value, float) and not math.isnan(value)]
    return max(present, default=0.0) * 2 + 1 if max(present, default=0.0) >= 0 else 1.0


def _transform(encoder: Any, categories: list[list[Category]], position: int, values: list[Category]) -> Matrix:
    """What the encoder makes [values, made columns] of values in one column, the first category in all others."""
    width = len(categories)
    is_text = any(not isinstance(value, float) for column in (*categories, values) for value in column)
    rows = np.empty((len(values), width), dtype=object if is_text else np.float64)
    for column in range(width):
        rows[:, column] = values if column == position else [categories[column][0]] * len(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        made = encoder.transform(rows)
    return np.asarray(made.toarray() if hasattr(made, "toarray") else made, dtype=np.float64)
