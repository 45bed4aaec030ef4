"""The protocol's gRPC service: from messages to calls and back, around the one way to compute."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import grpc
from google.protobuf.message import DecodeError

from penstock_serving import contract
from penstock_serving.model.signature import Signature
from penstock_serving.protocol import documents
from penstock_serving.protocol import open_inference_pb2 as pb
from penstock_serving.protocol.call import Call
from penstock_serving.protocol.errors import BadRequestError, RequestError
from penstock_serving.protocol.outputs import OutputTensor
from penstock_serving.protocol.patience import seconds_told
from penstock_serving.rpc import messages, status
from penstock_serving.rpc.status import Metadata

SERVICE = "inference.GRPCInferenceService"
Context = Any  # grpc.aio.ServicerContext has no types


class Computed(Protocol):
    """What a call gave: checked outputs in the order asked for."""

    @property
    def outputs(self) -> Sequence[OutputTensor]: ...


@dataclass(frozen=True, slots=True)
class About:
    """The served model, as callers see it.

    `headers` are sent with every answer, `parameters` stand in every inference answer; `version` is empty for none.
    """

    name: str
    version: str
    server_version: str
    platform: str
    headers: Metadata
    parameters: dict[str, str]
    signature: Signature


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the service asks of the server around it.

    `submit` computes a call within so many seconds and raises `RequestError` only. `why_not_live` and `why_not_ready`
    give the reason, empty when all is well. `answered` is told the code of every ModelInfer and its seconds, `failed`
    its error, if any.
    """

    submit: Callable[[Call, float], Awaitable[Computed]]
    why_not_live: Callable[[], str]
    why_not_ready: Callable[[], str]
    statistics: Callable[[], documents.Statistics]
    answered: Callable[[str, float], None]
    failed: Callable[[RequestError], None]


class Servicer:
    """GRPCInferenceService for one model."""

    def __init__(self, about: About, hooks: Hooks) -> None:
        self._about, self._hooks = about, hooks

    async def server_live(self, _request: pb.ServerLiveRequest, _context: Context) -> pb.ServerLiveResponse:
        """Whether the server can answer at all."""
        return pb.ServerLiveResponse(live=not self._hooks.why_not_live())

    async def server_ready(self, _request: pb.ServerReadyRequest, _context: Context) -> pb.ServerReadyResponse:
        """Whether its model is ready."""
        return pb.ServerReadyResponse(ready=not self._hooks.why_not_ready())

    async def model_ready(self, request: pb.ModelReadyRequest, context: Context) -> pb.ModelReadyResponse:
        """Whether the named model is ready; NOT_FOUND for another."""
        await self._require_model(request.name, request.version, context)
        return pb.ModelReadyResponse(ready=not self._hooks.why_not_ready())

    async def server_metadata(self, _request: pb.ServerMetadataRequest, _context: Context) -> pb.ServerMetadataResponse:
        """Name, version, extensions."""
        return pb.ServerMetadataResponse(**documents.server_metadata(self._about.server_version))

    async def model_metadata(self, request: pb.ModelMetadataRequest, context: Context) -> pb.ModelMetadataResponse:
        """The model's inputs and outputs; its origin is in the initial metadata, content types only in REST's."""
        about = self._about
        await self._require_model(request.name, request.version, context)
        await context.send_initial_metadata(about.headers)
        found = documents.model_metadata(about.name, about.signature, {}, about.version, about.platform)
        del found["properties"]
        for tensor in found["inputs"]:
            tensor.pop("parameters", None)
        return pb.ModelMetadataResponse(**found)

    async def model_infer(self, request: pb.ModelInferRequest, context: Context) -> pb.ModelInferResponse:
        """A prediction."""
        began, about = time.perf_counter(), self._about
        try:
            self._check_model(request.model_name, request.model_version)
            call = messages.decode_call(request, about.signature)
            computed = await self._hooks.submit(call, _waits(context))
            answer = messages.encode_answer(about.name, about.version, call, computed.outputs, about.parameters)
        except RequestError as error:
            self._hooks.failed(error)
            self._hooks.answered(status.code(error).name, time.perf_counter() - began)
            await self._abort(error, context)
        await context.send_initial_metadata(about.headers)
        self._hooks.answered(grpc.StatusCode.OK.name, time.perf_counter() - began)
        return answer

    async def repository_index(
        self, request: pb.RepositoryIndexRequest, _context: Context
    ) -> pb.RepositoryIndexResponse:
        """The one model of this server."""
        entry = documents.Entry(self._about.name, self._about.version, self._hooks.why_not_ready())
        return pb.RepositoryIndexResponse(models=documents.repository_index(entry, request.ready))

    async def model_statistics(
        self, request: pb.ModelStatisticsRequest, context: Context
    ) -> pb.ModelStatisticsResponse:
        """What the model has done so far."""
        if request.name:
            await self._require_model(request.name, request.version, context)
        about = self._about
        found = await asyncio.to_thread(self._hooks.statistics)
        return pb.ModelStatisticsResponse(**documents.statistics(about.name, about.version, found))

    def _check_model(self, name: str, version: str) -> None:
        if name != self._about.name:
            raise RequestError(404, f"there is no model {name[:128]!r} here, only {self._about.name!r}")
        documents.require_version(version, self._about.version, name)

    async def _require_model(self, name: str, version: str, context: Context) -> None:
        try:
            self._check_model(name, version)
        except RequestError as error:
            await self._abort(error, context)

    async def _abort(self, error: RequestError, context: Context) -> NoReturn:
        """End the call; everything is in the trailers, so that the answer may be of trailers only."""
        await context.abort(status.code(error), error.message, (*self._about.headers, *status.marks(error)))
        raise AssertionError("abort() does not return")

    def handlers(self) -> grpc.GenericRpcHandler:
        """The service for a `grpc.aio.Server`."""
        calls: dict[str, tuple[Any, Any]] = {
            "ServerLive": (self.server_live, pb.ServerLiveRequest),
            "ServerReady": (self.server_ready, pb.ServerReadyRequest),
            "ModelReady": (self.model_ready, pb.ModelReadyRequest),
            "ServerMetadata": (self.server_metadata, pb.ServerMetadataRequest),
            "ModelMetadata": (self.model_metadata, pb.ModelMetadataRequest),
            "ModelInfer": (self.model_infer, pb.ModelInferRequest),
            "RepositoryIndex": (self.repository_index, pb.RepositoryIndexRequest),
            "ModelStatistics": (self.model_statistics, pb.ModelStatisticsRequest),
        }
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: grpc.unary_unary_rpc_method_handler(
                    self._reading(call, request), request_deserializer=None, response_serializer=_serialized
                )
                for name, (call, request) in calls.items()
            },
        )

    def _reading(self, call: Callable[[Any, Context], Awaitable[Any]], message: Any) -> Callable[[bytes, Context], Any]:
        """The call, of the bytes of its message; INVALID_ARGUMENT for bytes that are none.

        They are read here because gRPC answers UNKNOWN, as if the server were broken, when its deserializer raises.
        """
        counted = call == self.model_infer

        async def read_and_call(content: bytes, context: Context) -> Any:
            try:
                request = message.FromString(content)
            except DecodeError:
                error = BadRequestError(f"the bytes are no {message.DESCRIPTOR.name}")
                if counted:
                    self._hooks.failed(error)
                    self._hooks.answered(status.code(error).name, 0.0)
                await self._abort(error, context)
            return await call(request, context)

        return read_and_call


def _waits(context: Context) -> float:
    """Seconds until the answer is of no use: to the caller, or to the proxy, which may ask another server sooner."""
    remaining = context.time_remaining()
    told = (value for key, value in context.invocation_metadata() if key == contract.HEADER_EXPECTED_TIMEOUT)
    return min(math.inf if remaining is None else remaining, seconds_told(next(told, "")))


def _serialized(message: Any) -> bytes:
    content: bytes = message.SerializeToString()
    return content
