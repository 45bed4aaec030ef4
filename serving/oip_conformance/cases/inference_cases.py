"""Inference by JSON."""

from typing import Any

from oip_conformance.spec import REST, not_offered, spec
from oip_conformance.target import Json, Target, by_name, flat, volume

REQUEST = "Inference Request JSON Object"
RESPONSE = "Inference Response JSON Object"
TENSOR = "Tensor Data"


@spec(REST, RESPONSE)
def test_answer(target: Target) -> None:
    """An answer names the model and has outputs."""
    assert target.good.get("model_name") == target.model, f"model_name is {target.good.get('model_name')!r}"
    assert isinstance(target.good.get("outputs"), list), "outputs is not a list"
    assert target.good["outputs"], "there are no outputs"


@spec(REST, "Response Output")
def test_outputs(target: Target) -> None:
    """Every output has name, datatype, shape, and as many values as its shape says."""
    for output in target.good["outputs"]:
        missing = {"name", "datatype", "shape", "data"} - set(output)
        assert not missing, f"an output lacks {sorted(missing)}"
        size, found = volume(output["shape"]), len(flat(output["data"]))
        assert found == size, f"{found} values for shape {output['shape']}"


@spec(REST, RESPONSE)
def test_json_is_json(target: Target) -> None:
    """Answers in JSON say so."""
    kind = target.infer(target.request()).headers.get("content-type", "")
    assert kind.partition(";")[0] == "application/json", f"content-type is {kind!r}"


@spec(REST, RESPONSE)
def test_id_is_echoed(target: Target) -> None:
    """The request's id comes back."""
    answer = target.infer(target.request() | {"id": "Île-42"})
    assert answer.status == 200, f"answered with {answer.status}"
    assert answer.json().get("id") == "Île-42", f"id is {answer.json().get('id')!r}"


@spec(REST, RESPONSE)
def test_id_is_not_invented(target: Target) -> None:
    """A request without id gets none."""
    request = target.request()
    request.pop("id", None)
    assert not target.infer(request).json().get("id"), "the answer has an id"


@spec(REST, REQUEST)
def test_requested_outputs(target: Target) -> None:
    """Exactly the outputs that are named come back, one by one and together."""
    for names in ([name] for name in target.output_names):
        _require_outputs(target, names)
    _require_outputs(target, target.output_names)


def _require_outputs(target: Target, names: list[str]) -> None:
    answer = target.infer(target.request() | {"outputs": [{"name": name} for name in names]})
    assert answer.status == 200, f"answered with {answer.status}: {answer.body[:120]!r}"
    found = [output["name"] for output in answer.json()["outputs"]]
    assert sorted(found) == sorted(names), f"{found} instead of {names}"


@spec(REST, REQUEST)
def test_outputs_are_the_same_by_name(target: Target) -> None:
    """An output has the same values whether it is asked for by name or not."""
    name = target.good["outputs"][0]["name"]
    answer = target.infer(target.request() | {"outputs": [{"name": name}]})
    assert answer.status == 200, f"answered with {answer.status}"
    assert by_name(answer.json())[name] == by_name(target.good)[name]


@spec(REST, REQUEST)
def test_order_of_inputs(target: Target) -> None:
    """Inputs are known by name, not by their order."""
    request = target.request()
    if len(request["inputs"]) < 2:
        not_offered("the example has one input")
    request["inputs"].reverse()
    answer = target.infer(request)
    assert answer.status == 200, f"answered with {answer.status}"
    assert by_name(answer.json()) == by_name(target.good)


def _changed(request: Json, change: Any) -> Json:
    for tensor in request["inputs"]:
        tensor["data"] = change(flat(tensor["data"]), tensor["shape"])
    return request


def _nested(values: list[Any], shape: list[int]) -> list[Any]:
    if len(shape) < 2:
        return values
    size = len(values) // shape[0]
    return [_nested(values[start : start + size], shape[1:]) for start in range(0, len(values), size)]


@spec(REST, TENSOR)
def test_flat_data(target: Target) -> None:
    """Values may be flat, in row-major order."""
    answer = target.infer(_changed(target.request(), lambda values, _shape: values))
    assert answer.status == 200, f"answered with {answer.status}"
    assert by_name(answer.json()) == by_name(target.good)


@spec(REST, TENSOR)
def test_nested_data(target: Target) -> None:
    """Values may be nested as the shape says."""
    answer = target.infer(_changed(target.request(), _nested))
    assert answer.status == 200, f"answered with {answer.status}"
    assert by_name(answer.json()) == by_name(target.good)


@spec(REST, "Parameters")
def test_parameters(target: Target) -> None:
    """Parameters of a request and of its inputs may be there and mean nothing."""
    request = target.request() | {"parameters": {"nothing": 1}}
    for tensor in request["inputs"]:
        tensor.setdefault("parameters", {})["nothing"] = "at all"
    answer = target.infer(request)
    assert answer.status == 200, f"answered with {answer.status}"
    assert by_name(answer.json()) == by_name(target.good)
