"""From the values of a request to the columns of a model's matrix, strictly: nothing is guessed or dropped.

A caller's values must be of the datatype that the caller declares (else the request contradicts itself), and the
declared datatype must fit the column (else the model refuses it). Between the two, values are *cells*: a flat array of
float64 (truth values are 0 and 1, a missing value is NaN) or, for text, of objects (a missing one is None).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from penstock_serving.model.datatype import ACCEPTED, FLOATS, INTEGER_RANGES, INTEGERS, Datatype
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Column, Signature
from penstock_serving.protocol.errors import BadRequestError, ModelRefusalError
from penstock_serving.protocol.plan import plan
from penstock_serving.protocol.rules import Rule

_LARGEST_SINGLE = float(np.finfo(np.float32).max)
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


def is_kind(values: Sequence[Any], declared: Datatype) -> bool:
    """Whether every value is null or of the declared datatype's JSON kind."""
    return set(map(type, values)) <= _KINDS[declared]


def cells_of(values: Sequence[Any], declared: Datatype, where: str) -> Matrix:
    """The cells [n] of JSON values of a declared datatype; those declared FP32 are rounded to float32.

    Raises `BadRequestError` unless every value is of that datatype and within its range.
    """
    if not is_kind(values, declared):
        raise BadRequestError(f"{where} declares {declared.value} but its data is not {_WORDS[declared]}")
    if declared is Datatype.BYTES:
        texts = np.empty(len(values), dtype=object)
        texts[:] = values
        return texts
    bounds = INTEGER_RANGES.get(declared)
    if bounds is not None:
        present = [value for value in values if value is not None]
        if present and not (bounds[0] <= min(present) and max(present) <= bounds[1]):
            raise BadRequestError(f"{where} declares {declared.value} but its data is out of that datatype's range")
    try:
        array = np.array(values, dtype=np.float64)
    except OverflowError as error:
        raise BadRequestError(f"{where} has a number too large for FP64") from error
    if declared is Datatype.FP32:
        if (np.abs(array) > _LARGEST_SINGLE).any():
            raise BadRequestError(f"{where} has a number too large for FP32")
        array = array.astype(np.float32).astype(np.float64)
    return array


def check_numbers(block: Matrix, signature: Signature, first: int) -> None:
    """Check float64 values [rows, k] against the k columns from position `first`.

    Raises `ModelRefusalError`: a missing value where the column takes none; a number beyond the column's range (its
    declared bounds, an integer that float64 cannot tell from its neighbour, a number beyond float32, an infinity).
    """
    checks = plan(signature)
    if np.abs(block).max() <= checks.harmless:  # neither missing nor beyond any column: the ordinary case, in one look
        return
    columns = slice(first, first + block.shape[1])
    refused = np.isnan(block).any(axis=0) & ~checks.takes_missing[columns]
    if refused.any():
        position = first + int(refused.argmax())
        name = signature.columns[position].name
        raise ModelRefusalError(Rule.MISSING_VALUE, f"input {name!r} does not take missing values", position)
    beyond = ((block < checks.low[columns]) | (block > checks.high[columns])).any(axis=0)
    if beyond.any():
        position = first + int(beyond.argmax())
        raise ModelRefusalError(
            Rule.OUT_OF_RANGE, f"input {signature.columns[position].name!r} is out of range", position
        )


def check_text(values: Sequence[str | None], column: Column, position: int) -> None:
    """Check a text column's values.

    Raises `ModelRefusalError` for a missing or unseen one that the column does not take, and in a column of times for a
    text that is none.
    """
    found = set(values)
    if None in found and not column.takes_missing:
        raise ModelRefusalError(Rule.MISSING_VALUE, f"input {column.name!r} does not take missing values", position)
    series = column.series
    if series is not None and series.is_time and not all(series.holds_time(text) for text in found if text is not None):
        raise ModelRefusalError(Rule.DATATYPE, f"input {column.name!r} takes times in {series.time_form}", position)
    if column.categories and not column.takes_unseen and not found - {None} <= set(column.categories):
        raise ModelRefusalError(
            Rule.UNSEEN_CATEGORY, f"input {column.name!r} takes only the categories the model was made with", position
        )


def finish(block: Matrix, signature: Signature) -> Matrix:
    """The model's matrix from checked float64 values [rows, columns], in the precision the model was fitted with."""
    if not signature.single_precision:
        return block
    with np.errstate(invalid="ignore"):  # a signalling NaN is a missing value like any other
        if signature.has_single_precision:
            return block.astype(np.float32)
        positions = list(signature.single_precision)
        block[:, positions] = block[:, positions].astype(np.float32)
    return block


def join(columns: Sequence[Matrix], signature: Signature) -> Matrix:
    """The model's matrix [rows, columns] from the cells [rows] of every column in the signature's order, checked.

    Raises `ModelRefusalError` for what a column does not take.
    """
    if signature.is_numeric:
        block = np.stack(columns, axis=1)
        check_numbers(block, signature, 0)
        return finish(block, signature)
    table = np.empty((len(columns[0]), len(columns)), dtype=object)
    for position, (column, cells) in enumerate(zip(signature.columns, columns, strict=True)):
        if column.is_text:
            check_text(cells.tolist(), column, position)
            table[:, position] = cells
        else:
            check_numbers(cells[:, None], signature, position)
            table[:, position] = objects(cells.tolist(), column.datatype)
    return table


def objects(values: list[Any], datatype: Datatype) -> list[Any]:
    """Float values of a number or truth column as the Python objects that a matrix of objects holds; NaN stays."""
    if datatype is Datatype.BOOL:
        return [value if value != value else bool(value) for value in values]
    if datatype is Datatype.INT64:
        return [value if value != value else int(value) for value in values]
    if datatype is Datatype.FP32:
        with np.errstate(invalid="ignore"):
            rounded: list[Any] = np.array(values, dtype=np.float32).tolist()
        return rounded
    return values
