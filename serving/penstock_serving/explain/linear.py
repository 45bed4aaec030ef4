"""Exact Shapley values of linear models with features independent of each other.

With unknown features averaged over the background one by one, φ_j = w_j · (x_j − mean_j) (Lundberg & Lee, "A Unified
Approach to Interpreting Model Predictions", NeurIPS 2017, Corollary 1).
"""

import numpy as np

from penstock_serving.explain.plan import Linear
from penstock_serving.model.frame import Matrix


def contributions(model: Linear, made: Matrix, columns: Matrix, width: int) -> Matrix:
    """Contributions [rows, input columns, outputs] of made columns [rows, made columns], added up by input column."""
    each = (made.astype(np.float64) - model.means)[:, :, None] * model.weights
    found = np.zeros((width, len(made), len(model.intercepts)))
    np.add.at(found, columns, each.transpose(1, 0, 2))
    return found.transpose(1, 0, 2)


def base_values(model: Linear) -> Matrix:
    """The margin [outputs] at the background's mean."""
    return np.asarray(model.means @ model.weights + model.intercepts)


def margins(model: Linear, made: Matrix) -> Matrix:
    """The margin [rows, outputs]."""
    return np.asarray(made.astype(np.float64) @ model.weights + model.intercepts)
