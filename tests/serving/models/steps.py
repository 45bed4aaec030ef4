"""Functions and steps of pipelines that are not compiled; by name, as pickles want them."""

import itertools
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import StandardScaler


def in_place(rows: Any) -> Any:
    rows *= 2
    return rows


def one_column(rows: Any) -> Any:
    return rows[:, :1]


_SIGNS = itertools.cycle([1.0, -1.0])


def turning(rows: Any) -> Any:
    """Another answer at every second call."""
    return rows * next(_SIGNS)


def scaled(rows: Any, by: float) -> Any:
    return rows * by


def only_positive(rows: Any) -> Any:
    if (rows < -2).any():
        raise ValueError("too little")
    return rows


class Doubled(StandardScaler):
    """What inherits a method that is known, and does something else."""

    def transform(self, X: Any, copy: Any = None) -> Any:
        return 2 * super().transform(X, copy)


class Own(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A step that scikit-learn knows nothing of."""

    def fit(self, X: Any, y: Any = None) -> "Own":
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> Any:
        return np.column_stack([X, X.sum(axis=1)])
