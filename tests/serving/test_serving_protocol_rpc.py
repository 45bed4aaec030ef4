"""gRPC gives the answers of REST, in the contents that were asked for, and errors by code, with their marks."""

import asyncio
import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.events
import numpy as np
import pytest
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_serving import protocol
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.signature import Column, Output, Signature, Versions
from penstock_serving.protocol import documents, v2
from penstock_serving.protocol import open_inference_pb2 as pb
from penstock_serving.protocol.call import Call
from penstock_serving.protocol.errors import (
    BadRequestError,
    DeadlineError,
    ModelFailureError,
    ModelRefusalError,
    NotServingError,
    RequestError,
    SaturatedError,
)
from penstock_serving.protocol.outputs import OutputTensor, checked
from penstock_serving.protocol.rules import Rule
from penstock_serving.rpc import messages
from penstock_serving.rpc.generate import generate
from penstock_serving.rpc.server import Limits, serve
from penstock_serving.rpc.servicer import SERVICE, About, Hooks

SIGNATURE = Signature(
    columns=(
        Column("amount", Datatype.FP64, True, True, (), ()),
        Column("count", Datatype.INT64, False, True, (), ()),
        Column("member", Datatype.BOOL, False, True, (), ()),
        Column("country", Datatype.BYTES, False, False, (), ("DE", "Île")),
    ),
    outputs=(Output("predict", Datatype.BYTES, 0), Output("predict_proba", Datatype.FP64, 2)),
    classes=(),
    prediction_edges=(),
    versions=Versions("3.11", "1.9", "2.4", "1.5"),
)
COLUMNS: dict[str, tuple[str, list[Any]]] = {
    "amount": ("FP64", [12.5, float("nan")]),
    "count": ("INT32", [3, -4]),
    "member": ("BOOL", [True, False]),
    "country": ("BYTES", [b"DE", "Île".encode()]),
}
FIELDS = {
    "FP64": "fp64_contents", "FP32": "fp32_contents", "INT64": "int64_contents", "INT32": "int_contents",
    "INT8": "int_contents", "UINT8": "uint_contents", "UINT64": "uint64_contents", "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
}  # fmt: skip
DTYPES = {
    "FP64": "<f8",
    "FP32": "<f4",
    "INT64": "<i8",
    "INT32": "<i4",
    "INT8": "i1",
    "UINT8": "u1",
    "UINT64": "<u8",
    "BOOL": "?",
}


def raw(datatype: str, values: list[Any]) -> bytes:
    if datatype == "BYTES":
        return b"".join(len(value).to_bytes(4, "little") + value for value in values)
    return np.array(values).astype(DTYPES[datatype]).tobytes()


def typed_request(**more: Any) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="fraud", **more)
    for name, (datatype, values) in COLUMNS.items():
        tensor = request.inputs.add(name=name, datatype=datatype, shape=[2])
        getattr(tensor.contents, FIELDS[datatype]).extend(values)
    return request


def raw_request(**more: Any) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="fraud", **more)
    for name, (datatype, values) in COLUMNS.items():
        request.inputs.add(name=name, datatype=datatype, shape=[2, 1])
        request.raw_input_contents.append(raw(datatype, values))
    return request


def json_call() -> Call:
    inputs = [
        {
            "name": name,
            "datatype": datatype,
            "shape": [2],
            "data": [None if v != v else v.decode() if isinstance(v, bytes) else v for v in values],
        }
        for name, (datatype, values) in COLUMNS.items()
    ]
    return v2.decode_call(json.dumps({"inputs": inputs}).encode(), None, SIGNATURE)


@pytest.mark.parametrize("request_", [typed_request(), raw_request()], ids=["typed", "raw"])
def test_either_contents_give_the_matrix_that_json_gives(request_: pb.ModelInferRequest) -> None:
    assert repr(messages.decode_call(request_, SIGNATURE).matrix.tolist()) == repr(json_call().matrix.tolist())


def test_the_datatypes_have_their_own_fields() -> None:
    for datatype, name in FIELDS.items():
        if datatype in {"BOOL", "BYTES"}:
            continue
        column = Column("x", Datatype.FP64, True, True, (), ())
        wanted = Signature((column,), SIGNATURE.outputs, (), (), SIGNATURE.versions)
        request = pb.ModelInferRequest()
        tensor = request.inputs.add(name="x", datatype=datatype, shape=[2])
        getattr(tensor.contents, name).extend([1, 2])
        assert messages.decode_call(request, wanted).matrix.tolist() == [[1.0], [2.0]]


def broken(change: Callable[[pb.ModelInferRequest], Any], *, base: Callable[..., pb.ModelInferRequest]) -> Any:
    request = base()
    change(request)
    return request


CLASSES = pb.InferParameter(int64_param=3)


def as_int8(request: pb.ModelInferRequest) -> None:
    request.inputs[1].datatype = "INT8"
    request.inputs[1].contents.int_contents[0] = 300


CONTRADICTIONS: dict[str, tuple[Callable[[Any], Any], Callable[..., Any], str]] = {
    "no inputs": (lambda r: r.ClearField("inputs"), typed_request, "at least one tensor"),
    "both contents": (lambda r: r.inputs[0].contents.fp64_contents.append(1), raw_request, "although the request has"),
    "raw for some": (
        lambda r: r.raw_input_contents.pop(),
        raw_request,
        "raw_input_contents has 3 entries, inputs has 4",
    ),
    "the other field": (
        lambda r: r.inputs[1].contents.int64_contents.append(1),
        typed_request,
        "its contents are int_",
    ),
    "no contents": (lambda r: r.inputs[0].ClearField("contents"), typed_request, "its contents are fp64_contents"),
    "too few values": (lambda r: r.inputs[0].contents.fp64_contents.pop(), typed_request, "holds 1 values"),
    "raw too short": (lambda r: r.raw_input_contents.__setitem__(0, b"1234"), raw_request, "has 4 bytes"),
    "beyond its datatype": (as_int8, typed_request, "out of that datatype's range"),
    "unknown datatype": (lambda r: setattr(r.inputs[0], "datatype", "FP16"), typed_request, "FP16 is for raw"),
    "unknown raw datatype": (lambda r: setattr(r.inputs[0], "datatype", "BF16"), raw_request, "datatype is none of"),
    "negative shape": (lambda r: r.inputs[0].shape.__setitem__(0, -1), raw_request, "shape is not"),
    "no name": (lambda r: setattr(r.inputs[0], "name", ""), raw_request, "inputs[0].name"),
    "long id": (lambda r: setattr(r, "id", "x" * 300), typed_request, "id is not a text of at most 256"),
    "not UTF-8": (lambda r: r.inputs[3].contents.bytes_contents.__setitem__(0, b"\xff"), typed_request, "not UTF-8"),
    "the same output twice": (
        lambda r: [r.outputs.add(name="predict") for _ in range(2)],
        typed_request,
        "an output twice",
    ),
    "base64": (
        lambda r: r.inputs[0].parameters["content_type"].MergeFrom(pb.InferParameter(string_param="base64")),
        typed_request,
        "content_type is none of",
    ),
    "classification": (
        lambda r: r.outputs.add(name="predict").parameters["classification"].MergeFrom(CLASSES),
        typed_request,
        "ask for predict_proba",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_what_contradicts_itself_is_refused(case: str) -> None:
    change, base, words = CONTRADICTIONS[case]
    with pytest.raises(BadRequestError) as refused:
        messages.decode_call(broken(change, base=base), SIGNATURE)
    assert words in refused.value.message


REFUSALS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "missing input": (lambda r: r.inputs.pop(), "input 'country' is missing"),
    "unseen category": (lambda r: r.inputs[3].contents.bytes_contents.__setitem__(0, b"FR"), "takes only the"),
    "unknown output": (lambda r: r.outputs.add(name="transform"), "outputs of this model are predict, predict_proba"),
    "infinite": (lambda r: r.inputs[0].contents.fp64_contents.__setitem__(0, float("inf")), "is out of range"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_the_model_does_not_take_is_refused_as_such(case: str) -> None:
    change, words = REFUSALS[case]
    with pytest.raises(ModelRefusalError, match=words):
        messages.decode_call(broken(change, base=typed_request), SIGNATURE)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_call_or_a_request_error(content: bytes) -> None:
    """Hostile messages that parse at all are answered."""
    request = raw_request()
    with suppress(DecodeError):
        request.MergeFromString(content)
        with suppress(RequestError):
            messages.decode_call(request, SIGNATURE)


def test_the_generated_modules_are_those_of_the_proto(tmp_path: Path) -> None:
    here = Path(next(iter(protocol.__path__)))
    for path in generate(tmp_path):
        assert path.read_text() == (here / path.name).read_text(), "run python -m penstock_serving.rpc.generate"


# Over the wire


@dataclass
class World:
    """What the service under test is told, and what it told."""

    error: RequestError | None = None
    not_ready: str = ""
    codes: list[str] = field(default_factory=list)
    failures: list[RequestError] = field(default_factory=list)
    patience: list[float] = field(default_factory=list)

    async def submit(self, call: Call, patience_seconds: float) -> Any:
        self.patience.append(patience_seconds)
        if self.error is not None:
            raise self.error
        return Answer(call)

    def statistics(self) -> documents.Statistics:
        span = documents.Span(3, 1000)
        return documents.Statistics(17, 4, 3, span, span, span, span, span, span, {1: span, 2: span})


class Answer:
    """Labels and scores that tell the rows they were made from."""

    def __init__(self, call: Call) -> None:
        share = np.array([0.5 if row[0] != row[0] else row[1] / 8 for row in call.matrix])
        values = {"predict": call.matrix[:, 3], "predict_proba": np.stack([share, 1 - share], axis=1)}
        self.outputs: list[OutputTensor] = [checked(SIGNATURE.output[name], values[name]) for name in call.outputs]


def socket_of(world: World) -> str:
    """A name for the socket, of few enough characters."""
    return f"{tempfile.gettempdir()}/rpc-{os.getpid()}-{id(world)}"


@asynccontextmanager
async def serving(world: World, limits: Limits = Limits(1 << 20, 100, 1)) -> AsyncIterator[grpc.aio.Channel]:  # noqa: B008
    about = About("fraud", "r1", "0.1", "onnx", (("x-penstock-digest", "sha256:x"),), {"digest": "sha256:x"}, SIGNATURE)
    hooks = Hooks(
        submit=world.submit,
        why_not_live=lambda: "",
        why_not_ready=lambda: world.not_ready,
        statistics=world.statistics,
        answered=lambda code, _seconds: world.codes.append(code),
        failed=world.failures.append,
    )
    address = f"unix:{socket_of(world)}"
    server = await serve(address, about, hooks, limits)
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            yield channel
    finally:
        await server.stop(None)


def call(channel: grpc.aio.Channel, method: str, request: Any, answer: Any, **more: Any) -> Any:
    return channel.unary_unary(
        f"/{SERVICE}/{method}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=answer.FromString,
    )(request, **more)


def in_the_world(world: World, body: Callable[[grpc.aio.Channel], Awaitable[Any]], **more: Any) -> Any:
    async def run() -> Any:
        async with serving(world, **more) as channel:
            return await body(channel)

    return asyncio.run(run())


@pytest.mark.parametrize("base", [typed_request, raw_request], ids=["typed", "raw"])
def test_the_answer_is_in_the_contents_of_the_request(base: Callable[..., Any]) -> None:
    async def body(channel: grpc.aio.Channel) -> Any:
        request = base(id="42", model_version="r1", outputs=[{"name": "predict_proba"}, {"name": "predict"}])
        pending = call(channel, "ModelInfer", request, pb.ModelInferResponse)
        return await pending, dict(await pending.initial_metadata())

    world = World()
    answer, metadata = in_the_world(world, body)
    assert (answer.model_name, answer.model_version, answer.id) == ("fraud", "r1", "42")
    assert answer.parameters["digest"].string_param == metadata["x-penstock-digest"] == "sha256:x"
    assert [(o.name, o.datatype, list(o.shape)) for o in answer.outputs] == [
        ("predict_proba", "FP64", [2, 2]),
        ("predict", "BYTES", [2]),
    ]
    scores, labels = [0.375, 0.625, 0.5, 0.5], COLUMNS["country"][1]
    if base is raw_request:
        assert list(answer.raw_output_contents) == [raw("FP64", scores), raw("BYTES", labels)]
        assert not any(output.HasField("contents") for output in answer.outputs)
    else:
        assert not answer.raw_output_contents
        assert list(answer.outputs[0].contents.fp64_contents) == scores
        assert list(answer.outputs[1].contents.bytes_contents) == labels
    assert world.codes == ["OK"]


@pytest.mark.parametrize("method", ["ModelInfer", "ModelReady", "RepositoryIndex"])
def test_bytes_that_are_no_message_are_the_callers_error(method: str, caplog: pytest.LogCaptureFixture) -> None:
    async def body(channel: grpc.aio.Channel) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary(f"/{SERVICE}/{method}")(b"\xff\xff\xff")
        return raised.value

    world = World()
    error = in_the_world(world, body)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert world.codes == (["INVALID_ARGUMENT"] if method == "ModelInfer" else [])
    assert not [
        record for record in caplog.records if record.name != "asyncio"
    ]  # asyncio: the client's poller at its end


ERRORS = {
    BadRequestError: ("x", grpc.StatusCode.INVALID_ARGUMENT, None),
    SaturatedError: ("x", grpc.StatusCode.RESOURCE_EXHAUSTED, "x-penstock-saturated"),
    NotServingError: ("x", grpc.StatusCode.UNAVAILABLE, None),
    DeadlineError: ("x", grpc.StatusCode.DEADLINE_EXCEEDED, None),
    ModelFailureError: ("x", grpc.StatusCode.INTERNAL, None),
}


async def refused(pending: Any) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await pending
    error = caught.value
    return error.code(), error.details(), dict(error.trailing_metadata())


def test_errors_have_their_codes_and_marks() -> None:
    async def body(channel: grpc.aio.Channel) -> None:
        refusal = ModelRefusalError(Rule.MISSING_VALUE, "no", 1)
        cases: list[tuple[RequestError, grpc.StatusCode, str | None]] = [
            (kind(words), code, mark) for kind, (words, code, mark) in ERRORS.items()
        ]
        cases.append((refusal, grpc.StatusCode.INVALID_ARGUMENT, "x-penstock-refused"))
        for error, code, mark in cases:
            world.error = error
            found, details, trailers = await refused(
                call(channel, "ModelInfer", typed_request(), pb.ModelInferResponse)
            )
            assert (found, details) == (code, error.message)
            assert {key for key in trailers if key.startswith("x-penstock")} == {"x-penstock-digest"} | {mark} - {None}
            assert world.failures[-1] is error
            assert world.codes[-1] == code.name

    world = World()
    in_the_world(world, body)


def frames(path_of_socket: str, path: str, message: bytes) -> list[h2.events.Event]:
    """The events of one call, by plain HTTP/2."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"), ("te", "trailers")]
    connection.send_headers(1, [*headers, ("content-type", "application/grpc")])
    connection.send_data(1, b"\0" + len(message).to_bytes(4, "big") + message, end_stream=True)
    found: list[h2.events.Event] = []
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(30)
        wire.connect(path_of_socket)
        while not any(isinstance(event, h2.events.StreamEnded) for event in found):
            wire.sendall(connection.data_to_send())
            found += connection.receive_data(wire.recv(65536))
    return found


def test_errors_are_of_trailers_only() -> None:
    """A proxy sees the status in the first frame of the answer, and can ask elsewhere before the caller has seen any."""

    async def body(_channel: grpc.aio.Channel) -> list[h2.events.Event]:
        return await asyncio.to_thread(frames, socket_of(world), f"/{SERVICE}/ModelInfer", b"")

    world = World()
    found = in_the_world(world, body)
    [answer] = [event for event in found if isinstance(event, h2.events.ResponseReceived)]
    headers = dict(answer.headers)
    assert headers["grpc-status"] == "5"
    assert headers["x-penstock-digest"] == "sha256:x"
    assert answer.stream_ended is not None


@pytest.mark.parametrize("method", ["ModelInfer", "ModelReady", "ModelMetadata", "ModelStatistics"])
def test_another_model_or_version_is_not_found(method: str) -> None:
    kind = getattr(pb, f"{method}Request")
    key = ("model_name", "model_version") if method == "ModelInfer" else ("name", "version")

    async def body(channel: grpc.aio.Channel) -> None:
        for name, version, words in [("other", "", "there is no model 'other'"), ("fraud", "9", "has no version '9'")]:
            request = kind(**dict(zip(key, (name, version), strict=True)))
            code, details, _ = await refused(call(channel, method, request, pb.ModelInferResponse))
            assert code is grpc.StatusCode.NOT_FOUND
            assert words in details

    in_the_world(World(), body)


def test_health_metadata_index_and_statistics() -> None:
    async def body(channel: grpc.aio.Channel) -> None:
        async def ask(method: str, **fields: Any) -> Any:
            return await call(
                channel, method, getattr(pb, f"{method}Request")(**fields), getattr(pb, f"{method}Response")
            )

        health = health_pb2_grpc.HealthStub(channel)
        for why_not, ready in [("", True), ("stopping", False)]:
            world.not_ready = why_not
            assert (await ask("ServerLive")).live
            assert (await ask("ServerReady")).ready is ready
            assert (await ask("ModelReady", name="fraud", version="r1")).ready is ready
            for service in ("", SERVICE):
                state = await health.Check(health_pb2.HealthCheckRequest(service=service))
                assert (state.status == health_pb2.HealthCheckResponse.SERVING) is ready
            entries = (await ask("RepositoryIndex")).models
            assert [(e.name, e.version, e.state, e.reason) for e in entries] == [
                ("fraud", "r1", "READY" if ready else "UNAVAILABLE", why_not)
            ]
            assert len((await ask("RepositoryIndex", ready=True)).models) == ready
        with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
            await health.Check(health_pb2.HealthCheckRequest(service="other"))
        server = await ask("ServerMetadata")
        assert (server.name, server.version) == ("penstock", "0.1")
        assert "binary_tensor_data" in server.extensions
        model = await ask("ModelMetadata", name="fraud")
        assert (model.name, list(model.versions), model.platform) == ("fraud", ["r1"], "onnx")
        assert [(t.name, t.datatype, list(t.shape)) for t in model.outputs] == [
            ("predict", "BYTES", [-1]),
            ("predict_proba", "FP64", [-1, 2]),
        ]
        [stats] = (await ask("ModelStatistics", name="fraud")).model_stats
        assert (stats.last_inference, stats.inference_count, stats.execution_count) == (17, 4, 3)
        assert (stats.inference_stats.queue.count, stats.inference_stats.queue.ns) == (3, 1000)
        assert [batch.batch_size for batch in stats.batch_stats] == [1, 2]

    world = World()
    in_the_world(world, body)


def test_reflection_lists_and_describes_the_service() -> None:
    async def body(channel: grpc.aio.Channel) -> None:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="grpc.health.v1.Health"),
        ]
        answers = [answer async for answer in stub.ServerReflectionInfo(iter(asked))]
        names = {service.name for service in answers[0].list_services_response.service}
        assert {SERVICE, "grpc.health.v1.Health"} <= names
        assert all(answer.file_descriptor_response.file_descriptor_proto for answer in answers[1:])

    in_the_world(World(), body)


def test_the_patience_is_the_callers_or_that_of_the_proxy_between() -> None:
    async def body(channel: grpc.aio.Channel) -> None:
        told = [("x-envoy-expected-rq-timeout-ms", "1500")]
        await call(channel, "ModelInfer", typed_request(), pb.ModelInferResponse)
        await call(channel, "ModelInfer", typed_request(), pb.ModelInferResponse, timeout=60)
        await call(channel, "ModelInfer", typed_request(), pb.ModelInferResponse, timeout=60, metadata=told)

    world = World()
    in_the_world(world, body)
    assert world.patience[0] == float("inf")
    assert 50 < world.patience[1] < 61
    assert world.patience[2] == 1.5


def test_messages_beyond_the_limit_are_refused() -> None:
    async def body(channel: grpc.aio.Channel) -> None:
        request = typed_request()
        request.parameters["x"].string_param = "x" * 5000
        code, _, _ = await refused(call(channel, "ModelInfer", request, pb.ModelInferResponse))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED

    in_the_world(World(), body, limits=Limits(1000, 10, 1))


def test_an_address_in_use_is_said_at_the_start() -> None:
    async def run() -> None:
        world = World()
        about = About("fraud", "", "0", "", (), {}, SIGNATURE)
        hooks = Hooks(world.submit, str, str, world.statistics, lambda *_: None, world.failures.append)
        first = await serve("127.0.0.1:0", about, hooks, Limits(1000, 10, 1))
        await first.stop(None)
        with pytest.raises(OSError, match="cannot be bound"):
            await serve("203.0.113.1:1", about, hooks, Limits(1000, 10, 1))

    asyncio.run(run())
