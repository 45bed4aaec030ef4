"""Estimators that go wrong in the ways real ones do; importable by the server under test through PYTHONPATH."""

import ctypes
import os
import time

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class Trigger(ClassifierMixin, BaseEstimator):
    """Predicts whether the first column is positive; goes wrong when it exceeds 1000."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        if (X[:, 0] > 1000).any():
            self.go_wrong(X)
        return self.classes_[(X[:, 0] > 0).astype(int)]

    def go_wrong(self, X):
        raise NotImplementedError


class Raises(Trigger):
    def go_wrong(self, X):
        raise KeyError(f"secret value {X[0, 0]}")


class RefusesByValueError(Trigger):
    def go_wrong(self, X):
        raise ValueError(f"secret value {X[0, 0]}")


class Exits(Trigger):
    def go_wrong(self, X):
        os._exit(3)


class Segfaults(Trigger):
    def go_wrong(self, X):
        ctypes.string_at(0)


class Hangs(Trigger):
    def go_wrong(self, X):
        while True:
            time.sleep(3600)


class Slow(Trigger):
    """Takes as many milliseconds as the first column is above 1000."""

    def go_wrong(self, X):
        time.sleep((X[0, 0] - 1000) / 1000)


class NotFinite(BaseEstimator):
    """A regressor whose answer is not a number when the first column exceeds 1000."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.where(X[:, 0] > 1000, np.nan, X.sum(axis=1))
