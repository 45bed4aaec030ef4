"""What checking a request needs of a signature, worked out once: as arrays for many rows, as plain values for one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from penstock_serving.model.datatype import Datatype
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Column, Signature

_LARGEST = {
    Datatype.BOOL: 1.0,
    Datatype.INT64: 2.0**53 - 1,  # from 2**53 on, different integers are the same float64
    Datatype.FP32: float(np.finfo(np.float32).max),
    Datatype.FP64: float(np.finfo(np.float64).max),
}
_TYPES: dict[Datatype, tuple[type, ...]] = {
    Datatype.BOOL: (bool,),
    Datatype.INT64: (int,),
    Datatype.FP32: (int, float),
    Datatype.FP64: (int, float),
    Datatype.BYTES: (str,),
}
_CONVERSIONS: dict[Datatype, Callable[[Any], Any]] = {
    Datatype.FP32: lambda value: float(np.float32(value)),
    Datatype.FP64: float,
}
_KEPT = 64


class Field(NamedTuple):
    """A column as the one-row path sees it; a tuple, because it is unpacked for every value.

    `kinds` are the JSON types that it takes, `range` the least and the greatest number that it takes without a closer
    look (None: any that JSON can write), `words` the only texts that it takes so (None: any; of times none).
    """

    position: int
    datatype: str
    kinds: frozenset[type]
    range: tuple[float, float] | None
    words: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A signature's checks.

    `low`, `high` and `takes_missing` are [columns]; text columns have infinities and True there. Numbers of at most the
    magnitude `harmless` are in every column's range. `cells` tells how a JSON value becomes a cell of a matrix of objects
    (None: as it is), and what stands there for null.
    """

    signature: Signature
    low: Matrix
    high: Matrix
    harmless: float
    takes_missing: Matrix
    fields: dict[str, Field]
    cells: tuple[tuple[Callable[[Any], Any] | None, float | None], ...]
    all_double: bool
    all_take_missing: bool
    default_outputs: tuple[str, ...]


def _range(column: Column) -> tuple[float, float]:
    largest = _LARGEST.get(column.datatype, np.inf)
    low, high = column.limits or (-largest, largest)
    return max(low, -largest), min(high, largest)


def _single_range(low: float, high: float) -> tuple[float, float]:
    """The least and the greatest number of single precision in a range: what is between them stays so when rounded."""
    with np.errstate(over="ignore"):  # bounds may be beyond single precision
        least, most = np.float32(low), np.float32(high)
        if float(least) < low:
            least = np.nextafter(least, np.float32(np.inf))
        if float(most) > high:
            most = np.nextafter(most, np.float32(-np.inf))
    return float(least), float(most)


def _field(signature: Signature, position: int) -> Field:
    column = signature.columns[position]
    kinds = set(_TYPES[column.datatype])
    if column.takes_missing:
        kinds.add(type(None))
    closed = column.is_time or (column.is_text and column.categories and not column.takes_unseen)
    bounds = _range(column) if column.limits is not None or column.datatype in {Datatype.INT64, Datatype.FP32} else None
    if bounds is not None and column.datatype is Datatype.FP32:
        bounds = _single_range(*bounds)
    return Field(
        position=position,
        datatype=column.datatype.value,
        kinds=frozenset(kinds),
        range=bounds,
        words=frozenset(column.categories) if closed else None,
    )


def _make(signature: Signature) -> Plan:
    columns = signature.columns
    ranges = np.array([_range(column) for column in columns])
    return Plan(
        signature=signature,
        low=ranges[:, 0],
        high=ranges[:, 1],
        harmless=float(min(-ranges[:, 0].max(), ranges[:, 1].min())),
        takes_missing=np.array([column.takes_missing or column.is_text for column in columns]),
        fields={column.name: _field(signature, position) for position, column in enumerate(columns)},
        cells=tuple((_CONVERSIONS.get(column.datatype), None if column.is_text else np.nan) for column in columns),
        all_double=all(column.datatype is Datatype.FP64 and column.limits is None for column in columns),
        all_take_missing=all(column.takes_missing for column in columns),
        default_outputs=(signature.default_output,),
    )


_plans: dict[int, Plan] = {}


def plan(signature: Signature) -> Plan:
    """The plan of a signature, remembered by the object: hashing hundreds of columns would cost more than a request."""
    known = _plans.get(id(signature))
    if known is not None and known.signature is signature:
        return known
    if len(_plans) >= _KEPT:
        _plans.clear()
    made = _make(signature)
    _plans[id(signature)] = made
    return made
