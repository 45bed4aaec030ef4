"""What the monitor is told of a served request: numbers only, categories as positions in the declared vocabulary."""

from typing import Any

import numpy as np

from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Signature

UNSEEN = -1.0


class Observer:
    """Turns matrices [rows, columns] and predictions [rows] into the monitor's rows [rows, columns + 1] of float64."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._categories = {
            index: {None: np.nan} | {category: float(code) for code, category in enumerate(column.categories)}
            for index, column in enumerate(signature.columns)
            if column.is_text
        }
        self._classes = {label: float(code) for code, label in enumerate(signature.classes)}

    def rows(self, matrix: Matrix, predictions: Matrix | None) -> Matrix:
        """The monitor's rows; predictions are NaN where none were computed or they are not one number or class."""
        rows, columns = matrix.shape
        observed = np.empty((rows, columns + 1), dtype=np.float64)
        if self._categories:
            for index in range(columns):
                observed[:, index] = self._codes(index, matrix[:, index].tolist())
        else:
            observed[:, :-1] = matrix
        observed[:, -1] = self._predictions(predictions)
        return observed

    def _codes(self, index: int, values: list[Any]) -> list[float]:
        codes = self._categories.get(index)
        return values if codes is None else [codes.get(value, UNSEEN) for value in values]

    def _predictions(self, predictions: Matrix | None) -> Matrix | list[float] | float:
        if predictions is None or predictions.ndim != 1:
            return np.nan
        if self._classes:
            return [self._classes.get(label, np.nan) for label in predictions.tolist()]
        return predictions if predictions.dtype.kind in "biuf" else np.nan
