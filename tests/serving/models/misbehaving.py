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
    """Predicts the sum of a row; goes wrong as the first column says, or sleeps as many ms as it exceeds 10,000."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        first = float(X[0, 0])
        if first == KEY_ERROR:
            raise KeyError(f"secret value {first}")
        if first == VALUE_ERROR:
            raise ValueError(f"secret value {first}")
        if first == SEGFAULT:
            ctypes.string_at(0)
        if first == HANG:
            time.sleep(3600)
        if first >= MILLISECONDS:
            time.sleep((first - MILLISECONDS) / 1000)
        return np.where(X[:, 0] == NOT_FINITE, np.nan, X.sum(axis=1))
