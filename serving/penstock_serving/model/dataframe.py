"""Between the server's matrices and the DataFrame that a model was fitted on. pandas is imported where there is one."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock_serving import contract
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.frame import Frame, Matrix, column_datatype, names
from penstock_serving.model.series import CATEGORY_DTYPE, MAX_LEVELS, Missing, Series, is_dtype
from penstock_serving.model.signature import OUTPUTS, Signature

if TYPE_CHECKING:
    import pandas as pd

_DTYPES = {
    Datatype.BOOL: "bool",
    Datatype.INT64: "int64",
    Datatype.FP32: "float32",
    Datatype.FP64: "float64",
    Datatype.BYTES: "str",
}


class FramedModel:
    """An estimator that wants a DataFrame, asked by matrices [rows, columns] as serving makes them.

    Its methods are those of `OUTPUTS` that the estimator has; every other attribute is the estimator's.
    """

    def __init__(self, estimator: Any, series: Mapping[str, Series]) -> None:
        self.estimator, self.series = estimator, series
        _pandas()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.estimator, name)
        return self._asked(found) if name in OUTPUTS and callable(found) else found

    def _asked(self, method: Callable[[Any], Any]) -> Callable[[Matrix], Any]:
        return lambda matrix: method(dataframe(matrix, self.series))


def bare(model: Any) -> Any:
    """The estimator itself, to be read and not asked."""
    return model.estimator if isinstance(model, FramedModel) else model


def as_fitted(estimator: Any, signature: Signature) -> Any:
    """The estimator as a package's signature says that it is to be asked: by matrices, or by DataFrames."""
    series = {column.name: column.series for column in signature.columns if column.series is not None}
    return FramedModel(estimator, series) if series else estimator


def dataframe(matrix: Matrix, series: Mapping[str, Series]) -> "pd.DataFrame":
    """The rows of a matrix [rows, columns] as the DataFrame that a model was fitted on."""
    pandas = _pandas()
    columns = {name: _column(pandas, matrix[:, place], one) for place, (name, one) in enumerate(series.items())}
    made: pd.DataFrame = pandas.DataFrame(columns)
    return made


def _pandas() -> Any:
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise BadModelError(
            contract.REASON_MISCONFIGURED,
            "the model was fitted on a DataFrame and needs pandas; install penstock[serving]",
        ) from error
    return pandas


def _column(pandas: Any, values: Matrix, series: Series) -> Any:
    if not series.is_text:
        return _numbers(pandas, values.astype(np.float64), series.dtype)
    texts = values.tolist()
    if series.is_time:
        times = pandas.to_datetime(pandas.Series(texts, dtype="object"), format="ISO8601", utc=series.has_zone)
        return times.astype(series.dtype)
    if series.dtype == CATEGORY_DTYPE:
        # One that the model never saw is a category like any other, and what the model makes of it is the model's.
        levels = [*dict.fromkeys([*series.levels, *(text for text in texts if text is not None)])]
        return pandas.Categorical(texts, categories=levels)
    if series.dtype == "object":
        missing = np.nan if series.missing is Missing.NAN else None
        return pandas.Series(_objects([missing if text is None else text for text in texts]), dtype="object")
    return pandas.array(texts, dtype=series.dtype)


def _numbers(pandas: Any, values: Matrix, dtype: str) -> Any:
    """Numbers of a column in its dtype; where it cannot hold them, in the one that pandas itself would choose."""
    missing = np.isnan(values)
    if dtype[0].isupper() or dtype == "boolean":
        cells = [None if absent else value for value, absent in zip(values.tolist(), missing.tolist(), strict=True)]
        return pandas.array(cells, dtype=dtype)
    if dtype.startswith("float"):
        return values.astype(dtype)
    if missing.any():
        if dtype != "bool":
            return values
        return np.array([np.nan if value != value else bool(value) for value in values.tolist()], dtype=object)
    if dtype == "bool":
        return values.astype(bool)
    limits = np.iinfo(dtype)
    fits = len(values) == 0 or (limits.min <= values.min() and values.max() <= limits.max)
    return values.astype(dtype if fits else np.int64)


def plain(frame: Frame) -> tuple[dict[str, Matrix], dict[str, Series]]:
    """The columns [rows] of named columns as arrays, and how each stands, or would stand, in a DataFrame.

    Times become ISO 8601 text. Raises `BadModelError` for columns that cannot be served, by name.
    """
    found = {name: _plain(name, frame[key]) for name, key in zip(names(frame), frame.keys(), strict=True)}
    return {name: values for name, (values, _) in found.items()}, {name: series for name, (_, series) in found.items()}


def _plain(name: str, values: Any) -> tuple[Matrix, Series]:
    array = np.asarray(values) if not hasattr(values, "isna") else None
    if array is not None and array.dtype.kind != "M":
        return array, Series(_DTYPES[column_datatype(name, array)])
    column = _pandas().Series(values)
    dtype = str(column.dtype)
    if dtype == CATEGORY_DTYPE:
        return _category(name, column)
    if not is_dtype(dtype):
        array = np.asarray(values)
        return array, Series(_DTYPES[column_datatype(name, array)])
    series = Series(dtype)
    if series.is_time:
        return _objects([None if missing else value.isoformat() for value, missing in _present(column)]), series
    if dtype == "object":
        array = np.asarray(column)
        column_datatype(name, array)
        none = any(value is None for value in array.tolist())
        return array, Series(dtype, missing=Missing.NONE if none else Missing.NAN)
    if series.is_text:
        return _objects([None if missing else value for value, missing in _present(column)]), series
    if column.isna().any():
        return column.to_numpy(dtype=np.float64, na_value=np.nan), series
    return column.to_numpy(dtype=dtype.lower().replace("boolean", "bool")), series


def declared(name: str, values: Matrix, dtype: str) -> Series:
    """How a column of plain values [rows] stands in a DataFrame with the dtype that somebody declares.

    The levels of a category are the texts found, sorted. Raises `BadModelError` for a dtype that cannot be served or
    does not fit the values.
    """
    is_text = column_datatype(name, values) is Datatype.BYTES
    if not is_dtype(dtype) or Series(dtype).is_text != is_text:
        raise _unusable(name, f"its values cannot be of dtype {dtype[:80]!r}")
    series = Series(dtype)
    texts = [value for value in values.tolist() if isinstance(value, str)] if is_text else []
    if series.is_time and not all(map(series.holds_time, texts)):
        raise _unusable(name, f"a value is not {series.time_form}")
    return Series(dtype, tuple(sorted(set(texts)))) if dtype == CATEGORY_DTYPE else series


def _category(name: str, column: Any) -> tuple[Matrix, Series]:
    levels = column.cat.categories.tolist()
    if not all(isinstance(level, str) for level in levels):
        raise _unusable(name, "its categories are not texts; fit the model on text categories, or on the numbers")
    if len(levels) > MAX_LEVELS:
        raise _unusable(name, f"it has more than {MAX_LEVELS} categories")
    texts = [None if missing else value for value, missing in _present(column)]
    return _objects(texts), Series(CATEGORY_DTYPE, tuple(levels))


def _present(column: Any) -> Sequence[tuple[Any, bool]]:
    return list(zip(column.tolist(), column.isna().tolist(), strict=True))


def _objects(values: Sequence[Any]) -> Matrix:
    cells = np.empty(len(values), dtype=object)
    cells[:] = values
    return cells


def _unusable(name: str, why: str) -> BadModelError:
    return BadModelError(contract.REASON_NOT_A_MODEL, f"column {name!r} cannot be served: {why}")
