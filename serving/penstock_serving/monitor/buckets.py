"""Counting rows into buckets: natively where that is installed (`serving/native`), else by numpy, which takes some times as
long. Both count the same.
"""

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from penstock_serving.model.frame import Matrix

MODULE = "penstock_lane"


class Column(NamedTuple):
    """Where a column's values are counted: by edges (upper ends inclusive), or as positions, those that are none in the
    last bucket."""

    edges: Sequence[float] | None
    buckets: int


class Buckets(Protocol):
    """Counts rows [rows, columns] of float64: the buckets of all columns, one after the other, and the missing values of
    each, which are in no bucket."""

    def count(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        """Counts [buckets] and [columns], int64."""


def buckets(columns: Sequence[Column]) -> Buckets:
    """What counts for these columns, natively if it can."""
    try:
        return Native(columns)
    except (ImportError, AttributeError, TypeError, ValueError):
        # not installed, or of another version than this server
        return Numpy(columns)


class Native:
    """By native code."""

    def __init__(self, columns: Sequence[Column]) -> None:
        given = [(None if edges is None else list(edges), size) for edges, size in columns]
        self._native: Any = importlib.import_module(MODULE).Buckets(given)
        self._all = sum(column.buckets for column in columns)

    def count(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        counts = np.frombuffer(self._native.count(rows.astype("<f8", copy=False).tobytes()), dtype=np.int64)
        return counts[: self._all], counts[self._all :]


class Numpy:
    """By numpy, a column at a time."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._edges = [None if column.edges is None else np.array(column.edges) for column in columns]
        self._sizes = [column.buckets for column in columns]
        self._last = np.cumsum(self._sizes) - 1

    def count(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        missing = np.isnan(rows).sum(axis=0)
        cells = np.empty(rows.shape[::-1], dtype=np.int64)
        columns = zip(cells, np.ascontiguousarray(rows.T), self._edges, self._sizes, self._last, strict=True)
        for cell, values, edges, size, last in columns:
            np.add(_positions(values, edges, size), last + 1 - size, out=cell)
        counts = np.bincount(cells.ravel(), minlength=sum(self._sizes))
        # A missing value is in none of the buckets, and was put into the last.
        counts[self._last] -= missing
        return counts, missing


def _positions(values: Matrix, edges: Matrix | None, buckets: int) -> Matrix:
    """In which bucket each value is; a missing one in the last."""
    if edges is None:
        return np.where((values > -1) & (values < buckets), values, buckets - 1).astype(np.int64)
    return edges.searchsorted(values, side="left")
