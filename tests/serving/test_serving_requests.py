"""Bad requests get the status of the matrix, the protocol's error body, column and rule by name, and never a value."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import numpy as np
import pytest
from penstock_serving import contract
from penstock_serving.model.frame import matrix
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

INFER = "/v2/models/fraud/infer"
PREDICT = "/v1/models/fraud:predict"
SECRET = "7319.25"


@pytest.fixture(scope="module")
def served(pack: Callable[..., Any], serving: Callable[..., Any]) -> Iterator[Any]:
    """A model of a number that may be missing, a single, an integer, a truth value and a text."""
    rng = np.random.default_rng(5)
    frame = {
        "amount": rng.normal(size=90),
        "single": rng.normal(size=90).astype(np.float32),
        "count": rng.integers(0, 9, 90),
        "member": rng.random(90) < 0.5,
        "country": rng.choice(np.array(["DE", "FR"], dtype=object), 90),
    }
    steps = make_column_transformer((SimpleImputer(), [0]), ("passthrough", [1, 2, 3]), (OneHotEncoder(), [4]))
    model = make_pipeline(steps, LogisticRegression()).fit(matrix(frame), frame["amount"] > 0)
    with serving(pack(model, frame), **{contract.ENV_MAX_BODY_BYTES: "20000"}) as process:
        yield process


def body(**changes: Any) -> dict[str, Any]:
    """A good request with some inputs changed: None takes one out, a dict changes its fields."""
    inputs = {
        "amount": {"datatype": "FP64", "shape": [1], "data": [7319.25]},
        "single": {"datatype": "FP32", "shape": [1], "data": [0.5]},
        "count": {"datatype": "INT64", "shape": [1], "data": [3]},
        "member": {"datatype": "BOOL", "shape": [1], "data": [True]},
        "country": {"datatype": "BYTES", "shape": [1], "data": ["DE"]},
    }
    for name, change in changes.items():
        if change is None:
            del inputs[name]
        else:
            inputs[name] = inputs.get(name, {"datatype": "FP64", "shape": [1], "data": [1.0]}) | change
    return {"inputs": [{"name": name} | tensor for name, tensor in inputs.items()]}


def post(served: Any, path: str, document: Any, **headers: str) -> httpx.Response:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return httpx.post(
        served.url + path, content=content, headers={"content-type": "application/json"} | headers, timeout=30
    )


def test_the_good_request_is_answered(served: Any) -> None:
    answer = post(served, INFER, body() | {"id": "x"})
    assert answer.status_code == 200
    assert answer.json()["outputs"][0]["data"] == [True]
    assert answer.json()["id"] == "x"
    assert answer.json()["parameters"] == {"digest": served.packaged.digest, "revision": "fraud-1"}
    assert answer.headers["x-penstock-digest"] == served.packaged.digest
    assert answer.headers["x-penstock-revision"] == "fraud-1"
    assert "x-penstock-refused" not in answer.headers


@pytest.mark.parametrize("change", [{"amount": {"data": [None]}}, {"amount": {"shape": [1, 1], "data": [[1.0]]}}])
def test_what_the_model_takes_is_answered(served: Any, change: dict[str, Any]) -> None:
    assert post(served, INFER, body(**change)).status_code == 200


ONE = {"shape": [1], "data": [1]}
REFUSED: dict[str, tuple[Any, str]] = {
    "missing column": (body(count=None), "input 'count' is missing (missing_column)"),
    "renamed column": (body(count=None, Count=ONE), "input 'count' is missing (missing_column)"),
    "unknown column": (body(more={}), "input 'more' is not a column of this model (unknown_column)"),
    "missing value": (body(single={"data": [None]}), "input 'single' does not take missing values (missing_value)"),
    "missing integer": (body(count={"data": [None]}), "input 'count' does not take missing values (missing_value)"),
    "missing text": (body(country={"data": [None]}), "input 'country' does not take missing values (missing_value)"),
    "text for a number": (
        body(amount={"datatype": "BYTES", "data": [SECRET]}),
        "input 'amount' is FP64, not BYTES (datatype)",
    ),
    "number for text": (body(country={"datatype": "FP64", "data": [7319.25]}), "input 'country' is BYTES, not FP64"),
    "fraction for an integer": (
        body(count={"datatype": "FP64", "data": [7319.25]}),
        "input 'count' is INT64, not FP64",
    ),
    "number for a truth value": (body(member={"datatype": "INT8"} | ONE), "input 'member' is BOOL, not INT8"),
    "unseen category": (body(country={"data": [SECRET]}), "input 'country' takes only the categories"),
    "two columns in one": (body(amount={"shape": [1, 2], "data": [1, 2]}), "input 'amount' is one column"),
    "too large for exactness": (body(count={"data": [2**53 + 2]}), "input 'count' is out of range (out_of_range)"),
    "too large for single": (body(single={"datatype": "FP64", "data": [1e39]}), "input 'single' is out of range"),
    "matrix of too few": (
        {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 3], "data": [7319.25, 2, 3]}]},
        "input 'x' has 3 columns, this model takes 5 (column_count)",
    ),
    "matrix with text": (
        {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 5], "data": [7319.25, 2, 3, 4, 5]}]},
        "send one input per column",
    ),
    "unknown output": (
        body() | {"outputs": [{"name": "transform"}]},
        "are predict, predict_proba, decision_function (unknown_output)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_this_model_does_not_take_is_a_marked_400(served: Any, case: str) -> None:
    document, words = REFUSED[case]
    answer = post(served, INFER, document)
    assert (answer.status_code, answer.headers.get("x-penstock-refused")) == (400, "1")
    assert_error(answer, words)


CONTRADICTIONS: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "the body is not JSON"),
    "empty": (b"", "the body is not JSON"),
    "not UTF-8": (b'{"id": "\xff"}', "the body is not JSON"),
    "NaN": (json.dumps(body(amount={"data": [float("nan")]})).encode(), "the body is not JSON"),
    "infinity": (b'{"inputs": [1e999]}', "the body is not JSON"),
    "deep nesting": (b"[" * 5000 + b"]" * 5000, "the body is not JSON"),
    "a list": ([], "not a JSON object"),
    "no inputs": ({}, "inputs is not a list"),
    "empty inputs": ({"inputs": []}, "inputs is not a list of at least one"),
    "input is text": ({"inputs": ["x"]}, "inputs[0] is not an object"),
    "no name": ({"inputs": [{"datatype": "FP64"} | ONE]}, "inputs[0].name"),
    "long name": ({"inputs": [{"name": "x" * 200, "datatype": "FP64"} | ONE]}, "inputs[0].name"),
    "unknown datatype": (body(amount={"datatype": "FLOAT"}), "input 'amount': datatype is none of BOOL, UINT8"),
    "binary datatype": (body(amount={"datatype": "FP16"}), "input 'amount': datatype is none of"),
    "datatype is a list": (body(amount={"datatype": ["FP64"]}), "input 'amount': datatype is none of"),
    "no shape": (body(amount={"shape": None}), "input 'amount': shape is not [rows] or [rows, columns]"),
    "shape of text": (body(amount={"shape": ["1"]}), "input 'amount': shape is not"),
    "shape of truth": (body(amount={"shape": [True]}), "input 'amount': shape is not"),
    "negative shape": (body(amount={"shape": [-1]}), "input 'amount': shape is not"),
    "three dimensions": (body(amount={"shape": [1, 1, 1]}), "input 'amount': shape is not"),
    "no rows": (body(amount={"shape": [0], "data": []}), "input 'amount': shape has no rows"),
    "huge shape": (body(amount={"shape": [10**12]}), "data holds 1 values, shape [1000000000000] asks for"),
    "too little data": (body(amount={"shape": [2]}), "input 'amount': data holds 1 values, shape [2] asks for 2"),
    "ragged": (body(amount={"shape": [2, 1], "data": [[1.0], [2.0, 3.0]]}), "nesting of data does not match"),
    "nested too deep": (body(amount={"shape": [1, 1], "data": [[[1.0]]]}), "its data is not numbers"),
    "data is text": (body(amount={"data": SECRET}), "input 'amount': data is not a list"),
    "text in numbers": (body(amount={"data": [SECRET]}), "input 'amount' declares FP64 but its data is not numbers"),
    "truth in numbers": (body(amount={"data": [True]}), "input 'amount' declares FP64 but its data is not numbers"),
    "fraction in integers": (body(count={"data": [7319.25]}), "input 'count' declares INT64 but its data is not whole"),
    "number in text": (body(country={"data": [7319.25]}), "input 'country' declares BYTES but its data is not text"),
    "number in truth": (body(member={"data": [1]}), "input 'member' declares BOOL but its data is not true"),
    "beyond its datatype": (body(count={"datatype": "INT8", "data": [300]}), "out of that datatype's range"),
    "too large for FP32": (body(single={"data": [1e39]}), "input 'single' has a number too large for FP32"),
    "different rows": (body(amount={"shape": [2], "data": [1, 2]}), "has 1 rows, input 'amount' has 2"),
    "the same input twice": ({"inputs": [body()["inputs"][0]] * 2}, "inputs names a tensor twice"),
    "outputs is text": (body() | {"outputs": "predict"}, "outputs is not a list"),
    "output without a name": (body() | {"outputs": [{}]}, "outputs[0] is not an object with a name"),
    "the same output twice": (body() | {"outputs": [{"name": "predict"}] * 2}, "outputs names an output twice"),
    "id is a number": (body() | {"id": 7319.25}, "id is not a text"),
    "parameters is a list": (body() | {"parameters": []}, "parameters is not an object"),
    "bytes without their header": (
        body(amount={"parameters": {"binary_data_size": 8}}),
        "the header Inference-Header-Content-Length is missing",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_what_contradicts_itself_is_an_unmarked_400(served: Any, case: str) -> None:
    document, words = CONTRADICTIONS[case]
    answer = post(served, INFER, document)
    assert (answer.status_code, answer.headers.get("x-penstock-refused")) == (400, None)
    assert_error(answer, words)


def assert_error(answer: httpx.Response, words: str) -> None:
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]
    assert SECRET not in answer.text
    assert answer.headers["content-type"] == "application/json"


V1: dict[str, tuple[Any, str | None, str]] = {
    "no JSON": (b"x", None, "not JSON"),
    "no instances": ({}, None, '{"instances": [...]}'),
    "no instance": ({"instances": []}, None, "at least one"),
    "too few values": ({"instances": [[7319.25, 2]]}, "1", "instances[0] has 2 values, this model takes 5"),
    "text for a number": ({"instances": [[SECRET, 0.5, 3, True, "DE"]]}, "1", "input 'amount' is FP64 (datatype)"),
    "missing value": ({"instances": [[1, None, 3, True, "DE"]]}, "1", "input 'single' does not take missing values"),
    "renamed": (
        {"instances": [{"Amount": 1, "single": 1, "count": 1, "member": True, "country": "DE"}]},
        "1",
        "'amount'",
    ),
    "mixed": ({"instances": [{}, []]}, "1", "'amount' is missing"),
}


@pytest.mark.parametrize("case", V1)
def test_v1_refuses_alike(served: Any, case: str) -> None:
    document, mark, words = V1[case]
    answer = post(served, PREDICT, document)
    assert (answer.status_code, answer.headers.get("x-penstock-refused")) == (400, mark)
    assert_error(answer, words)


def test_v1_answers(served: Any) -> None:
    answer = post(served, PREDICT, {"instances": [[7319.25, 0.5, 3, True, "DE"], [None, 0.5, 3, True, "FR"]]})
    assert answer.status_code == 200
    assert len(answer.json()["predictions"]) == 2


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/", 404, "there is no / here"),
        ("GET", "/v3", 404, "there is no /v3 here"),
        ("GET", "/metrics", 404, "there is no /metrics"),
        ("POST", "/v2/models/other/infer", 404, "there is no model 'other' here, only 'fraud'"),
        ("GET", "/v2/models/other", 404, "there is no model 'other'"),
        ("GET", "/v2/models/other/ready", 404, "there is no model 'other'"),
        ("POST", "/v1/models/other:predict", 404, "there is no model 'other'"),
        ("POST", "/v2/models/fraud/versions/1/infer", 404, "has no version '1'"),
        ("POST", "/v2/models/fraud/explode", 404, "there is no /v2/models/fraud/explode"),
        ("GET", INFER, 405, "asked with POST"),
        ("PUT", INFER, 405, "asked with POST"),
        ("GET", PREDICT, 405, "asked with POST"),
        ("POST", "/v2/health/ready", 405, "asked with GET"),
    ],
)
def test_other_paths_and_methods(served: Any, method: str, path: str, status: int, words: str) -> None:
    answer = httpx.request(method, served.url + path)
    assert answer.status_code == status
    assert_error(answer, words)


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"content-type": "application/x-pickle"}, 415, "application/json"),
        ({"content-type": "text/plain"}, 415, "application/json"),
        ({"content-type": "application/octet-stream", "inference-header-content-length": "10"}, 400, "not JSON"),
        ({"inference-header-content-length": "100000"}, 400, "the header Inference-Header-Content-Length is 100000"),
        ({"inference-header-content-length": "-1"}, 400, "is not a number of bytes"),
        ({"content-type": "application/octet-stream"}, 200, ""),
        ({"content-encoding": "gzip"}, 415, "not compressed"),
        ({"content-type": "application/json; charset=utf-8"}, 200, ""),
        ({"content-type": ""}, 200, ""),
    ],
)
def test_media_types(served: Any, headers: dict[str, str], status: int, words: str) -> None:
    answer = post(served, INFER, body(), **headers)
    assert answer.status_code == status
    if words:
        assert_error(answer, words)


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_beyond_the_limit_are_413(served: Any, chunked: bool) -> None:
    content = json.dumps(body()).encode() + b" " * 20_000
    parts = (content[start : start + 1000] for start in range(0, len(content), 1000)) if chunked else content
    answer = httpx.post(served.url + INFER, content=parts, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert_error(answer, "larger than 20000 bytes")


def test_a_chunked_body_is_read_whole(served: Any) -> None:
    content = json.dumps(body()).encode()
    answer = httpx.post(
        served.url + INFER,
        content=(content[start : start + 7] for start in range(0, len(content), 7)),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("sent", [b"", b'{"inputs": ['])
def test_callers_who_hang_up_break_nothing(served: Any, sent: bytes) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", served.port)) as caller:
            caller.sendall(
                b"POST /v2/models/fraud/infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n" + sent
            )
    assert post(served, INFER, body()).status_code == 200
    assert "Traceback" not in served.log()


def test_garbage_on_the_socket_breaks_nothing(served: Any) -> None:
    for garbage in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n", b"POST " + b"x" * 70_000, b"\r\n" * 1000):
        with socket.create_connection(("127.0.0.1", served.port)) as caller:
            caller.sendall(garbage)
            caller.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                while caller.recv(4096):
                    pass
    assert post(served, INFER, body()).status_code == 200


def test_health_and_metadata(served: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port)
    for path, document in {
        "/v2/health/live": {"live": True},
        "/v2/health/ready": {"ready": True},
        "/v2/models/fraud/ready": {"name": "fraud", "ready": True},
        "/v1/models/fraud": {"name": "fraud", "ready": True},
    }.items():
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())) == (200, document)
    connection.close()
    assert httpx.get(served.url + "/v2").json()["name"] == "penstock"
    metadata = httpx.get(served.url + "/v2/models/fraud").json()
    assert [(item["name"], item["datatype"], item["shape"]) for item in metadata["inputs"]] == [
        ("amount", "FP64", [-1]),
        ("single", "FP32", [-1]),
        ("count", "INT64", [-1]),
        ("member", "BOOL", [-1]),
        ("country", "BYTES", [-1]),
    ]
    assert [(item["name"], item["datatype"], item["shape"]) for item in metadata["outputs"]] == [
        ("predict", "BOOL", [-1]),
        ("predict_proba", "FP64", [-1, 2]),
        ("decision_function", "FP64", [-1]),
    ]
    assert metadata["properties"]["digest"] == served.packaged.digest


def test_every_answer_is_counted_by_status_and_every_refusal_by_rule(served: Any) -> None:
    def count(name: str, **labels: str) -> float:
        return served.metric(served.metrics_port, name, **labels)

    answered = count(contract.METRIC_REQUESTS, route="infer", code="400")
    refused = count(contract.METRIC_REFUSED, rule="missing_column")
    post(served, INFER, body(count=None))
    post(served, INFER, b"")
    assert count(contract.METRIC_REQUESTS, route="infer", code="400") == answered + 2
    assert count(contract.METRIC_REFUSED, rule="missing_column") == refused + 1
    assert count(contract.METRIC_IN_FLIGHT) == 0
    assert count(contract.METRIC_STARTUP_SECONDS, phase="load") > 0
