"""What the lane computes by instructions of its own, as models of trees, is what ONNX Runtime computes, bit for bit."""

import functools

import numpy as np
import orjson
import pytest

pytest.importorskip("penstock_lane", reason="build and install serving/native (maturin, or `make native`)")

from penstock_serving.model.frame import Matrix
from sklearn import compose, ensemble, impute, linear_model, neural_network, preprocessing, tree
from sklearn.pipeline import make_pipeline

from tests.serving_compile import compile_samples as data
from tests.serving_lane.lane_models import MODELS, Made, Ways, opened, ways

FOREST = ensemble.RandomForestClassifier
BOOSTING = ensemble.HistGradientBoostingClassifier
TREES: dict[str, Made] = {
    "forest": (lambda: FOREST(60, random_state=0), data.numeric, data.THREE),
    "forest of two classes": (lambda: FOREST(60, random_state=0), data.numeric, data.TWO),
    "deep forest, many trees": (lambda: FOREST(300, random_state=0), data.numeric, data.THREE),
    "forest with missing values": (lambda: FOREST(30, random_state=0), data.with_missing, data.THREE),
    "extremely randomised": (lambda: ensemble.ExtraTreesClassifier(40, random_state=0), data.numeric, data.THREE),
    "one tree": (lambda: tree.DecisionTreeClassifier(random_state=0), data.numeric, data.THREE),
    "forest, regressor": (lambda: ensemble.RandomForestRegressor(120, random_state=0), data.numeric, data.TARGET),
    "forest, several targets": (
        lambda: ensemble.RandomForestRegressor(90, random_state=0),
        data.numeric,
        data.SEVERAL,
    ),
    "boosting": (lambda: ensemble.GradientBoostingClassifier(n_estimators=30), data.numeric, data.THREE),
    "boosting of two classes": (lambda: ensemble.GradientBoostingClassifier(n_estimators=90), data.numeric, data.TWO),
    "boosting, regressor": (lambda: ensemble.GradientBoostingRegressor(n_estimators=90), data.numeric, data.TARGET),
    "histogram boosting": (lambda: BOOSTING(max_iter=40), data.with_missing, data.THREE),
    "histogram boosting of two classes": (lambda: BOOSTING(max_iter=90), data.with_missing, data.TWO),
    "histogram boosting, regressor": (
        lambda: ensemble.HistGradientBoostingRegressor(max_iter=90),
        data.with_missing,
        data.TARGET,
    ),
    "scaled": (lambda: make_pipeline(preprocessing.MinMaxScaler(), BOOSTING(max_iter=20)), data.numeric, data.THREE),
    "imputed": (
        lambda: make_pipeline(impute.SimpleImputer(add_indicator=True), FOREST(30, random_state=0)),
        data.with_missing,
        data.THREE,
    ),
    "columns of words": (
        lambda: make_pipeline(
            compose.ColumnTransformer(
                [
                    ("numbers", preprocessing.StandardScaler(), [0, 1, 4, 5]),
                    ("words", preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False), [2, 3]),
                ]
            ),
            FOREST(30, random_state=0),
        ),
        data.mixed,
        data.THREE,
    ),
}
OTHERS: dict[str, Made] = {
    "a product of matrices": (linear_model.LogisticRegression, data.numeric, data.THREE),
    "an exponential": (
        lambda: ensemble.HistGradientBoostingRegressor(max_iter=5, loss="poisson"),
        data.numeric,
        data.POSITIVE,
    ),
    "a sum that ONNX Runtime takes in parts": (
        lambda: FOREST(600, max_depth=2, random_state=0),
        data.numeric,
        data.THREE,
    ),
    "layers": (
        lambda: neural_network.MLPRegressor(hidden_layer_sizes=(5,), max_iter=5, tol=1e9, random_state=0),
        data.numeric,
        data.TARGET,
    ),
}


@functools.cache
def found_of(kind: str) -> Ways:
    return opened((TREES | OTHERS)[kind])


@pytest.mark.parametrize("kind", TREES)
def test_models_of_trees_are_computed_by_instructions(kind: str) -> None:
    assert found_of(kind).front.computed_by == "instructions"


@pytest.mark.parametrize("kind", OTHERS)
def test_what_there_is_no_instruction_for_onnx_runtime_computes(kind: str) -> None:
    assert found_of(kind).front.computed_by == "onnxruntime"


@pytest.mark.parametrize("kind", [kind for kind in MODELS if "boosting" in kind or "forest" in kind or "tree" in kind])
def test_so_are_the_other_samples(kind: str) -> None:
    assert ways(kind).front.computed_by == "instructions"


@pytest.mark.parametrize("kind", [kind for kind in TREES if kind != "columns of words"])
def test_rows_at_and_beside_every_threshold_are_answered_to_the_last_bit(kind: str) -> None:
    """One by one, and many together, where ONNX Runtime adds in another order than for one."""
    found = found_of(kind)
    rows = beside_thresholds(found, np.random.default_rng(0))
    for first in range(0, len(rows), 200):
        assert found.check(by_position(rows[first : first + 200]))
    assert all(found.check(by_position(row[None])) for row in rows[:200])


@pytest.mark.parametrize("kind", ["forest with missing values", "histogram boosting", "imputed"])
def test_rows_with_missing_values_are_answered_to_the_last_bit(kind: str) -> None:
    found = found_of(kind)
    rng = np.random.default_rng(1)
    rows = beside_thresholds(found, rng)[:400]
    rows[rng.random(rows.shape) < 0.3] = np.nan
    asked = [found.check(by_name(found, row)) for row in rows]
    # where a row has to be looked at more closely because of it, it is Python's
    assert all(asked) or kind != "histogram boosting"


def test_words_are_answered_to_the_last_bit() -> None:
    found = found_of("columns of words")
    assert all(found.check(by_name(found, row)) for row in found.rows)


def beside_thresholds(found: Ways, rng: np.random.Generator) -> Matrix:
    """Rows [2,000, columns] of values that a comparison may be about: the training rows' own, those half way between
    two of them, where trees split, and the nearest numbers to both in double and in single precision."""
    columns = []
    for values in np.asarray(found.rows, dtype=np.float64).T:
        known = np.unique(values[~np.isnan(values)])
        known = np.concatenate([known, (known[1:] + known[:-1]) / 2])
        single = known.astype(np.float32)
        near = [np.nextafter(single, np.float32(way)).astype(np.float64) for way in (-np.inf, np.inf)]
        near += [np.nextafter(known, way) for way in (-np.inf, np.inf)]
        columns.append(rng.choice(np.concatenate([known, single.astype(np.float64), *near]), 2000))
    return np.stack(columns, axis=1)


def by_position(rows: Matrix) -> bytes:
    tensor = {"name": "x", "datatype": "FP64", "shape": list(rows.shape), "data": rows.ravel().tolist()}
    return orjson.dumps({"inputs": [tensor]})


def by_name(found: Ways, row: Matrix) -> bytes:
    values = [None if value != value else value for value in row.tolist()]
    columns = zip(found.signature.columns, values, strict=True)
    inputs = [
        {"name": column.name, "datatype": column.datatype.value, "shape": [1], "data": [value]}
        for column, value in columns
    ]
    return orjson.dumps({"inputs": inputs})
