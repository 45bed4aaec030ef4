"""Which columns matter over many rows."""

from dataclasses import dataclass

import numpy as np

from penstock_serving.explain.explainer import Explainer
from penstock_serving.model.frame import Matrix


@dataclass(frozen=True, slots=True)
class Importance:
    """Mean absolute contribution of each column to each output, [columns, outputs], in the margin's unit."""

    columns: tuple[str, ...]
    outputs: tuple[str, ...]
    unit: str
    values: Matrix


def importance(data: bytes, matrix: Matrix) -> Importance:
    """The importance of a model's columns, by its exported arrays, over rows [rows, columns].

    Raises as `Explainer` and `Explainer.explain` do.
    """
    explained = Explainer(data).explain(matrix)
    mean = np.abs(explained.contributions).mean(axis=0)
    return Importance(explained.columns, explained.outputs, explained.unit.value, mean)
