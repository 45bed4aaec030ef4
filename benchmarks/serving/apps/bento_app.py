"""A BentoML service with a scikit-learn model (environment: BENCH_MODEL). Runs in the peer's own venv."""

import os

import bentoml
import joblib
import numpy as np


@bentoml.service
class Bench:
    """Labels of rows."""

    def __init__(self) -> None:
        self._model = joblib.load(os.environ["BENCH_MODEL"])

    @bentoml.api
    def predict(self, x: np.ndarray) -> np.ndarray:
        """Labels of rows [rows, columns]."""
        return self._model.predict(x)
