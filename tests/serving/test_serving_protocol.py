"""Served answers are scikit-learn's, whatever the pipeline, the rows and the way to ask."""

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_serving.jobs.reference import read_signature
from penstock_serving.model.frame import matrix
from penstock_serving.model.load import Golden, Model, of_estimator
from penstock_serving.protocol import open_inference_pb2 as pb
from penstock_serving.protocol import v1, v2
from penstock_serving.protocol.errors import ModelFailureError
from penstock_serving.protocol.tensors import encode
from penstock_serving.rpc import messages
from penstock_serving.server.engine import compute
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

RANDOM = np.random.default_rng(3)
SIZE = 120
COUNTRIES = ["DE", "FR", "Île", ""]
FRAMES: dict[str, dict[str, np.ndarray]] = {
    "double": {"a": RANDOM.normal(size=SIZE), "b": RANDOM.normal(size=SIZE)},
    "single": {"a": RANDOM.normal(size=SIZE).astype(np.float32), "b": RANDOM.normal(size=SIZE).astype(np.float32)},
    "numbers": {
        "a": RANDOM.normal(size=SIZE),
        "n": RANDOM.integers(-5, 5, SIZE),
        "flag": RANDOM.random(SIZE) < 0.5,
        "f": RANDOM.normal(size=SIZE).astype(np.float32),
    },
    "text": {
        "a": RANDOM.normal(size=SIZE),
        "country": RANDOM.choice(np.array(COUNTRIES, dtype=object), SIZE),
        "n": RANDOM.integers(-5, 5, SIZE),
    },
}
TARGET = RANDOM.normal(size=SIZE)
LABELS = np.array(["low", "mid", "high"])[np.digitize(TARGET, [-0.4, 0.4])]


def steps(kind: str) -> list[Any]:
    if kind == "text":
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        return [make_column_transformer((encoder, [1]), (SimpleImputer(), [0, 2]))]
    return [SimpleImputer()]


MODELS: dict[str, Any] = {
    "logistic": lambda: LogisticRegression(),
    "linear": lambda: LinearRegression(),
    "forest": lambda: RandomForestClassifier(5, random_state=0),
    "forest regressor": lambda: RandomForestRegressor(5, random_state=0),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=5),
    "vectors": lambda: make_pipeline(StandardScaler(), SVC()),
}


def fitted(kind: str, name: str) -> tuple[Model, dict[str, np.ndarray]]:
    frame = FRAMES[kind]
    target = TARGET if name in {"linear", "forest regressor"} else LABELS
    estimator = make_pipeline(*steps(kind), MODELS[name]()).fit(matrix(frame), target)
    signature, _ = read_signature(estimator, frame)
    ESTIMATORS[kind, name] = estimator
    return of_estimator(estimator, signature, Golden(b"", ()), "sha256:" + "0" * 64), frame


ESTIMATORS: dict[tuple[str, str], Any] = {}
FITTED = {(kind, name): fitted(kind, name) for kind in FRAMES for name in MODELS}

doubles = st.one_of(st.floats(-1e6, 1e6), st.floats(-1e30, 1e30))
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "a": doubles,
    "b": doubles,
    "n": st.integers(1 - 2**53, 2**53 - 1),
    "flag": st.booleans(),
    "f": st.floats(-1e6, 1e6, width=32),
    "country": st.one_of(st.sampled_from(COUNTRIES), st.text(max_size=5)),
}
DATATYPES = {"f": {8: "FP64", 4: "FP32"}, "i": {8: "INT64"}, "b": {1: "BOOL"}, "O": {8: "BYTES"}}


def datatype(values: np.ndarray) -> str:
    return DATATYPES[values.dtype.kind][values.dtype.itemsize]


@st.composite
def rows(draw: st.DrawFn, frame: dict[str, np.ndarray]) -> dict[str, list[Any]]:
    """Columns of one to three rows, some numbers missing."""
    count = draw(st.integers(1, 3))
    columns = {}
    for name in frame:
        cell = CELLS[name] if frame[name].dtype.kind == "O" else st.one_of(CELLS[name], st.none())
        if frame[name].dtype.itemsize == 4:
            cell = st.one_of(CELLS["f"], st.none())
        columns[name] = draw(st.lists(cell, min_size=count, max_size=count))
    return columns


def expected_matrix(columns: dict[str, list[Any]], frame: dict[str, np.ndarray]) -> np.ndarray:
    """The matrix as scikit-learn would be given it without us."""
    if "country" in frame:
        table = np.empty((len(columns["a"]), len(frame)), dtype=object)
        for index, name in enumerate(frame):
            table[:, index] = [np.nan if v is None and name != "country" else v for v in columns[name]]
        return table
    kind = np.float32 if all(values.dtype == np.float32 for values in frame.values()) else np.float64
    arrays = [
        np.array(columns[name], dtype=np.float64).astype(np.float32 if values.dtype == np.float32 else np.float64)
        for name, values in frame.items()
    ]
    return np.column_stack([array.astype(kind) for array in arrays]).astype(kind)


def ask(model: Model, request: dict[str, Any]) -> dict[str, Any]:
    """Through the code that serves, from bytes to bytes: outputs by name, in their shape."""
    call = v2.decode_call(json.dumps(request).encode(), None, model.signature)
    answer = json.loads(v2.response("m", call, compute(model, call).outputs, {}).body)
    return {output["name"]: np.array(output["data"]).reshape(output["shape"]) for output in answer["outputs"]}


FIELDS = {"FP64": "fp64_contents", "FP32": "fp32_contents", "INT64": "int64_contents", "BOOL": "bool_contents"}
DTYPES = {"FP64": "<f8", "FP32": "<f4", "INT64": "<i8", "BOOL": "?"}


def raw(kind: str, values: list[Any]) -> bytes:
    if kind == "BYTES":
        return b"".join(len(text).to_bytes(4, "little") + text for text in (value.encode() for value in values))
    return np.array(values, dtype=np.float64 if None in values else None).astype(DTYPES[kind]).tobytes()


def over_the_wires(model: Model, request: dict[str, Any]) -> None:
    """Bytes after JSON, typed contents and raw contents give the very matrix that JSON gives, where they can tell it."""
    inputs = request["inputs"]
    if any(None in item["data"] and not item["datatype"].startswith("FP") for item in inputs):
        return
    contents = [raw(item["datatype"], item["data"]) for item in inputs]
    head = [
        {key: value for key, value in item.items() if key != "data"}
        | {"parameters": {"binary_data_size": len(content)}}
        for item, content in zip(inputs, contents, strict=True)
    ]
    body = json.dumps({"inputs": head}).encode()
    messages_ = [pb.ModelInferRequest(raw_input_contents=contents), pb.ModelInferRequest()]
    for item in inputs:
        for message in messages_:
            tensor = message.inputs.add(name=item["name"], datatype=item["datatype"], shape=item["shape"])
        values = [np.nan if value is None else value for value in item["data"]]
        if item["datatype"] == "BYTES":
            tensor.contents.bytes_contents.extend(value.encode() for value in values)
        else:
            getattr(tensor.contents, FIELDS[item["datatype"]]).extend(values)
    by_json = v2.decode_call(json.dumps(request).encode(), None, model.signature).matrix
    by_bytes = v2.decode_call(body + b"".join(contents), len(body), model.signature).matrix
    for found in (by_bytes, *(messages.decode_call(message, model.signature).matrix for message in messages_)):
        assert (found.dtype, found.shape) == (by_json.dtype, by_json.shape)
        assert repr(found.tolist()) == repr(by_json.tolist())


@settings(deadline=None, max_examples=80)
@given(st.sampled_from(sorted(FITTED)), st.data())
def test_answers_equal_scikit_learns(key: tuple[str, str], data: st.DataObject) -> None:
    (model, frame), estimator = FITTED[key], ESTIMATORS[key]
    columns = data.draw(rows(frame))
    X = expected_matrix(columns, frame)
    order = data.draw(st.permutations(list(frame)))
    request = {
        "inputs": [
            {"name": name, "datatype": datatype(frame[name]), "shape": [len(X)], "data": columns[name]}
            for name in order
        ],
        "outputs": [{"name": name} for name in model.signature.output],
    }
    answers = ask(model, request)
    np.testing.assert_array_equal(answers["predict"], estimator.predict(X))
    if "predict_proba" in answers:
        np.testing.assert_allclose(answers["predict_proba"], estimator.predict_proba(X), rtol=0, atol=1e-12)
    over_the_wires(model, request)
    wanted = estimator.predict(X).tolist()
    named = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    listed = [[row[name] for name in frame] for row in named]
    for instances in (named, listed):
        call = v1.decode_call(json.dumps({"instances": instances}).encode(), model.signature)
        assert json.loads(v1.response(compute(model, call).outputs).body)["predictions"] == wanted


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(["logistic", "forest regressor", "boosting"]), st.data(), st.booleans())
def test_a_matrix_is_the_same_as_its_columns(name: str, data: st.DataObject, nested: bool) -> None:
    model, frame = FITTED["double", name]
    columns = data.draw(rows(frame))
    table = [[columns[column][row] for column in frame] for row in range(len(columns["a"]))]
    flat = table if nested else [cell for row in table for cell in row]
    shape = [len(table), len(frame)]
    by_position = ask(model, {"inputs": [{"name": "input-0", "datatype": "FP64", "shape": shape, "data": flat}]})
    by_name = ask(
        model,
        {
            "inputs": [
                {"name": column, "datatype": "FP64", "shape": [len(table), 1], "data": columns[column]}
                for column in frame
            ]
        },
    )
    np.testing.assert_array_equal(by_position["predict"], by_name["predict"])


def test_integers_are_numbers_to_a_number_column() -> None:
    model, _ = FITTED["double", "linear"]
    for kind in ("INT8", "UINT64", "INT64", "FP32", "FP64"):
        answer = ask(model, {"inputs": [{"name": "x", "datatype": kind, "shape": [1, 2], "data": [3, 4]}]})
        np.testing.assert_array_equal(answer["predict"], ESTIMATORS["double", "linear"].predict([[3.0, 4.0]]))


def test_single_precision_is_what_a_caller_declares() -> None:
    """0.1 declared as FP32 is the nearest float32, as the binary form would carry it."""
    model, _ = FITTED["double", "linear"]
    answer = ask(model, {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.1, 0.2]}]})
    wanted = ESTIMATORS["double", "linear"].predict(np.array([[0.1, 0.2]], dtype=np.float32).astype(np.float64))
    np.testing.assert_array_equal(answer["predict"], wanted)


@pytest.mark.parametrize("values", [[np.nan], [np.inf], [-np.inf], [1.0, np.nan]])
def test_outputs_that_are_not_finite_are_failures(values: list[float]) -> None:
    model, _ = FITTED["double", "linear"]
    with pytest.raises(ModelFailureError, match="not finite in output 'predict'"):
        encode(model.signature.output["predict"], np.array(values))


@pytest.mark.parametrize(
    "values", [np.ones((2, 2)), np.array(3.0), np.array(["x"]), np.array([None]), [[1], [1, 2]], None]
)
def test_outputs_that_are_not_as_declared_are_failures(values: Any) -> None:
    model, _ = FITTED["double", "linear"]
    with pytest.raises((ModelFailureError, ValueError)):
        encode(model.signature.output["predict"], values)


def test_the_answer_has_the_protocols_fields() -> None:
    model, _ = FITTED["double", "logistic"]
    body = {"id": "42", "inputs": [{"name": "x", "datatype": "FP64", "shape": [2, 2], "data": [1, 2, 3, 4]}]}
    call = v2.decode_call(orjson.dumps(body), None, model.signature)
    answer = orjson.loads(v2.response("fraud", call, compute(model, call).outputs, {"digest": "sha256:x"}).body)
    assert answer["model_name"] == "fraud"
    assert answer["id"] == "42"
    assert answer["parameters"] == {"digest": "sha256:x"}
    assert [(o["name"], o["datatype"], o["shape"]) for o in answer["outputs"]] == [("predict", "BYTES", [2])]
