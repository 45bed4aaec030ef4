"""An estimator that goes wrong in the ways real ones do; importable by the server under test through PYTHONPATH."""

import ctypes
import time

import numpy as np
from sklearn.base import BaseEstimator

KEY_ERROR = 1001.5
VALUE_ERROR = 1002.5
NOT_FINITE = 1003.5
SEGFAULT = 1004.5
HANG = 1005.5
MILLISECONDS = 10_000.0


class Misbehaving(BaseEstimator):
    """Predicts the sum of a row; goes wrong as the first column of any row says, or sleeps as many ms as it exceeds
    10,000."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        first = np.asarray(X[:, 0], dtype=float)
        if (first == KEY_ERROR).any():
            raise KeyError(f"secret value {KEY_ERROR}")
        if (first == VALUE_ERROR).any():
            raise ValueError(f"secret value {VALUE_ERROR}")
        if (first == SEGFAULT).any():
            ctypes.string_at(0)
        if (first == HANG).any():
            time.sleep(3600)
        if first.max() >= MILLISECONDS:
            time.sleep((first.max() - MILLISECONDS) / 1000)
        return np.where(X[:, 0] == NOT_FINITE, np.nan, X.sum(axis=1))
