"""How a fitted model wants its rows: as a matrix, or as the DataFrame that it was fitted on; its columns in its order."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock_serving import contract
from penstock_serving.compile.adversarial import spread
from penstock_serving.jobs.columns import Plain, datatypes, declared, plain
from penstock_serving.model.dataframe import FramedModel
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.frame import Frame, Matrix, assemble
from penstock_serving.model.outputs import MODELS_OWN, methods
from penstock_serving.model.parts import parts
from penstock_serving.model.signature import OUTPUTS

_ROWS = 256
_GRAIN = 1e-13
Dtypes = Mapping[str, str]
_Answers = list[Matrix] | None


@dataclass(frozen=True, slots=True)
class Suited:
    """A model as serving asks it, by matrices, and the reference rows [rows] by its columns, in its order."""

    model: Any
    columns: dict[str, Matrix]


def suited(model: Any, frame: Frame, dtypes: Dtypes | None = None) -> Suited:
    """Find out how a fitted model is to be asked for the rows of a frame.

    A model that was fitted on a DataFrame is asked by one: with the dtypes of the frame, or, where it is none, with those
    that pandas gives to such columns, or with `dtypes` as declared by name. It is asked by a matrix all the same where the
    columns are numbers alone and the answers are the same; any other model always is, if it takes one. What a DataFrame
    that is given gets as answers is the truth that either must give.

    Raises `BadModelError` for columns that cannot be served, when they are not those that the model was fitted on, and
    when the model answers otherwise however it is asked.
    """
    columns = plain(frame)
    for name, dtype in (dtypes or {}).items():
        if name not in columns:
            raise _unlike(f"a dtype is declared for {name!r}, which is no column")
        columns[name] = declared(name, columns[name], dtype)
    known = _names_of(model)
    if known:
        _require_same(known, tuple(columns))
        columns = {name: columns[name] for name in known}
    as_it_is = Suited(model, {name: column.values for name, column in columns.items()})
    if not columns or len({len(column.values) for column in columns.values()}) != 1:
        return as_it_is  # said by whoever reads the signature
    kinds = datatypes(columns)
    at = _telling(columns)
    rows = assemble([column.values[at] for column in columns.values()], kinds)
    by_matrix = None if dtypes else _answers(model, rows)
    if not (dtypes or known or _was_framed(model)) and by_matrix is not None:
        return as_it_is
    framed = _framed(model, columns)
    by_frame = _answers(framed, rows)
    truth = None if dtypes or not hasattr(frame, "iloc") else _truth(model, frame, known, at)
    if Datatype.BYTES not in kinds and by_matrix is not None and _same(by_matrix, by_frame if truth is None else truth):
        return as_it_is
    if by_frame is None and not known:
        return as_it_is
    if truth is not None and by_frame is not None and not _same(by_frame, truth):
        raise _unlike(
            "the model answers the frame's own rows otherwise when they are put together as a request's: its columns' "
            "names are no texts, or it reads of its DataFrame what is not in the columns' values and dtypes"
        )
    return Suited(framed, as_it_is.columns)


def _framed(model: Any, columns: Mapping[str, Plain]) -> FramedModel:
    for name, column in columns.items():
        if column.series is None:
            raise BadModelError(contract.REASON_NOT_A_MODEL, f"column {name!r} cannot be served: {column.why_not}")
    return FramedModel(model, {name: column.series for name, column in columns.items() if column.series is not None})


def _names_of(model: Any) -> tuple[str, ...]:
    """The names of the columns that the model was fitted on; none where it was fitted on an array."""
    try:
        found = getattr(model, "feature_names_in_", None)
    except MODELS_OWN:
        return ()
    return tuple(str(name) for name in found) if isinstance(found, np.ndarray) and found.ndim == 1 else ()


def _was_framed(model: Any) -> bool:
    """Whether a step shows that it was given a DataFrame: by names, or NaN among texts, of which a matrix has none."""
    return any(
        _names_of(part) or any(_holds_nan_text(values) for values in _listed(getattr(part, "categories_", None)))
        for part in parts(model)
    )


def _listed(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _holds_nan_text(values: Any) -> bool:
    listed = values.tolist() if isinstance(values, np.ndarray) and values.dtype == object else []
    return any(isinstance(value, str) for value in listed) and any(value != value for value in listed)


def _telling(columns: Mapping[str, Plain]) -> list[int]:
    """Positions of rows, evenly spread, and of those with the least, the greatest and a missing value of each column."""
    rows = len(next(iter(columns.values())).values)
    found = set(spread(rows, _ROWS).tolist())
    for column in columns.values():
        values = column.values
        if values.dtype.kind in "OU":
            missing = np.flatnonzero([not isinstance(value, str) for value in values.tolist()])
        else:
            numbers = values.astype(np.float64)
            missing = np.flatnonzero(np.isnan(numbers))
            if len(missing) < rows:
                found |= {int(np.nanargmin(numbers)), int(np.nanargmax(numbers))}
        found |= set(missing[:1].tolist())
    return sorted(found)


def _require_same(known: tuple[str, ...], given: tuple[str, ...]) -> None:
    missing = [name for name in known if name not in given]
    if missing:
        raise _unlike(f"the model was fitted on a column {missing[0]!r}, which the frame does not have")
    more = [name for name in given if name not in known]
    if more:
        raise _unlike(f"the frame has a column {more[0]!r}, which the model was not fitted on; leave it out")


def _unlike(why: str) -> BadModelError:
    return BadModelError(contract.REASON_NOT_A_MODEL, why)


def _truth(model: Any, frame: Any, known: tuple[str, ...], at: list[int]) -> _Answers:
    rows = frame.iloc[at]
    return _answers(model, rows[list(known)] if known else rows)


def _answers(model: Any, rows: Any) -> _Answers:
    """What the model answers to rows by each of its methods, or None where it does not take them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return [method(rows) for method in methods(model, OUTPUTS).values()]
        except MODELS_OWN:
            return None


def _same(one: _Answers, other: _Answers) -> bool:
    """Whether answers are the same, numbers up to what another order of adding up makes."""
    if one is None or other is None:
        return False
    return len(one) == len(other) and all(
        mine.shape == theirs.shape
        and mine.dtype == theirs.dtype
        and (
            np.allclose(mine, theirs, _GRAIN, _GRAIN, equal_nan=True)
            if mine.dtype.kind == "f"
            else np.array_equal(mine, theirs)
        )
        for mine, theirs in zip(one, other, strict=True)
    )
