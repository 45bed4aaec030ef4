"""Estimators that are asked in another form than matrices, asked by matrices all the same."""

from collections.abc import Callable, Mapping
from typing import Any

from penstock_serving.model.frame import Matrix
from penstock_serving.model.series import Series
from penstock_serving.model.signature import OUTPUTS


class AskedModel:
    """An estimator whose methods take what `given` makes of a matrix [rows, columns] of columns that stand as `series` say.

    Its methods are those of `OUTPUTS` that the estimator has; every other attribute is the estimator's.
    """

    def __init__(self, estimator: Any, series: Mapping[str, Series], given: Callable[[Matrix], Any]) -> None:
        self.estimator, self.series, self.given = estimator, dict(series), given

    def __getattr__(self, name: str) -> Any:
        if name == "estimator":  # asked before it is there, while a copy is made
            raise AttributeError(name)
        found = getattr(self.estimator, name)
        if name not in OUTPUTS or not callable(found):
            return found
        return lambda matrix: found(self.given(matrix))


def bare(model: Any) -> Any:
    """The estimator itself, to be read and not asked."""
    return model.estimator if isinstance(model, AskedModel) else model
