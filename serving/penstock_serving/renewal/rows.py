"""Rows that stand for the reference where it is not at hand: a package keeps its golden rows and what columns hold."""

import numpy as np

from penstock_serving.compile.candidates import Cell, cell
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Column, Signature

KIND = "golden or drawn"
_DRAWN = 4_000
_MISSING = 0.05


def golden_or_drawn(signature: Signature, golden: Matrix) -> Matrix:
    """The golden rows [rows, columns], then rows drawn from what the signature tells of each column; always the same.

    A drawn row is a golden one in which some columns, from none to all, hold values of their own: of the column's
    vocabulary, or between the quantiles of the reference rows, on them, and somewhat beyond.
    """
    rng = np.random.default_rng(0)
    rows = golden[rng.integers(0, len(golden), _DRAWN)]
    share = rng.random(_DRAWN)
    for index, column in enumerate(signature.columns):
        places = np.flatnonzero(rng.random(_DRAWN) < share)
        values = _drawn(column, len(places), rng)
        if not values:
            continue  # a text column without a vocabulary holds what its golden rows hold
        rows[places, index] = values if signature.is_numeric else _cells(values, column)
    return np.concatenate([golden, rows])


def _cells(values: list[Cell], column: Column) -> Matrix:
    cells = np.empty(len(values), dtype=object)
    cells[:] = [cell(value, column) for value in values]
    return cells


def _drawn(column: Column, count: int, rng: np.random.Generator) -> list[Cell]:
    values: list[Cell]
    if column.is_text:
        if not column.categories:
            return []
        values = [column.categories[at] for at in rng.integers(0, len(column.categories), count)]
    else:
        values = [*_numbers(column, count, rng).tolist()]
    if column.takes_missing:
        nothing = None if column.is_text else np.nan
        values = [
            nothing if missing else value for value, missing in zip(values, rng.random(count) < _MISSING, strict=True)
        ]
    return values


def _numbers(column: Column, count: int, rng: np.random.Generator) -> Matrix:
    """Numbers of the column's datatype, within its declared bounds."""
    edges = np.array(column.edges or (0.0, 1.0))
    beyond = max(float(edges[-1] - edges[0]), 1.0)
    ends = np.array([edges[0] - beyond, *edges, edges[-1] + beyond])
    at = rng.integers(0, len(ends) - 1, count)
    numbers = ends[at] + (ends[at + 1] - ends[at]) * rng.random(count)
    # what takes few values is asked at those, which are edges
    on_edge = rng.random(count) < 0.25
    numbers[on_edge] = edges[rng.integers(0, len(edges), int(on_edge.sum()))]
    match column.datatype:
        case Datatype.BOOL:
            return np.asarray(rng.random(count) < 0.5)
        case Datatype.INT64:
            numbers = np.round(numbers)
        case Datatype.FP32:
            numbers = numbers.astype(np.float32).astype(np.float64)
    low, high = column.limits or (-np.inf, np.inf)
    return np.asarray(np.clip(numbers, low, high))
