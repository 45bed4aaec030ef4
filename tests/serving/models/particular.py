"""An estimator that looks at where it is called; importable by the server under test through PYTHONPATH."""

import threading
import warnings

import numpy as np
import sklearn
from sklearn.base import BaseEstimator

WARNS, CALLS, BY_LANE, COMPLAINT, SLOW = 2001.5, 2002.5, 2003.5, "particular about warnings", 0.002
_ALONE = threading.Lock()
_LOCAL = threading.local()


class Particular(BaseEstimator):
    """Predicts the sum of a row; of a row that begins with `CALLS`, how often this thread has called it, and with
    `BY_LANE`, whether this thread is the lane's.

    Fails where two threads call it at once, or one that is not as Python's threads are.
    """

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        if not _ALONE.acquire(blocking=False):
            raise RuntimeError("two at once")
        try:
            return self._predict(X)
        finally:
            _ALONE.release()

    def _predict(self, X):
        _LOCAL.calls = getattr(_LOCAL, "calls", 0) + 1
        thread = threading.current_thread()
        if threading._active.get(threading.get_ident()) is not thread or "Dummy" in type(thread).__name__:
            raise RuntimeError("no thread of Python's")
        if sklearn.get_config()["assume_finite"] or np.geterr()["divide"] != "warn":
            raise RuntimeError("other settings than everywhere")
        if thread is not threading.main_thread() and not thread.daemon and thread.name.startswith(("lane", "predict")):
            raise RuntimeError("the process would wait for it")
        # let go of the interpreter, as numerical code does
        threading.Event().wait(SLOW)
        if (X[:, 0] == WARNS).any():
            warnings.warn(COMPLAINT, stacklevel=1)
            np.log(np.zeros(1))
        found = np.where(X[:, 0] == CALLS, _LOCAL.calls, X.sum(axis=1))
        return np.where(X[:, 0] == BY_LANE, thread.name.startswith("lane-"), found)
