"""Functions and steps of pipelines that are not compiled; by name, as pickles want them."""

import functools
import itertools
import time
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
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


def fill_in_place(rows: Any) -> Any:
    rows[np.isnan(rows)] = 0.5
    return rows


def _logged(method: Any) -> Any:
    @functools.wraps(method)
    def logged(self: Any, rows: Any) -> Any:
        self.asked_ = getattr(self, "asked_", 0) + 1
        return method(self, rows)

    return logged


class Audited(LogisticRegression):
    """A method under the name and origin of one that is known, which does more."""

    predict = _logged(LogisticRegression.predict)
    decision_function = _logged(LogisticRegression.decision_function)


class Bare(LogisticRegression):
    """One that does not know how many columns it takes."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "Bare":
        super().fit(X, y, sample_weight)
        del self.n_features_in_
        return self


def asked_elsewhere(rows: Any) -> Any:
    """What a service somewhere else takes its time for."""
    time.sleep(0.02)
    return rows


def relative(rows: Any) -> Any:
    """What a single row has no answer for."""
    return (rows - rows.mean(axis=0)) / rows.std(axis=0)
