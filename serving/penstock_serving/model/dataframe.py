"""From the server's matrices to the DataFrame that a model was fitted on. pandas is imported where there is such a model."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock_serving import contract
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.frame import Matrix
from penstock_serving.model.series import CATEGORY_DTYPE, Missing, Series
from penstock_serving.model.signature import OUTPUTS, Signature

if TYPE_CHECKING:
    import pandas as pd

UNSEEN = "\N{REPLACEMENT CHARACTER} never seen"
"""The level that stands for every category that the model never saw, so that none depends on what is asked beside it."""

_Column = Callable[[Matrix], Any]


class FramedModel:
    """An estimator that wants a DataFrame, asked by matrices [rows, columns] as serving makes them.

    Its methods are those of `OUTPUTS` that the estimator has; every other attribute is the estimator's. Raises
    `BadModelError` (Misconfigured) where pandas is not installed.
    """

    def __init__(self, estimator: Any, series: Mapping[str, Series]) -> None:
        self.estimator, self.series = estimator, dict(series)
        pandas = require_pandas()
        self._frame = pandas.DataFrame
        self._columns = {name: _reader(pandas, one) for name, one in series.items()}

    def __getattr__(self, name: str) -> Any:
        if name == "estimator":  # asked before it is there, while a copy is made
            raise AttributeError(name)
        found = getattr(self.estimator, name)
        return self._asked(found) if name in OUTPUTS and callable(found) else found

    def frame(self, matrix: Matrix) -> "pd.DataFrame":
        """The rows of a matrix [rows, columns], which hold nothing that the dtypes do not, as a DataFrame."""
        columns = {name: read(matrix[:, place]) for place, (name, read) in enumerate(self._columns.items())}
        made: pd.DataFrame = self._frame(columns)
        return made

    def _asked(self, method: Callable[[Any], Any]) -> Callable[[Matrix], Any]:
        return lambda matrix: method(self.frame(matrix))


def bare(model: Any) -> Any:
    """The estimator itself, to be read and not asked."""
    return model.estimator if isinstance(model, FramedModel) else model


def as_fitted(estimator: Any, signature: Signature) -> Any:
    """The estimator as a package's signature says that it is to be asked: by matrices, or by DataFrames."""
    series = {column.name: column.series for column in signature.columns if column.series is not None}
    return FramedModel(estimator, series) if series else estimator


def require_pandas() -> Any:
    """The library; raises `BadModelError` (Misconfigured) where it is not installed."""
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise BadModelError(
            contract.REASON_MISCONFIGURED,
            "the model was fitted on a DataFrame and needs pandas; install penstock[serving]",
        ) from error
    return pandas


def _reader(pandas: Any, series: Series) -> _Column:
    """What makes a DataFrame's column of a matrix's."""
    if series.is_time:
        return _times(pandas, series)
    if series.dtype == CATEGORY_DTYPE:
        return _categories(pandas, series)
    if series.dtype == "object":
        missing = np.nan if series.missing is Missing.NAN else None
        return lambda values: pandas.Series(
            objects([missing if text is None else text for text in values.tolist()]), dtype="object"
        )
    if series.is_text:
        return lambda values: pandas.array(values.tolist(), dtype=series.dtype)
    if series.dtype[0].isupper() or series.dtype == "boolean":
        return _nullable(pandas, series)
    return lambda values: values.astype(np.float64).astype(series.dtype)


def _nullable(pandas: Any, series: Series) -> _Column:
    held = np.dtype(series.dtype.lower().replace("boolean", "bool"))
    kinds = {"b": pandas.arrays.BooleanArray, "f": pandas.arrays.FloatingArray}
    make = kinds.get(held.kind, pandas.arrays.IntegerArray)

    def read(values: Matrix) -> Any:
        numbers = values.astype(np.float64)
        missing = np.isnan(numbers)
        return make(np.where(missing, 0.0, numbers).astype(held), missing)

    return read


def _categories(pandas: Any, series: Series) -> _Column:
    dtype = pandas.CategoricalDtype([*series.levels, UNSEEN], ordered=series.ordered)
    codes: dict[str | None, int] = {level: code for code, level in enumerate(series.levels)}
    codes[None] = -1
    unseen = len(series.levels)

    def read(values: Matrix) -> Any:
        return pandas.Categorical.from_codes([codes.get(text, unseen) for text in values.tolist()], dtype=dtype)

    return read


def _times(pandas: Any, series: Series) -> _Column:
    if series.has_zone:
        return lambda values: pandas.to_datetime(
            pandas.Series(values.tolist(), dtype="object"), format="ISO8601", utc=True
        ).astype(series.dtype)
    return lambda values: np.array(["NaT" if text is None else text for text in values.tolist()], dtype=series.dtype)


def objects(values: Sequence[Any]) -> Matrix:
    """Values as an array [n] of objects."""
    cells = np.empty(len(values), dtype=object)
    cells[:] = values
    return cells
