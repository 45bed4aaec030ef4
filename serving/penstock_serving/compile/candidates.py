"""The values of one input column that a proof must try: where something is decided, and the ends of what numbers can be."""

from collections.abc import Iterable

import numpy as np

from penstock_serving.model.datatype import Datatype
from penstock_serving.model.frame import Matrix
from penstock_serving.model.series import Series
from penstock_serving.model.signature import Column, Label

Cell = str | int | float | bool | None

_LARGEST_INTEGER = 2.0**53
_TINY = (0.0, -0.0, 5e-324, -5e-324, 2.3e-308, 1.5e-45, -1e-30)
_LARGE = (2.0**24 + 1, -(2.0**24) - 1, 2.0**31, 2.0**53, -(2.0**53), 1e15 + 0.3, 1e30, -1e30)
_BEYOND = (3.4e38, 3.5e38, -3.5e38, 1e200, 1.7e308, -1.7e308)
_INFINITE = (np.inf, -np.inf)
_TEXTS = ("", " ", "0", "None", "nan", "é", "e\u0301", "\U0001d518", "Ünïcödé", "a\x00", "x" * 300)


def held(values: Iterable[float], column: Column) -> list[float]:
    """Numbers as a column of its datatype can hold them, in order and without repeats."""
    array = np.asarray(list(values), dtype=np.float64)
    with np.errstate(over="ignore"):
        match column.datatype:
            case Datatype.BOOL:
                array = (array > 0).astype(np.float64)
            case Datatype.INT64:
                array = array[np.isfinite(array)]
                array = np.concatenate([np.floor(array), np.ceil(array)])
                low, high = (column.series and column.series.limits) or (-_LARGEST_INTEGER, _LARGEST_INTEGER)
                array = array[(low <= array) & (array <= high)]
            case Datatype.FP32:
                single = array.astype(np.float32).astype(np.float64)
                array = single[np.isfinite(single) | ~np.isfinite(array)]
    return list(dict.fromkeys((array + 0.0).tolist() if column.datatype is Datatype.INT64 else array.tolist()))


def neighbours(value: float) -> tuple[float, ...]:
    """A number and the numbers next to it in double and in single precision."""
    with np.errstate(over="ignore"):
        single = np.float32(value)
        singles = (np.nextafter(single, np.float32(-np.inf)), single, np.nextafter(single, np.float32(np.inf)))
    doubles = (np.nextafter(value, -np.inf), value, np.nextafter(value, np.inf))
    return tuple(float(number) for number in (*doubles, *singles) if np.isfinite(number))


def special_numbers(column: Column, reference: Matrix) -> list[float]:
    """Range ends and their neighbours, tiny, large and (in a floating column) infinite numbers; NaN where taken."""
    present = reference[np.isfinite(reference)]
    ends = [end for value in (present.min(), present.max()) for end in neighbours(float(value))] if len(present) else []
    values = held([*ends, *_TINY, *_LARGE, *_BEYOND, *_INFINITE], column)
    return values + [np.nan] * column.takes_missing


def decisive_numbers(column: Column, values: Iterable[Label | None]) -> list[float]:
    """Numbers at which the model decides by equality, and others beside them."""
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    return held([near for number in numbers for near in neighbours(number)], column)


def texts(column: Column, values: Iterable[Label | None], reference: Matrix) -> list[str | None]:
    """Known texts, and where the column takes them unknown, empty and Unicode ones; None where missing is taken."""
    if column.series is not None and column.is_time:
        return [*_times(column.series, reference), *([None] if column.takes_missing else [])]
    known = {value for value in (*values, *column.categories, *reference.tolist()) if isinstance(value, str)}
    if column.categories and not column.takes_unseen:
        return [*column.categories, *([None] if column.takes_missing else [])]
    ordered = sorted(known)[:400]
    near = [changed for text in ordered[:50] for changed in (text + " ", text.upper(), text + "?", text[:-1])]
    return [*dict.fromkeys([*ordered, *near, *_TEXTS]), *([None] if column.takes_missing else [])]


def special(column: Column, decisive: Iterable[Label | None], reference: Matrix) -> list[Cell]:
    """The values of a column to try, where something is decided at the `decisive` ones; `reference` [rows] is of it."""
    if column.is_text:
        return [*texts(column, decisive, reference)]
    return [*special_numbers(column, reference.astype(np.float64)), *decisive_numbers(column, decisive)]


def _times(series: Series, reference: Matrix) -> list[str]:
    """Times of the reference, and the ends of what the column can hold."""
    offset = "Z" if series.has_zone else ""
    first, last = ("1678-01-01", "2261-12-31") if series.unit == "ns" else ("0002-01-01", "9998-12-31")
    known = sorted({value for value in reference.tolist() if isinstance(value, str)})
    return [*known[:400], *(f"{day}T00:00:00{offset}" for day in (first, "1970-01-01", last))]


def cell(value: Cell, column: Column) -> Cell:
    """A value as it stands in a matrix of objects (`protocol.values.join`)."""
    if isinstance(value, str) or value is None or value != value:
        return value
    match column.datatype:
        case Datatype.BOOL:
            return bool(value)
        case Datatype.INT64:
            return int(value)
    return float(value)
