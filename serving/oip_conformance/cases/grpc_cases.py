"""The protocol over gRPC: the same answers as over REST, in the contents of the request."""

from typing import Any

import pytest
from oip_conformance.raw import packed, unpacked
from oip_conformance.spec import GRPC, not_offered, spec
from oip_conformance.target import Target, by_name, flat

SERVICE = "inference.GRPCInferenceService"
_FIELDS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip


def _messages() -> Any:
    return pytest.importorskip("penstock_serving.protocol.open_inference_pb2")


def _ask(target: Target, method: str, **fields: Any) -> Any:
    messages = _messages()
    return _call(target, method, getattr(messages, f"{method}Request")(**fields))


def _call(target: Target, method: str, request: Any) -> Any:
    if not target.grpc:
        not_offered("no gRPC address was given")
    grpc = pytest.importorskip("grpc")
    answer = getattr(_messages(), f"{method}Response")
    with grpc.insecure_channel(target.grpc) as channel:
        call = channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        return call(request, timeout=30)


def _refused(target: Target, method: str, request: Any) -> str:
    """The name of the status that ends the call."""
    if not target.grpc:
        not_offered("no gRPC address was given")
    grpc = pytest.importorskip("grpc")
    try:
        _call(target, method, request)
    except grpc.RpcError as error:
        return str(error.code().name)
    raise AssertionError("the call was answered")


def _request(target: Target, *, raw: bool, **fields: Any) -> Any:
    request = _messages().ModelInferRequest(model_name=target.model, **fields)
    for tensor in target.example["inputs"]:
        datatype, values = tensor["datatype"], flat(tensor["data"])
        made = request.inputs.add(name=tensor["name"], datatype=datatype, shape=tensor["shape"])
        for name, value in tensor.get("parameters", {}).items():
            made.parameters[name].string_param = str(value)
        if raw:
            request.raw_input_contents.append(packed(datatype, values))
        elif datatype == "BYTES":
            made.contents.bytes_contents.extend(value.encode() for value in values)
        else:
            numbers = [float("nan") if value is None else value for value in values]
            getattr(made.contents, _FIELDS[datatype]).extend(numbers)
    return request


def _outputs(answer: Any) -> dict[str, tuple[list[int], list[Any]]]:
    found = {}
    for position, output in enumerate(answer.outputs):
        if answer.raw_output_contents:
            content = answer.raw_output_contents[position]
            values = unpacked(output.datatype, content)
        else:
            values = list(getattr(output.contents, _FIELDS[output.datatype]))
            values = [value.decode() for value in values] if output.datatype == "BYTES" else values
        found[output.name] = (list(output.shape), values)
    return found


@spec(GRPC, "Health")
def test_health(target: Target) -> None:
    """ServerLive, ServerReady and ModelReady say true."""
    assert _ask(target, "ServerLive").live, "the server is not live"
    assert _ask(target, "ServerReady").ready, "the server is not ready"
    assert _ask(target, "ModelReady", name=target.model).ready, "the model is not ready"


@spec(GRPC, "Server Metadata")
def test_server_metadata(target: Target) -> None:
    """ServerMetadata says what /v2 says."""
    answer = _ask(target, "ServerMetadata")
    document = target.get("/v2").json()
    assert (answer.name, answer.version) == (document["name"], document["version"])
    assert list(answer.extensions) == document["extensions"]


@spec(GRPC, "Model Metadata")
def test_model_metadata(target: Target) -> None:
    """ModelMetadata says what the model's REST metadata says."""
    answer = _ask(target, "ModelMetadata", name=target.model)
    assert answer.name == target.model
    for which in ("inputs", "outputs"):
        found = [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in getattr(answer, which)]
        said = [(item["name"], item["datatype"], item["shape"]) for item in target.metadata.get(which) or []]
        assert found == said, f"{which}: {found} instead of {said}"


@spec(GRPC, "Inference")
@pytest.mark.parametrize("contents", ["typed", "raw"])
def test_inference(target: Target, contents: str) -> None:
    """The answer is that of REST, raw to a raw request and typed to a typed one; the id comes back."""
    answer = _call(target, "ModelInfer", _request(target, raw=contents == "raw", id="42"))
    assert answer.model_name == target.model, f"model_name is {answer.model_name!r}"
    assert answer.id == "42", f"id is {answer.id!r}"
    assert bool(answer.raw_output_contents) == (contents == "raw"), "the answer is in the other contents"
    found, expected = _outputs(answer), by_name(target.good)
    assert list(found) == list(expected), f"{list(found)} instead of {list(expected)}"
    for name, (shape, values) in expected.items():
        assert found[name][0] == shape, f"shape {found[name][0]} instead of {shape}"
        if values and isinstance(values[0], float):
            assert found[name][1] == pytest.approx(values, rel=1e-6)
        else:
            assert found[name][1] == values


@spec(GRPC, "Inference")
def test_requested_outputs(target: Target) -> None:
    """Exactly the outputs that are named come back."""
    name = target.output_names[-1]
    request = _request(target, raw=True)
    request.outputs.add(name=name)
    found = [output.name for output in _call(target, "ModelInfer", request).outputs]
    assert found == [name], f"{found} instead of {[name]}"


@spec(GRPC, "Inference")
@pytest.mark.parametrize("case", ["both contents", "raw for some", "raw cut short", "unknown output", "no inputs"])
def test_wrong_requests(target: Target, case: str) -> None:
    """A wrong request ends with a status that blames the request."""
    request = _request(target, raw=True)
    if case == "both contents":
        tensor = target.example["inputs"][0]
        filler = b"x" if tensor["datatype"] == "BYTES" else 1
        getattr(request.inputs[0].contents, _FIELDS[tensor["datatype"]]).append(filler)
    elif case == "raw for some":
        request.raw_input_contents.append(b"12345678")
    elif case == "raw cut short":
        request.raw_input_contents[0] = request.raw_input_contents[0][:-1]
    elif case == "unknown output":
        request.outputs.add(name="no such output")
    else:
        del request.inputs[:]
        del request.raw_input_contents[:]
    status = _refused(target, "ModelInfer", request)
    assert status in {"INVALID_ARGUMENT", "NOT_FOUND", "OUT_OF_RANGE", "FAILED_PRECONDITION"}, f"the status is {status}"


@spec(GRPC, "Inference")
def test_unknown_model(target: Target) -> None:
    """A model that is not there is NOT_FOUND."""
    request = _messages().ModelInferRequest(model_name="there-is-no-such-model")
    status = _refused(target, "ModelInfer", request)
    assert status == "NOT_FOUND", f"the status is {status}"
