"""Asking a model that was fitted on a DataFrame by a matrix: its columns by position instead of by name.

It is several times faster than by a DataFrame and needs no pandas. Only what packaging has shown to answer alike is asked
so.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from penstock_serving.model.asked import AskedModel
from penstock_serving.model.frame import Matrix
from penstock_serving.model.parts import parts
from penstock_serving.model.search import found
from penstock_serving.model.series import Missing, Series


class PositionedModel(AskedModel):
    """An estimator whose first step chooses columns. It is changed in place, and takes no DataFrame any more."""

    def __init__(self, estimator: Any, series: Mapping[str, Series]) -> None:
        choose_by_position(estimator)
        holes = [place for place, one in enumerate(series.values()) if one.is_text and one.missing is Missing.NAN]

        def given(matrix: Matrix) -> Matrix:
            if matrix.dtype != object or not holes:
                return matrix
            made = matrix.copy()
            for place in holes:
                made[[value is None for value in matrix[:, place].tolist()], place] = np.nan
            return made

        super().__init__(estimator, series, given)


def first_steps(estimator: Any) -> list[Any]:
    """The steps that are given the columns: one, or those of a union."""
    from sklearn.pipeline import FeatureUnion, Pipeline

    estimator = found(estimator)
    if type(estimator) is Pipeline:
        steps = [step for _, step in estimator.steps if step is not None and step != "passthrough"]
        return first_steps(steps[0]) if steps else []
    if type(estimator) is FeatureUnion:
        return [first for _, step in estimator.transformer_list for first in first_steps(step)]
    return [estimator]


def choose_by_position(estimator: Any) -> None:
    """Let the first steps, which are ColumnTransformers, choose their columns by position."""
    for chooser in first_steps(estimator):
        positions = chooser._transformer_to_input_indices
        chooser.transformers_ = [
            (name, step, positions[name][0] if isinstance(columns, str) else list(positions[name]))
            for name, step, columns in chooser.transformers_
        ]
    for part in parts(estimator):
        # it would say of every matrix that it has no names
        vars(part).pop("feature_names_in_", None)
