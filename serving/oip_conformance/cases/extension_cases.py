"""The extensions that a server may name in its metadata: binary tensors, the repository's index, statistics."""

import json
from typing import Any

import pytest
from oip_conformance.raw import packed, unpacked
from oip_conformance.spec import BINARY, REPOSITORY, STATISTICS, not_offered, spec
from oip_conformance.target import Answer, Json, Target, by_name, flat, require_error, volume

_HEADER = "inference-header-content-length"


def _offered(target: Target, extension: str) -> None:
    if extension not in target.extensions:
        not_offered(f"{extension} is not among the server's extensions")


def _binary(request: Json) -> tuple[Json, list[bytes]]:
    contents = []
    for tensor in request["inputs"]:
        contents.append(packed(tensor["datatype"], flat(tensor.pop("data"))))
        tensor.setdefault("parameters", {})["binary_data_size"] = len(contents[-1])
    return request, contents


def _send(target: Target, request: Json, tail: bytes) -> Answer:
    head = json.dumps(request).encode()
    headers = {"content-type": "application/octet-stream", _HEADER: str(len(head))}
    return target.ask("POST", f"{target.base}/infer", head + tail, headers)


def _outputs(answer: Answer) -> tuple[dict[str, tuple[list[int], list[Any]]], set[str]]:
    """Shapes and values of all outputs, and the names of those that came as bytes."""
    assert answer.status == 200, f"answered with {answer.status}: {answer.body[:120]!r}"
    length = int(answer.headers.get(_HEADER, len(answer.body)))
    document, tail = json.loads(answer.body[:length]), answer.body[length:]
    found, binary = {}, set()
    for output in document["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            found[output["name"]] = (output["shape"], flat(output["data"]))
            continue
        found[output["name"]] = (output["shape"], unpacked(output["datatype"], tail[:size]))
        binary.add(output["name"])
        tail = tail[size:]
        assert len(found[output["name"]][1]) == volume(output["shape"]), f"the bytes do not fill {output['shape']}"
    assert not tail, f"{len(tail)} bytes follow the last output"
    return found, binary


def _same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected), f"{list(found)} instead of {list(expected)}"
    for name, (shape, values) in expected.items():
        assert found[name][0] == shape, f"shape {found[name][0]} instead of {shape}"
        assert values == pytest.approx(found[name][1], rel=1e-6) if _numbers(values) else values == found[name][1]


def _numbers(values: list[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


@spec(BINARY, "Binary Tensor Request")
def test_binary_inputs(target: Target) -> None:
    """Inputs as bytes give the answer of inputs in JSON."""
    _offered(target, "binary_tensor_data")
    request, contents = _binary(target.request())
    found, binary = _outputs(_send(target, request, b"".join(contents)))
    assert not binary, "outputs came as bytes although JSON is the default"
    _same(found, by_name(target.good))


@spec(BINARY, "Binary Tensor Response")
@pytest.mark.parametrize("inputs", ["JSON", "bytes"])
def test_binary_outputs(target: Target, inputs: str) -> None:
    """All outputs come as bytes when the request says so."""
    _offered(target, "binary_tensor_data")
    request = target.request() | {"parameters": {"binary_data_output": True}}
    if inputs == "bytes":
        request, contents = _binary(request)
        answer = _send(target, request, b"".join(contents))
    else:
        answer = target.infer(request)
    found, binary = _outputs(answer)
    assert binary == set(found), "an output came in JSON"
    _same(found, by_name(target.good))


@spec(BINARY, "Binary Tensor Request")
def test_an_outputs_own_wish_wins(target: Target) -> None:
    """An output's binary_data wins over the request's binary_data_output."""
    _offered(target, "binary_tensor_data")
    name = target.good["outputs"][0]["name"]
    for wish in (True, False):
        asked = {
            "parameters": {"binary_data_output": not wish},
            "outputs": [{"name": name, "parameters": {"binary_data": wish}}],
        }
        found, binary = _outputs(target.infer(target.request() | asked))
        assert binary == ({name} if wish else set()), f"binary_data {wish} was not followed"
        _same(found, {name: by_name(target.good)[name]})


@spec(BINARY, "Binary Tensor Request")
@pytest.mark.parametrize("case", ["cut short", "too long", "another size than the shape's", "header beyond the body"])
def test_bytes_that_do_not_fit(target: Target, case: str) -> None:
    """Bytes that are not exactly those of the inputs are the protocol's error."""
    _offered(target, "binary_tensor_data")
    request, contents = _binary(target.request())
    tail = b"".join(contents)
    if case == "cut short":
        tail = tail[:-1]
    elif case == "too long":
        tail += b"\0"
    elif case == "another size than the shape's":
        request["inputs"][-1]["parameters"]["binary_data_size"] -= 1
        tail = tail[:-1]
    else:
        headers = {"content-type": "application/octet-stream", _HEADER: "1000000"}
        require_error(target.ask("POST", f"{target.base}/infer", json.dumps(request).encode() + tail, headers))
        return
    require_error(_send(target, request, tail))


@spec(REPOSITORY, "Index")
def test_index(target: Target) -> None:
    """The index lists the model as READY, whether all or the ready ones are asked for."""
    _offered(target, "model_repository")
    for body in ({}, {"ready": True}):
        answer = target.post("/v2/repository/index", body)
        assert answer.status == 200, f"answered with {answer.status}"
        entries = [entry for entry in answer.json() if entry["name"] == target.model]
        assert entries, "the model is not listed"
        assert {entry["state"] for entry in entries} == {"READY"}, f"states are {[e['state'] for e in entries]}"


@spec(STATISTICS, "Statistics")
def test_statistics(target: Target) -> None:
    """The statistics count the requests that succeeded."""
    _offered(target, "statistics")
    before = _statistics(target)
    assert target.infer(target.request()).status == 200
    after = _statistics(target)
    gained = after["inference_stats"]["success"]["count"] - before["inference_stats"]["success"]["count"]
    assert gained >= 1, "a success was not counted"
    assert after["inference_count"] > before["inference_count"], "inference_count stayed"
    assert after["inference_stats"]["success"]["ns"] > before["inference_stats"]["success"]["ns"], "no time passed"


def _statistics(target: Target) -> Json:
    answer = target.get(f"{target.base}/stats")
    assert answer.status == 200, f"answered with {answer.status}"
    found = [entry for entry in answer.json()["model_stats"] if entry["name"] == target.model]
    assert found, "the model is not listed"
    return found[0]
