"""From the lists of a request to the columns of a model's matrix, strictly: nothing is guessed or dropped.

A caller's values must be of the datatype that the caller declares (else the request contradicts itself), and the
declared datatype must fit the column (else the model refuses it).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from penstock_serving.model.datatype import ACCEPTED, FLOATS, INTEGER_RANGES, INTEGERS, Datatype
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Column, Signature
from penstock_serving.protocol.errors import BadRequestError, ModelRefusalError
from penstock_serving.protocol.rules import Rule

_LARGEST = {Datatype.INT64: 2.0**53, Datatype.FP32: float(np.finfo(np.float32).max)}
_KINDS: dict[Datatype, frozenset[type]] = {
    Datatype.BOOL: frozenset({bool, type(None)}),
    Datatype.BYTES: frozenset({str, type(None)}),
    **dict.fromkeys(INTEGERS, frozenset({int, type(None)})),
    **dict.fromkeys(FLOATS, frozenset({int, float, type(None)})),
}
_WORDS = {
    Datatype.BOOL: "true, false or null",
    Datatype.BYTES: "text or null",
    **dict.fromkeys(INTEGERS, "whole numbers or null"),
    **dict.fromkeys(FLOATS, "numbers or null"),
}


def require_datatype(column: Column, position: int, declared: Datatype) -> None:
    """Raise `ModelRefusalError` unless a column takes tensors of the declared datatype."""
    if declared not in ACCEPTED[column.datatype]:
        raise ModelRefusalError(
            Rule.DATATYPE, f"input {column.name!r} is {column.datatype.value}, not {declared.value}", position
        )


def wrong_kind(values: Sequence[Any], declared: Datatype) -> int | None:
    """Position of the first value that is not of the declared datatype's JSON kind, else None."""
    allowed = _KINDS[declared]
    if set(map(type, values)) <= allowed:
        return None
    return next(index for index, value in enumerate(values) if type(value) not in allowed)


def require_kind(values: Sequence[Any], declared: Datatype, where: str) -> None:
    """Raise `BadRequestError` unless every value is of the declared datatype and within its range."""
    if wrong_kind(values, declared) is not None:
        raise BadRequestError(f"{where} declares {declared.value} but its data is not {_WORDS[declared]}")
    bounds = INTEGER_RANGES.get(declared)
    if bounds is not None and values:
        numbers = [value for value in values if value is not None]
        if numbers and not (bounds[0] <= min(numbers) and max(numbers) <= bounds[1]):
            raise BadRequestError(f"{where} declares {declared.value} but its data is out of that datatype's range")


def numbers(values: Sequence[Any], declared: Datatype, where: str) -> Matrix:
    """Values of a numeric datatype as float64, null as NaN; values declared FP32 are rounded to float32."""
    try:
        array = np.array(values, dtype=np.float64)
    except OverflowError as error:
        raise BadRequestError(f"{where} has a number too large for FP64") from error
    if declared is Datatype.FP32:
        with np.errstate(over="ignore"):
            array = array.astype(np.float32).astype(np.float64)
        if np.isinf(array).any():
            raise BadRequestError(f"{where} has a number too large for FP32")
    return array


def check_numbers(block: Matrix, columns: Sequence[Column], first: int) -> None:
    """Check float64 values [rows, columns] against columns; `first` is the position of the first of them.

    Raises `ModelRefusalError`: a missing value where the column takes none, an integer that float64 cannot hold
    exactly, a number beyond float32 in a column of that precision.
    """
    missing = np.isnan(block)
    if missing.any():
        for index, column in enumerate(columns):
            if not column.takes_missing and missing[:, index].any():
                raise ModelRefusalError(
                    Rule.MISSING_VALUE, f"input {column.name!r} does not take missing values", first + index
                )
    for index, column in enumerate(columns):
        largest = _LARGEST.get(column.datatype)
        if largest is not None and (np.abs(block[:, index]) > largest).any():
            raise ModelRefusalError(Rule.OUT_OF_RANGE, f"input {column.name!r} is out of range", first + index)


def check_text(values: Sequence[str | None], column: Column, position: int) -> None:
    """Check a text column's values; raises `ModelRefusalError` for a missing or unseen one the column does not take."""
    found = set(values)
    if None in found and not column.takes_missing:
        raise ModelRefusalError(Rule.MISSING_VALUE, f"input {column.name!r} does not take missing values", position)
    if column.categories and not column.takes_unseen and not found - {None} <= set(column.categories):
        raise ModelRefusalError(
            Rule.UNSEEN_CATEGORY, f"input {column.name!r} takes only the categories the model was made with", position
        )


def column_cells(values: Sequence[Any], declared: Datatype, column: Column, position: int, where: str) -> Matrix:
    """One checked column [rows]: float64 for numbers and truth values, objects for text."""
    if column.is_text:
        check_text(values, column, position)
        cells = np.empty(len(values), dtype=object)
        cells[:] = values
        return cells
    array = numbers(values, declared, where)
    check_numbers(array[:, None], (column,), position)
    return array


def finish(block: Matrix, signature: Signature) -> Matrix:
    """The model's matrix from checked float64 values [rows, columns], in the precision the model was fitted with."""
    if signature.has_single_precision:
        return block.astype(np.float32)
    if signature.single_precision:
        positions = list(signature.single_precision)
        block[:, positions] = block[:, positions].astype(np.float32)
    return block


def join(columns: Sequence[Matrix], signature: Signature) -> Matrix:
    """The model's matrix [rows, columns] from checked columns in the signature's order."""
    if signature.is_numeric:
        return finish(np.stack(columns, axis=1), signature)
    cells = np.empty((len(columns[0]), len(columns)), dtype=object)
    for index, (column, values) in enumerate(zip(signature.columns, columns, strict=True)):
        cells[:, index] = _objects(values, column.datatype)
    return cells


def _objects(values: Matrix, datatype: Datatype) -> list[Any]:
    listed: list[Any] = values.tolist()
    if datatype is Datatype.BOOL:
        return [value if value != value else bool(value) for value in listed]
    if datatype is Datatype.INT64:
        return [value if value != value else int(value) for value in listed]
    if datatype is Datatype.FP32:
        rounded: list[Any] = values.astype(np.float32).tolist()
        return rounded
    return listed
