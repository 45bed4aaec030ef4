"""Models of which Python computes every batch, or those that are in doubt where neighbours vote: of the kinds that the
compiler does not take, and of some that it does."""

from typing import Any

import numpy as np
import pandas as pd
from penstock_serving.jobs.reference import read_signature
from penstock_serving.jobs.suit import suited
from penstock_serving.model.dataframe import FramedModel
from penstock_serving.model.frame import Matrix, matrix
from penstock_serving.model.outputs import methods
from penstock_serving.model.signature import Signature
from sklearn import (
    cluster,
    decomposition,
    ensemble,
    gaussian_process,
    linear_model,
    neighbors,
    preprocessing,
)
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline

from tests.serving_compile import compile_samples as data


class Scores(BaseEstimator):
    """Has scores and no prediction, so scores are its default output."""

    def predict_proba(self, X: Matrix) -> Matrix:
        one = 1 / (1 + np.exp(-X[:, 0]))
        return np.stack([1 - one, one], axis=1)


class Narrow(BaseEstimator):
    """Answers in a narrower type than its output's."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def predict(self, X: Matrix) -> Matrix:
        return (X.sum(axis=1) * 10).astype(self.dtype)


def scaled(last: Any) -> Any:
    return make_pipeline(preprocessing.StandardScaler(), last)


def _neighbours() -> Any:
    return scaled(neighbors.KNeighborsClassifier())


def of_kinds() -> data.Frame:
    """Numbers in double and single precision, whole numbers, truth values."""
    return {
        "double": data.NUMBERS[:, 0],
        "single": data.NUMBERS[:, 1].astype(np.float32),
        "count": np.round(data.NUMBERS[:, 2] * 5).astype(np.int64),
        "truth": data.NUMBERS[:, 3] > 0,
        "ein naïver Name": data.NUMBERS[:, 4],
    }


CALLED: dict[str, tuple[Any, Any, Any]] = {
    "called, text labels": (_neighbours, data.numeric, data.THREE),
    "called, whole labels": (_neighbours, data.numeric, data.NUMBERED),
    "called, truth labels": (_neighbours, data.numeric, data.TRUTH),
    "called, labels of floats": (_neighbours, data.numeric, data.NUMBERED.astype(float)),
    "called, one column": (_neighbours, lambda: {"x": data.NUMBERS[:, 0]}, data.TWO),
    "called, a column of every kind": (_neighbours, of_kinds, data.TWO),
    "called, whole numbers": (_neighbours, data.whole_numbers, data.TWO),
    "called, single precision": (neighbors.KNeighborsClassifier, data.single_precision, data.TWO),
    "called, missing values": (
        lambda: ensemble.HistGradientBoostingClassifier(max_iter=3, random_state=0),
        data.with_missing,
        data.THREE,
    ),
    "called, regressor": (lambda: neighbors.KNeighborsRegressor(weights="distance"), data.numeric, data.TARGET),
    "called, regressor, several": (lambda: neighbors.KNeighborsRegressor(3), data.numeric, data.SEVERAL),
    "called, regressor, single precision": (
        linear_model.Ridge,
        data.single_precision,
        data.TARGET.astype(np.float32),
    ),
    "called, a function": (
        lambda: make_pipeline(preprocessing.FunctionTransformer(np.arctan), linear_model.Ridge()),
        data.numeric,
        data.TARGET,
    ),
    "called, a process": (
        lambda: gaussian_process.GaussianProcessRegressor(alpha=0.1, optimizer=None),
        data.numeric,
        data.TARGET,
    ),
    "called, clusters": (lambda: cluster.KMeans(4, n_init=1, random_state=0), data.numeric, None),
    "called, outliers": (lambda: neighbors.LocalOutlierFactor(novelty=True), data.numeric, None),
    "called, transformer": (lambda: decomposition.PCA(3), data.numeric, None),
    "called, scores": (Scores, data.numeric, None),
    "called, half precision": (lambda: Narrow("f2"), data.numeric, None),
    "called, small numbers": (lambda: Narrow("i1"), data.numeric, None),
    "called, a DataFrame": (None, None, None),
    "voting, text labels": (_neighbours, data.numeric, data.THREE),
    "voting, truth labels": (_neighbours, data.numeric, data.TRUTH),
    "voting, labels of floats": (_neighbours, data.numeric, data.NUMBERED.astype(float)),
    "voting, one column": (_neighbours, lambda: {"x": data.NUMBERS[:, 0]}, data.TWO),
    "voting, whole numbers": (_neighbours, data.whole_numbers, data.TWO),
}


def estimator_of(kind: str) -> tuple[Any, Signature, Matrix]:
    """The fitted estimator as it is asked, its signature, and rows."""
    if kind == "called, a DataFrame":
        return _framed()
    make, frame, target = CALLED[kind]
    columns = frame()
    rows = matrix(columns)
    estimator = make()
    if hasattr(estimator, "fit"):
        estimator.fit(rows, target)
    signature, _ = read_signature(estimator, columns)
    return estimator, signature, rows


def _framed() -> tuple[Any, Signature, Matrix]:
    frame = pd.DataFrame(
        {
            "small": np.round(data.NUMBERS[:, 0] * 5).astype(np.int16),
            "single": data.NUMBERS[:, 1].astype(np.float32),
            "truth": data.NUMBERS[:, 2] > 0,
            "count": pd.array([None if at % 7 == 0 else at % 5 for at in range(data.ROWS)], dtype="Int64"),
        }
    )
    # by names and dtypes, so by nothing but a DataFrame
    reading = preprocessing.FunctionTransformer(_read)
    estimator = make_pipeline(reading, neighbors.KNeighborsRegressor()).fit(frame, data.TARGET)
    found = suited(estimator, frame)
    assert isinstance(found.model, FramedModel)
    signature, rows = read_signature(found.model, found.columns)
    return found.model, signature, rows


def _read(frame: pd.DataFrame) -> Matrix:
    assert frame.dtypes.astype(str).tolist() == ["int16", "float32", "bool", "Int64"]
    holes = frame["count"].isna().to_numpy()
    counts = frame["count"].fillna(-9).to_numpy(dtype=float)
    return np.column_stack([frame["small"] * 2.0, frame["single"], frame["truth"] * 5.0, counts, holes])


def methods_of(estimator: Any, signature: Signature) -> Any:
    """What computes each output."""
    return methods(estimator, [output.name for output in signature.outputs])
