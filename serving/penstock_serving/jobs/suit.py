"""How a fitted model wants its rows: as a matrix, or as the DataFrame that it was fitted on; its columns in its order."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock_serving import contract
from penstock_serving.model.dataframe import FramedModel, declared, plain
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.frame import Frame, Matrix, assemble, column_datatype
from penstock_serving.model.outputs import methods
from penstock_serving.model.signature import OUTPUTS

_ROWS = 256
_GRAIN = 1e-13
_MODELS_OWN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError)
Dtypes = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Suited:
    """A model as serving asks it, by matrices, and the reference rows [rows] by its columns, in its order."""

    model: Any
    columns: dict[str, Matrix]


def suited(model: Any, frame: Frame, dtypes: Dtypes | None = None) -> Suited:
    """Find out how a fitted model is to be asked for the rows of a frame.

    By a matrix where it takes one and was not fitted on named columns, or was but only on numbers, and gives the same
    answers. By a DataFrame elsewhere: with the frame's own dtypes, or, where it has none, with those that pandas gives
    to such columns, or with `dtypes` as declared by name.

    Raises `BadModelError` for columns that cannot be served, and when they are not those that the model was fitted on.
    """
    columns, series = plain(frame)
    for name, dtype in (dtypes or {}).items():
        if name not in columns:
            raise _unlike(f"a dtype is declared for {name!r}, which is no column")
        series[name] = declared(name, columns[name], dtype)
    known = _fitted_on(model)
    if known:
        _require_same(known, tuple(columns))
        columns = {name: columns[name] for name in known}
    if not columns or len({len(values) for values in columns.values()}) != 1:
        return Suited(model, columns)
    datatypes = [column_datatype(name, values) for name, values in columns.items()]
    rows = assemble([values[:_ROWS] for values in columns.values()], datatypes)
    by_matrix = None if dtypes else _answers(model, rows)
    if by_matrix is not None and not known:
        return Suited(model, columns)
    framed = FramedModel(model, {name: series[name] for name in columns})
    by_frame = _answers(framed, rows)
    if by_frame is None and not known and not dtypes:
        return Suited(model, columns)
    numbers = rows.dtype != object
    if numbers and by_matrix is not None and by_frame is not None and _same(by_matrix, by_frame):
        return Suited(model, columns)
    return Suited(framed, columns)


def _fitted_on(model: Any) -> tuple[str, ...]:
    """The names of the columns that the model was fitted on; none where it was fitted on an array."""
    try:
        found = getattr(model, "feature_names_in_", None)
    except _MODELS_OWN:
        return ()
    return tuple(str(name) for name in found) if isinstance(found, np.ndarray) and found.ndim == 1 else ()


def _require_same(known: tuple[str, ...], given: tuple[str, ...]) -> None:
    missing = [name for name in known if name not in given]
    if missing:
        raise _unlike(f"the model was fitted on a column {missing[0]!r}, which the frame does not have")
    more = [name for name in given if name not in known]
    if more:
        raise _unlike(f"the frame has a column {more[0]!r}, which the model was not fitted on; leave it out")


def _unlike(why: str) -> BadModelError:
    return BadModelError(contract.REASON_NOT_A_MODEL, why)


def _answers(model: Any, rows: Matrix) -> list[Matrix] | None:
    """What the model answers to rows [rows, columns] by each of its methods, or None where it does not take them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return [method(rows) for method in methods(model, OUTPUTS).values()]
        except _MODELS_OWN:
            return None


def _same(one: list[Matrix], other: list[Matrix]) -> bool:
    """Whether answers are the same, numbers up to what another order of adding up makes."""
    return all(
        mine.shape == theirs.shape
        and mine.dtype == theirs.dtype
        and (np.allclose(mine, theirs, _GRAIN, _GRAIN) if mine.dtype.kind == "f" else np.array_equal(mine, theirs))
        for mine, theirs in zip(one, other, strict=True)
    )
