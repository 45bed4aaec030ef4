"""What can be asked of a model is read off the model: every kind of estimator, each output that it has."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penstock_serving.jobs.package import package
from penstock_serving.jobs.reference import read_signature
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.frame import matrix
from penstock_serving.model.load import load_model
from penstock_serving.model.signature import Output
from penstock_serving.model.signature_json import dump, load
from penstock_serving.protocol import v2
from penstock_serving.server.engine import compute
from sklearn.cluster import DBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

RANDOM = np.random.default_rng(3)
FRAME: dict[str, np.ndarray] = {name: RANDOM.normal(size=90) for name in "abcd"}
ROWS = matrix(FRAME)
THREE = np.digitize(FRAME["a"], [-0.5, 0.5])
NUMBERS = ROWS @ np.array([1.0, 2.0, 0.5, -1.0])
TWO_TARGETS = np.stack([NUMBERS, FRAME["a"]], axis=1)
DOUBLE, WHOLE = Datatype.FP64, Datatype.INT64

FAMILIES: dict[str, tuple[Any, list[tuple[str, Datatype, int]], int]] = {
    "regressor": (LinearRegression().fit(ROWS, NUMBERS), [("predict", DOUBLE, 0)], 0),
    "regressor of several targets": (LinearRegression().fit(ROWS, TWO_TARGETS), [("predict", DOUBLE, 2)], 0),
    "tree of several targets": (DecisionTreeRegressor(max_depth=3).fit(ROWS, TWO_TARGETS), [("predict", DOUBLE, 2)], 0),
    "classifier of two": (
        LogisticRegression().fit(ROWS, THREE > 0),
        [("predict", Datatype.BOOL, 0), ("predict_proba", DOUBLE, 2), ("decision_function", DOUBLE, 0)],
        2,
    ),
    "classifier of three": (
        LogisticRegression().fit(ROWS, THREE),
        [("predict", WHOLE, 0), ("predict_proba", DOUBLE, 3), ("decision_function", DOUBLE, 3)],
        3,
    ),
    "classifier without probabilities": (
        SGDClassifier(random_state=0).fit(ROWS, THREE),
        [("predict", WHOLE, 0), ("decision_function", DOUBLE, 3)],
        3,
    ),
    "classifier of several targets": (
        DecisionTreeClassifier(max_depth=3).fit(ROWS, np.stack([THREE, THREE > 0], axis=1)),
        [("predict", WHOLE, 2)],
        0,
    ),
    "classifier that transforms": (
        LinearDiscriminantAnalysis().fit(ROWS, THREE),
        [
            ("predict", WHOLE, 0),
            ("predict_proba", DOUBLE, 3),
            ("decision_function", DOUBLE, 3),
            ("transform", DOUBLE, 2),
        ],
        3,
    ),
    "clusterer": (
        KMeans(4, n_init=1, random_state=0).fit(ROWS),
        [("predict", WHOLE, 0), ("transform", DOUBLE, 4)],
        0,
    ),
    "outlier detector": (
        IsolationForest(n_estimators=5, random_state=0).fit(ROWS),
        [("predict", WHOLE, 0), ("decision_function", DOUBLE, 0)],
        0,
    ),
    "novelty detector": (OneClassSVM().fit(ROWS), [("predict", WHOLE, 0), ("decision_function", DOUBLE, 0)], 0),
    "transformer": (make_pipeline(StandardScaler(), PCA(3)).fit(ROWS), [("transform", DOUBLE, 3)], 0),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_kind_of_estimator_offers_what_it_has(family: str) -> None:
    model, outputs, classes = FAMILIES[family]
    signature, _ = read_signature(model, FRAME)
    assert list(signature.outputs) == [Output(*output) for output in outputs]
    assert len(signature.classes) == classes
    assert signature.default_output == outputs[0][0]
    assert load(dump(signature)) == signature


@pytest.mark.parametrize("family", ["clusterer", "outlier detector", "transformer", "classifier that transforms"])
def test_every_output_is_served_as_scikit_learn_gives_it(family: str, tmp_path: Path) -> None:
    estimator, outputs, _ = FAMILIES[family]
    model = load_model(tmp_path / "model", package(estimator, FRAME, tmp_path / "model"))
    names = tuple(name for name, _, _ in outputs)
    request = v2.encode_request(ROWS[:7], model.signature, names)
    computed = compute(model, v2.decode_call(json.dumps(request).encode(), None, model.signature))
    for tensor in computed.outputs:
        np.testing.assert_allclose(tensor.array, getattr(estimator, tensor.name)(ROWS[:7]), rtol=1e-9, atol=1e-9)


def test_a_request_that_names_no_output_of_a_transformer_gets_what_it_transforms(tmp_path: Path) -> None:
    estimator, _, _ = FAMILIES["transformer"]
    model = load_model(tmp_path / "model", package(estimator, FRAME, tmp_path / "model"))
    request = v2.encode_request(ROWS[:2], model.signature, ())
    call = v2.decode_call(json.dumps(request).encode(), None, model.signature)
    assert call.outputs == ("transform",)


def test_a_sparse_answer_is_served_whole(tmp_path: Path) -> None:
    frame = {"colour": np.array(["red", "green", "blue"] * 5, dtype=object)}
    encoder = OneHotEncoder().fit(matrix(frame))
    model = load_model(tmp_path / "model", package(encoder, frame, tmp_path / "model"))
    assert model.signature.outputs == (Output("transform", Datatype.FP64, 3),)
    np.testing.assert_array_equal(model.method("transform")(matrix(frame)), encoder.transform(matrix(frame)).toarray())


def test_a_model_that_can_be_asked_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModelError, match=r"a DBSCAN has no method predict\(\) and no transform\(\)"):
        package(DBSCAN().fit(ROWS), FRAME, tmp_path / "model")


class Neither:
    """Takes neither a matrix nor a DataFrame of these columns."""

    def predict(self, rows: Any) -> Any:
        return rows["another"]


def test_a_model_that_cannot_be_pickled_is_named(tmp_path: Path) -> None:
    class Local(LinearRegression):
        pass

    with pytest.raises(BadModelError, match="a Local cannot be pickled"):
        package(Local().fit(ROWS, NUMBERS), FRAME, tmp_path / "model")


def test_a_model_that_takes_no_form_of_its_rows_is_refused_and_told_what_to_be_fitted_on(tmp_path: Path) -> None:
    with pytest.raises(BadModelError, match=r"predict\(\) does not take the frame's rows.*on a DataFrame of these"):
        package(Neither(), FRAME, tmp_path / "model")


def test_declared_ranges_are_recorded_and_held_in_serving(tmp_path: Path) -> None:
    estimator = FAMILIES["regressor"][0]
    digest = package(estimator, FRAME, tmp_path / "model", bounds={"b": (-10, 10.5)})
    model = load_model(tmp_path / "model", digest)
    assert [column.bounds for column in model.signature.columns] == [None, (-10.0, 10.5), None, None]
    rows = ROWS[:1].copy()
    rows[0, 1] = 10.6
    request = json.dumps(v2.encode_request(rows, model.signature, ())).encode()
    with pytest.raises(Exception, match="input 'b' is out of range"):
        v2.decode_call(request, None, model.signature)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"e": (0, 1)}, "declared for 'e', which is no column"),
        ({"a": (1, 1)}, "not of two ascending numbers"),
        ({"a": (0, float("inf"))}, "not of two ascending numbers"),
        ({"a": (-0.01, 0.01)}, "out of the range declared for column 'a'"),
    ],
)
def test_a_range_that_cannot_be_is_refused(tmp_path: Path, bounds: dict[str, tuple[float, float]], words: str) -> None:
    with pytest.raises(BadModelError, match=words):
        package(FAMILIES["regressor"][0], FRAME, tmp_path / "model", bounds=bounds)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found["outputs"].reverse(), "in this order"),
        (lambda found: found["outputs"].append(dict(found["outputs"][0])), "in this order"),
        (lambda found: found["outputs"][0].update(name="score_samples"), "in this order"),
        (lambda found: found["outputs"].clear(), "in this order"),
        (lambda found: found["columns"][0].update(bounds=[3, 2]), "ascending"),
        (lambda found: found["columns"][0].update(bounds=[1, 2, 3]), "least and the greatest"),
        (lambda found: found["columns"][0].update(datatype=["FP64"]), "one of"),
        (lambda found: found["outputs"][0].update(width=10**9), "at most 1000000"),
        (lambda found: found["classes"].append(None), "texts, numbers or booleans"),
    ],
)
def test_a_signature_is_read_strictly(change: Any, words: str) -> None:
    document = json.loads(dump(read_signature(FAMILIES["classifier of three"][0], FRAME)[0]))
    change(document)
    with pytest.raises(BadModelError, match=words):
        load(json.dumps(document).encode())


def test_a_forest_keeps_its_scores(tmp_path: Path) -> None:
    forest = RandomForestClassifier(5, random_state=0).fit(ROWS, THREE)
    model = load_model(tmp_path / "model", package(forest, FRAME, tmp_path / "model"))
    np.testing.assert_allclose(model.method("predict_proba")(ROWS), forest.predict_proba(ROWS), atol=1e-6)
