"""From the server's matrices to the DataFrame that a model was fitted on. pandas is imported where there is such a model."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock_serving import contract
from penstock_serving.model.asked import AskedModel
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.frame import Matrix
from penstock_serving.model.series import CATEGORY_DTYPE, Missing, Series

if TYPE_CHECKING:
    import pandas as pd

UNSEEN = "\N{REPLACEMENT CHARACTER} never seen"
"""The level that stands for every category that the model never saw, so that none depends on what is asked beside it."""

_Column = Callable[[Matrix], Any]


class FramedModel(AskedModel):
    """An estimator that wants a DataFrame. Raises `BadModelError` (Misconfigured) where pandas is not installed."""

    def __init__(self, estimator: Any, series: Mapping[str, Series]) -> None:
        pandas = require_pandas()
        columns = {name: _reader(pandas, one) for name, one in series.items()}

        def given(matrix: Matrix) -> "pd.DataFrame":
            made: pd.DataFrame = pandas.DataFrame(
                {name: read(matrix[:, place]) for place, (name, read) in enumerate(columns.items())}
            )
            return made

        super().__init__(estimator, series, given)


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
