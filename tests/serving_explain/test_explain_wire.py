"""Explanations over both protocols: requests as for predictions, answers in the protocol's shape."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_serving.explain import frames, setup, wire
from penstock_serving.explain.explanation import Explanation
from penstock_serving.explain.frames import Answer, Asks, BrokenFrameError, Question, Says
from penstock_serving.explain.limits import Limits
from penstock_serving.explain.plan import Unit
from penstock_serving.explain.setup import Package, Setup
from penstock_serving.protocol.errors import (
    BadRequestError,
    DeadlineError,
    ModelFailureError,
    ModelRefusalError,
    NotServingError,
    RequestError,
)
from penstock_serving.protocol.rules import Rule

from tests.serving_explain.signatures import signature_of

MATRIX = np.arange(6.0).reshape(2, 3)
SIGNATURE = signature_of(MATRIX)
ASKED = wire.explain_signature(SIGNATURE)
BINARY = {"binary_data": True}


def explanation(outputs: int) -> Explanation:
    values = np.arange(2.0 * 3 * outputs).reshape(2, 3, outputs) / 7
    names = tuple(f"class {number}" for number in range(outputs))
    return Explanation(np.arange(float(outputs)), values, ("c0", "c1", "c2"), names, Unit.LOG_ODDS, exact=True)


def request(**more) -> bytes:
    return json.dumps(
        {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2, 3], "data": MATRIX.tolist()}], **more}
    ).encode()


@pytest.mark.parametrize(("outputs", "shape"), [(1, [2, 3]), (3, [2, 3, 3])])
def test_a_v2_request_gets_every_output_with_names_and_unit(outputs, shape):
    call = wire.decode_v2(request(id="7"), None, ASKED)
    np.testing.assert_array_equal(call.matrix, MATRIX)
    body = wire.v2_response("fraud", call, explanation(outputs), {"digest": "sha256:0"})
    document = json.loads(body.body)
    assert (document["model_name"], document["id"]) == ("fraud", "7")
    assert document["parameters"] == {"digest": "sha256:0", "unit": "log-odds", "method": "exact"}
    tensors = {tensor["name"]: tensor for tensor in document["outputs"]}
    assert list(tensors) == ["contributions", "base_values", "columns", "outputs"]
    assert tensors["contributions"]["shape"] == shape
    assert tensors["contributions"]["data"] == explanation(outputs).contributions.ravel().tolist()
    assert tensors["base_values"]["shape"] == [outputs]
    assert tensors["columns"]["data"] == ["c0", "c1", "c2"]
    assert tensors["outputs"]["data"] == [f"class {number}" for number in range(outputs)]


def test_a_v2_request_gets_only_the_outputs_that_it_names_binary_where_it_says_so():
    body = request(outputs=[{"name": "contributions", "parameters": BINARY}, {"name": "columns"}])
    answer = wire.v2_response("fraud", wire.decode_v2(body, None, ASKED), explanation(1), {})
    document = json.loads(answer.body[: answer.json_length])
    assert [tensor["name"] for tensor in document["outputs"]] == ["contributions", "columns"]
    raw = answer.body[answer.json_length :]
    np.testing.assert_array_equal(np.frombuffer(raw, "<f8").reshape(2, 3), explanation(1).contributions[:, :, 0])


def test_binary_by_default_covers_the_numbers():
    call = wire.decode_v2(request(parameters={"binary_data_output": True}), None, ASKED)
    assert call.binary == {"contributions", "base_values"}


def test_a_models_own_output_is_none_of_an_explanation():
    with pytest.raises(ModelRefusalError) as refused:
        wire.decode_v2(request(outputs=[{"name": "predict"}]), None, ASKED)
    assert refused.value.rule is Rule.UNKNOWN_OUTPUT
    assert "contributions" in refused.value.message


def test_a_v1_request_gets_nested_lists():
    call = wire.decode_v1(json.dumps({"instances": MATRIX.tolist()}).encode(), ASKED)
    np.testing.assert_array_equal(call.matrix, MATRIX)
    document = json.loads(wire.v1_response(explanation(3)).body)["explanations"]
    assert document["contributions"] == explanation(3).contributions.tolist()
    assert document["base_values"] == [0.0, 1.0, 2.0]
    assert (document["columns"], document["unit"], document["method"]) == (["c0", "c1", "c2"], "log-odds", "exact")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"inputs": []}', request(outputs=7)])
def test_what_is_no_request_is_refused_as_for_predictions(body):
    with pytest.raises(BadRequestError):
        wire.decode_v2(body, None, ASKED)


CELLS = st.one_of(st.none(), st.floats(allow_nan=False), st.text(max_size=5))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(), st.text(max_size=5)), min_size=1, max_size=4))
def test_a_matrix_of_objects_arrives_as_it_left(rows):
    matrix = np.empty((len(rows), 3), dtype=object)
    for number, (value, text) in enumerate(rows):
        matrix[number] = [value if np.isfinite(value) else np.nan, text, None]
    found = frames.read_matrix(frames.write_matrix(matrix), (False, True, True))
    assert found.dtype == object
    for row, expected in zip(found.tolist(), matrix.tolist(), strict=True):
        assert row[1:] == expected[1:]
        assert row[0] == expected[0] or (row[0] != row[0] and expected[0] != expected[0])


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_a_matrix_of_floats_arrives_bit_for_bit(precision):
    matrix = np.array([[np.nan, -0.0, np.inf], [1e-300, 3, 0.1]]).astype(precision)
    found = frames.read_matrix(frames.write_matrix(matrix), (False,) * 3)
    assert found.dtype == matrix.dtype
    assert found.tobytes() == matrix.tobytes()


def test_an_explanation_arrives_as_it_left():
    sent = explanation(3)
    found = frames.read_explanation(frames.write_explanation(sent))
    np.testing.assert_array_equal(found.contributions, sent.contributions)
    np.testing.assert_array_equal(found.base_values, sent.base_values)
    assert (found.columns, found.outputs, found.unit, found.exact) == (sent.columns, sent.outputs, sent.unit, True)


@pytest.mark.parametrize(
    "error",
    [
        BadRequestError("a"),
        ModelRefusalError(Rule.MISSING_VALUE, "input 'x' does not take missing values", 3),
        ModelFailureError("b"),
        NotServingError("c"),
        DeadlineError("d"),
        RequestError(413, "e"),
    ],
)
def test_an_error_arrives_as_what_it_was(error):
    found = frames.read_error(frames.write_error(error))
    assert type(found) is type(error)
    assert (found.status, found.message) == (error.status, error.message)
    if isinstance(error, ModelRefusalError) and isinstance(found, ModelRefusalError):
        assert (found.rule, found.column) == (error.rule, error.column)


def test_questions_answers_and_setups_arrive_as_they_left():
    question = Question(Asks.V2, 1.5, 17, b"content")
    assert frames.unpack_question(frames.pack_question(question)[4:]) == question
    answer = Answer(Says.BODY, None, b"content")
    assert frames.unpack_answer(frames.pack_answer(answer)[4:]) == answer
    sent = Setup("fraud", {"digest": "d"}, SIGNATURE, b"arrays", Package("/models", "sha256:0"))
    assert setup.read(setup.write(sent, Limits(rows=7))) == (sent, Limits(rows=7))


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_garbage_is_told_from_messages(content):
    readers = [
        frames.unpack_question,
        frames.unpack_answer,
        frames.read_explanation,
        frames.read_error,
        setup.read,
        lambda raw: frames.read_matrix(raw, (False, True)),
    ]
    for reader in readers:
        try:
            reader(content)
        except BrokenFrameError:
            continue
