"""Named columns, a DataFrame's among them, as plain arrays, and how each stands in a DataFrame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from penstock_serving import contract
from penstock_serving.model.dataframe import UNSEEN, objects, require_pandas
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.frame import Frame, Matrix, column_datatype, names
from penstock_serving.model.series import CATEGORY_DTYPE, MAX_LEVELS, Missing, Series, is_dtype

_DTYPES = {
    Datatype.BOOL: "bool",
    Datatype.INT64: "int64",
    Datatype.FP32: "float32",
    Datatype.FP64: "float64",
    Datatype.BYTES: "str",
}


_TIMESPECS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


@dataclass(frozen=True, slots=True)
class Plain:
    """A column's values [rows], numbers and truth values with NaN, texts with None where one is missing, times as ISO 8601;
    and how it stands in a DataFrame: None where that cannot be served, which `why_not` tells."""

    values: Matrix
    series: Series | None
    why_not: str = ""


def plain(frame: Frame) -> dict[str, Plain]:
    """The columns of a frame by name; those that are no DataFrame's as pandas would make them one's.

    Raises `BadModelError` for names that occur twice and columns that cannot be served in any way, by name.
    """
    found = names(frame)
    repeated = next((name for name in found if found.count(name) > 1), None)
    if repeated is not None:
        raise _unusable(repeated, "its name occurs twice")
    return {name: _plain(name, frame[key]) for name, key in zip(found, frame.keys(), strict=True)}


def declared(name: str, column: Plain, dtype: str) -> Plain:
    """The column in a dtype that somebody declares: one of pandas', or `category[S,M,L]` with its levels in order.

    The levels of a mere `category` are the texts found, sorted. Raises `BadModelError` for a dtype that cannot be served
    or does not hold the values.
    """
    kind, levels = (
        (CATEGORY_DTYPE, dtype[9:-1]) if dtype.startswith("category[") and dtype.endswith("]") else (dtype, "")
    )
    series = Series(kind) if is_dtype(kind) else None
    texts = [value for value in column.values.tolist() if isinstance(value, str)]
    if series is None or not _holds(series, column.values):
        raise _unusable(name, f"its values cannot be of dtype {dtype[:80]!r}")
    if series.is_time and not all(map(series.holds_time, texts)):
        raise _unusable(name, f"a value is not {series.time_form}")
    if kind == CATEGORY_DTYPE:
        series = replace(series, levels=tuple(levels.split(",")) if levels else tuple(sorted(set(texts))))
    if kind == "object":
        series = replace(series, missing=Missing.NONE)
    return Plain(column.values, series)


def datatype_of(dtype: str) -> Datatype | None:
    """In which datatype the fields of a file are read for a declared dtype; None where they tell by themselves."""
    if dtype.startswith(f"{CATEGORY_DTYPE}["):
        return Datatype.BYTES
    nullable = dtype[:1].isupper() or dtype == "boolean"
    return Series(dtype).datatype if is_dtype(dtype) and not nullable else None


def _holds(series: Series, values: Matrix) -> bool:
    is_text = values.dtype.kind in "OU" and column_datatype("", values) is Datatype.BYTES
    if series.is_text or is_text:
        return series.is_text and is_text
    numbers = values.astype(np.float64)
    present = numbers[~np.isnan(numbers)]
    if len(present) < len(numbers) and not series.holds_missing:
        return False
    match series.datatype:
        case Datatype.BOOL:
            return bool(np.isin(present, (0, 1)).all())
        case Datatype.INT64:
            low, high = series.limits or (-np.inf, np.inf)
            return bool(((present == np.floor(present)) & (low <= present) & (present <= high)).all())
    return True


def _plain(name: str, values: Any) -> Plain:
    if not hasattr(values, "isna"):
        array = np.asarray(values)
        if array.dtype.kind != "M":
            return Plain(array, Series(_DTYPES[column_datatype(name, array)]))
    column = require_pandas().Series(values)
    dtype = str(column.dtype)
    if dtype == CATEGORY_DTYPE:
        return _category(name, column)
    if not is_dtype(dtype):
        array = np.asarray(values)
        column_datatype(name, array)
        return Plain(array, None, f"its dtype is {dtype}")
    if dtype == "object":
        return _object(name, np.asarray(column))
    series = Series(dtype)
    if series.is_time:
        spec = _TIMESPECS[series.unit]
        texts = [None if missing else value.isoformat(timespec=spec) for value, missing in _present(column)]
        if not all(text is None or series.holds_time(text) for text in texts):
            raise _unusable(name, f"a time cannot be written as {series.time_form}")
        return Plain(objects(texts), series)
    if series.is_text:
        return Plain(objects([None if missing else value for value, missing in _present(column)]), series)
    if column.isna().any():
        return Plain(column.to_numpy(dtype="float32" if dtype == "float32" else np.float64, na_value=np.nan), series)
    return Plain(column.to_numpy(dtype=dtype.lower().replace("boolean", "bool")), series)


def _object(name: str, array: Matrix) -> Plain:
    column_datatype(name, array)
    missing = {None if value is None else "nan" for value in array.tolist() if not isinstance(value, str)}
    if len(missing) > 1:
        return Plain(array, None, "its missing texts are None in some rows and NaN in others; make them one")
    return Plain(array, Series("object", missing=Missing.NONE if None in missing else Missing.NAN))


def _category(name: str, column: Any) -> Plain:
    levels = column.cat.categories.tolist()
    if not all(isinstance(level, str) for level in levels):
        raise _unusable(name, "its categories are not texts; fit the model on text categories, or on the numbers")
    if len(levels) > MAX_LEVELS or UNSEEN in levels:
        raise _unusable(name, f"it has more than {MAX_LEVELS} categories")
    texts = [None if missing else value for value, missing in _present(column)]
    return Plain(objects(texts), Series(CATEGORY_DTYPE, tuple(levels), bool(column.cat.ordered)))


def _present(column: Any) -> Sequence[tuple[Any, bool]]:
    return list(zip(column.tolist(), column.isna().tolist(), strict=True))


def datatypes(columns: Mapping[str, Plain]) -> list[Datatype]:
    """The datatype in which each column travels."""
    return [
        column_datatype(name, column.values) if column.series is None else column.series.datatype
        for name, column in columns.items()
    ]


def _unusable(name: str, why: str) -> BadModelError:
    return BadModelError(contract.REASON_NOT_A_MODEL, f"column {name!r} cannot be served: {why}")
