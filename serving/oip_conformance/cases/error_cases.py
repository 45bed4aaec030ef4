"""Errors: a 4xx, and the body `{"error": "…"}` and nothing else."""

from collections.abc import Callable

import pytest
from oip_conformance.spec import REST, spec
from oip_conformance.target import Json, Target, flat, require_error


def _without(key: str) -> Callable[[Json], Json]:
    return lambda request: {name: value for name, value in request.items() if name != key}


def _first(**changes: Json) -> Callable[[Json], Json]:
    """Change the first input; None takes a field out."""

    def change(request: Json) -> Json:
        tensor = request["inputs"][0] | changes
        request["inputs"][0] = {key: value for key, value in tensor.items() if value is not None}
        return request

    return change


def _one_value_more(request: Json) -> Json:
    values = flat(request["inputs"][0]["data"])
    request["inputs"][0]["data"] = [*values, values[0]]
    return request


def _another_kind(request: Json) -> Json:
    tensor = request["inputs"][0]
    values = flat(tensor["data"])
    tensor["data"] = [1.5 if tensor["datatype"] == "BYTES" else "not a number"] * len(values)
    return request


def _one_input_more(request: Json) -> Json:
    request["inputs"].append({"name": "no such input", "datatype": "FP64", "shape": [1], "data": [1.0]})
    return request


def _fewer_columns(request: Json) -> Json:
    """An input less, or, of a single input, a column less."""
    if len(request["inputs"]) > 1:
        del request["inputs"][0]
        return request
    tensor = request["inputs"][0]
    rows, width = tensor["shape"][0], tensor["shape"][-1]
    values = flat(tensor["data"])
    tensor["data"] = [value for index, value in enumerate(values) if index % width]
    tensor["shape"] = [rows, width - 1]
    return request


REQUESTS: dict[str, Callable[[Json], Json]] = {
    "not JSON": lambda _request: b'{"inputs": [',
    "not an object": lambda _request: [],
    "no inputs": _without("inputs"),
    "empty inputs": lambda request: request | {"inputs": []},
    "inputs is an object": lambda request: request | {"inputs": request["inputs"][0]},
    "input without name": _first(name=None),
    "input without shape": _first(shape=None),
    "input without datatype": _first(datatype=None),
    "input without data": _first(data=None),
    "unknown datatype": _first(datatype="FLOAT"),
    "negative shape": _first(shape=[-1]),
    "shape of text": _first(shape=["1"]),
    "more values than the shape says": _one_value_more,
    "values of another kind": _another_kind,
    "an input too many": _one_input_more,
    "an input or column too few": _fewer_columns,
    "id is a number": lambda request: request | {"id": 42},
    "unknown output": lambda request: request | {"outputs": [{"name": "no such output"}]},
    "outputs is text": lambda request: request | {"outputs": "predict"},
}


@spec(REST, "Inference Response JSON Error Object")
@pytest.mark.parametrize("case", REQUESTS)
def test_wrong_requests(target: Target, case: str) -> None:
    """A wrong request is the protocol's error."""
    require_error(target.infer(REQUESTS[case](target.request())))


@spec(REST, "Inference Response JSON Error Object")
def test_unknown_model(target: Target) -> None:
    """A request to a model that is not there is the protocol's error."""
    require_error(target.post("/v2/models/there-is-no-such-model/infer", target.request()))


@spec(REST, "Inference")
def test_it_goes_on(target: Target) -> None:
    """After all those errors the example is answered as before."""
    assert target.infer(target.request()).status == 200
