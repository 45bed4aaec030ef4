"""Writes golden.npz: what `shap` says of small models, beside the arrays that were exported of them.

Run by hand, in an environment with shap, scikit-learn, numpy and orjson, from the repository's root:

    PYTHONPATH=serving:. python tests/serving_explain/make_golden.py

The versions that made it are written into the file.
"""

import io
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import shap
import sklearn
from penstock_serving.explain.arrays import export
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tests.serving_explain.signatures import signature_of

ROWS = 12
TARGET = Path(__file__).with_name("golden.npz")


def as_three(values: Any) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    return array[:, :, None] if array.ndim == 2 else array


def by_tree(model: Any, made: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    explainer = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
    return as_three(explainer.shap_values(made)), np.ravel(explainer.expected_value)


def by_weights(model: Any, made: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    masker = shap.maskers.Independent(background, max_samples=len(background))
    explainer = shap.LinearExplainer(model, masker)
    return as_three(explainer.shap_values(made)), np.ravel(explainer.expected_value)


def cases() -> dict[str, tuple[bytes, np.ndarray, np.ndarray, np.ndarray]]:
    cancer, iris, diabetes = (load(return_X_y=True) for load in (load_breast_cancer, load_iris, load_diabetes))
    cancer = (cancer[0][:, :8], cancer[1])
    trees = {
        "tree classifier": (DecisionTreeClassifier(max_depth=5, random_state=0), iris),
        "tree regressor": (DecisionTreeRegressor(max_depth=6, random_state=0), diabetes),
        "forest of three classes": (RandomForestClassifier(8, max_depth=5, random_state=0), iris),
        "forest of two classes": (RandomForestClassifier(8, max_depth=6, random_state=0), cancer),
        "forest regressor": (RandomForestRegressor(5, max_depth=8, random_state=0), diabetes),
        "extra trees classifier": (ExtraTreesClassifier(6, max_depth=6, random_state=0), iris),
        "extra trees regressor": (ExtraTreesRegressor(4, max_depth=8, random_state=0), diabetes),
        "boosting of two classes": (GradientBoostingClassifier(n_estimators=20, random_state=0), cancer),
        "boosting regressor": (GradientBoostingRegressor(n_estimators=20, max_depth=4, random_state=0), diabetes),
        "histogram boosting of two classes": (HistGradientBoostingClassifier(max_iter=10, random_state=0), cancer),
        "histogram boosting regressor": (HistGradientBoostingRegressor(max_iter=10, random_state=0), diabetes),
    }
    found = {}
    for name, (model, (matrix, target)) in trees.items():
        model.fit(matrix, target)
        rows = matrix[:: len(matrix) // ROWS][:ROWS]
        found[name] = (exported(model, matrix), rows, *by_tree(model, rows))
    linear = {
        "linear regression": (LinearRegression(), diabetes),
        "ridge": (Ridge(), diabetes),
        "logistic regression of two classes": (LogisticRegression(max_iter=5000), cancer),
        "logistic regression of three classes": (LogisticRegression(max_iter=5000), iris),
    }
    for name, (model, (matrix, target)) in linear.items():
        model.fit(matrix, target)
        rows = matrix[:: len(matrix) // ROWS][:ROWS]
        found[name] = (exported(model, matrix), rows, *by_weights(model, rows, matrix))
    found["pipeline with one-hot groups"] = pipeline()
    return found


def pipeline() -> tuple[bytes, np.ndarray, np.ndarray, np.ndarray]:
    """A forest after imputing, scaling and one-hot encoding: shap's values of a group are added up."""
    chance = np.random.default_rng(0)
    matrix = chance.normal(size=(300, 4))
    matrix[:, 2] = chance.integers(0, 5, 300)
    target = matrix[:, 0] + (matrix[:, 2] == 3) - matrix[:, 3]
    matrix[chance.random(300) < 0.1, 0] = np.nan
    before = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), [0, 1, 3]),
            ("codes", OneHotEncoder(sparse_output=False), [2]),
        ]
    )
    model = make_pipeline(before, RandomForestRegressor(6, max_depth=7, random_state=0)).fit(matrix, target)
    rows = matrix[:ROWS]
    values, base = by_tree(model[-1], model[0].transform(rows))
    added = np.stack([values[:, 0], values[:, 1], values[:, 3:].sum(axis=1), values[:, 2]], axis=1)
    return exported(model, matrix), rows, added, base


def exported(model: Any, matrix: np.ndarray) -> bytes:
    data = export(model, signature_of(matrix), matrix)
    assert isinstance(data, bytes), data
    return data


def main() -> None:
    versions = {
        "python": platform.python_version(),
        "shap": shap.__version__,
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
    }
    arrays = {"versions": np.frombuffer(json.dumps(versions).encode(), dtype=np.uint8)}
    for name, (data, rows, contributions, base) in cases().items():
        arrays[f"{name}/data"] = np.frombuffer(data, dtype=np.uint8)
        arrays[f"{name}/rows"], arrays[f"{name}/contributions"], arrays[f"{name}/base"] = rows, contributions, base
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    TARGET.write_bytes(content.getvalue())
    print(f"{len(content.getvalue())} bytes, {(len(arrays) - 1) // 4} models, by {versions}")


if __name__ == "__main__":
    main()
