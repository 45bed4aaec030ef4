"""Asking an estimator as it was fitted, by what its package's signature says."""

from typing import Any

from penstock_serving.model.dataframe import FramedModel
from penstock_serving.model.series import Asked
from penstock_serving.model.signature import Signature


def as_fitted(estimator: Any, signature: Signature) -> Any:
    """The estimator as something that is asked by matrices; raises `BadModelError` where pandas is needed and missing."""
    series = {column.name: column.series for column in signature.columns if column.series is not None}
    match signature.asked:
        case Asked.FRAME:
            return FramedModel(estimator, series)
        case Asked.POSITIONS:
            from penstock_serving.model.positions import PositionedModel  # it needs scikit-learn

            return PositionedModel(estimator, series)
    return estimator
