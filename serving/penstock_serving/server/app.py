"""The RSGI application: paths, methods, headers and statuses around the protocol.

Every answer that is not a success has the protocol's error body `{"error": "…"}`, on every path. Statuses: 400 for a
request that is wrong or refused by the model (then marked), 404 unknown path or model, 405, 408, 413, 415, 429
saturated (marked, with Retry-After), 500 the model failed, 503 not serving, 504 too late.
"""

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Protocol

import orjson

from penstock_serving import contract
from penstock_serving.model.load import Model
from penstock_serving.protocol import documents, v2
from penstock_serving.protocol.errors import ModelRefusalError, NotServingError, RequestError, SaturatedError
from penstock_serving.server.body import BodyProtocol, BodyReader
from penstock_serving.server.engine import V1, V2, Engine, Prediction, Wire
from penstock_serving.server.failures import FailureLog, as_request_error
from penstock_serving.server.feed import Feed
from penstock_serving.server.identity import Identity
from penstock_serving.server.lifecycle import Lifecycle
from penstock_serving.server.metrics import ServerMetrics
from penstock_serving.server.predictor import Predictor

_VERSION = version("penstock")
_JSON = ("content-type", "application/json")
_MEDIA_TYPES = frozenset({"", "application/json", "application/octet-stream"})
_JSON_LENGTH = "inference-header-content-length"


class Headers(Protocol):
    """An RSGI request's headers."""

    def get(self, key: str, default: Any = None, /) -> Any: ...


class Scope(Protocol):
    """The parts of an RSGI request that are looked at."""

    method: str
    path: str
    headers: Headers


class Exchange(BodyProtocol, Protocol):
    """An RSGI protocol object."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...


class App:
    """Answers requests about one model. RSGI entry point: `__rsgi__`."""

    def __init__(
        self,
        identity: Identity,
        model: Model,
        predictor: Predictor,
        bodies: BodyReader,
        feed: Feed,
        metrics: ServerMetrics,
        lifecycle: Lifecycle,
    ) -> None:
        self._identity, self._signature = identity, model.signature
        self._engine = Engine(model, identity)
        self._predictor, self._bodies = predictor, bodies
        self._feed, self._metrics, self._lifecycle = feed, metrics, lifecycle
        self._failures = FailureLog()
        self._headers = identity.headers
        name = identity.name
        self._predictions = {f"/v2/models/{name}/infer": V2, f"/v1/models/{name}:predict": V1}
        self._documents: dict[str, Callable[[], tuple[int, object]]] = {
            contract.PATH_LIVE: self._live,
            contract.PATH_READY: lambda: self._ready({"ready": True}),
            "/v2": self._server_metadata,
            f"/v2/models/{name}": self._model_metadata,
            f"/v2/models/{name}/ready": lambda: self._ready({"name": name, "ready": True}),
            f"/v1/models/{name}": lambda: self._ready({"name": name, "ready": True}),
        }

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        """Answer one request."""
        began = time.perf_counter()
        wire = self._predictions.get(scope.path)
        if wire is not None and scope.method == "POST":
            self._lifecycle.arrived()
            try:
                status = await self._predict(wire, scope, exchange)
            finally:
                self._lifecycle.left()
            self._metrics.answered(wire.route, status, began)
            return
        try:
            status, document = self._document(scope, wire)
            self._answer(exchange, status, orjson.dumps(document), [_JSON])
        except RequestError as error:
            status = self._fail(exchange, error)
        self._metrics.answered("other", status, began)

    async def _predict(self, wire: Wire, scope: Scope, exchange: Exchange) -> int:
        try:
            prediction = await self._compute(wire, scope, exchange)
        except RequestError as error:
            return self._fail(exchange, error)
        answer = prediction.answer
        more = [_JSON]
        if answer.json_length is not None:
            more = [("content-type", "application/octet-stream"), (_JSON_LENGTH, str(answer.json_length))]
        self._answer(exchange, 200, answer.body, more)
        self._metrics.rows.inc(len(prediction.observed))
        self._feed.rows(prediction.observed)
        return 200

    async def _compute(self, wire: Wire, scope: Scope, exchange: Exchange) -> Prediction:
        _require_media_type(scope.headers)
        json_length = v2.json_length(scope.headers.get(_JSON_LENGTH))
        body = await self._bodies.read(exchange, scope.headers.get("content-length"))
        future = await self._predictor.run(
            lambda: self._engine.predict(wire, body, json_length), _patience(scope.headers)
        )
        error = future.exception()
        if error is not None:
            self._failures.note(error)
            raise as_request_error(error)
        return future.result()

    def _document(self, scope: Scope, wire: Wire | None) -> tuple[int, object]:
        document = self._documents.get(scope.path.rstrip("/"))
        if document is not None:
            if scope.method not in {"GET", "HEAD"}:
                raise RequestError(405, f"{scope.path[:200]} is asked with GET")
            return document()
        if wire is not None:
            raise RequestError(405, f"{scope.path[:200]} is asked with POST")
        parts = scope.path.split("/")
        if len(parts) > 3 and parts[2] == "models":
            name = parts[3].partition(":")[0]
            if name != self._identity.name:
                raise RequestError(404, f"there is no model {name[:128]!r} here, only {self._identity.name!r}")
            if len(parts) > 4 and parts[4] == "versions":
                raise RequestError(404, f"model {name!r} has no versions: leave /versions/… out of the path")
        raise RequestError(404, f"there is no {scope.path[:200]} here")

    def _live(self) -> tuple[int, object]:
        if self._predictor.stuck(time.monotonic()):
            raise NotServingError("the model has not finished a prediction for too long")
        return 200, {"live": True}

    def _ready(self, document: object) -> tuple[int, object]:
        if self._lifecycle.draining:
            raise NotServingError("this server is stopping")
        if self._predictor.stuck(time.monotonic()):
            raise NotServingError("the model has not finished a prediction for too long")
        return 200, document

    def _server_metadata(self) -> tuple[int, object]:
        return 200, documents.server_metadata(_VERSION)

    def _model_metadata(self) -> tuple[int, object]:
        versions = self._signature.versions
        properties = self._identity.parameters | {"scikit_learn": versions.scikit_learn, "python": versions.python}
        return 200, documents.model_metadata(self._identity.name, self._signature, properties)

    def _fail(self, exchange: Exchange, error: RequestError) -> int:
        more = [_JSON]
        if isinstance(error, ModelRefusalError):
            more.append((contract.HEADER_REFUSED, "1"))
            self._metrics.refused[error.rule].inc()
            self._feed.refusal(error.rule, error.column)
        elif isinstance(error, SaturatedError):
            more += [(contract.HEADER_SATURATED, "1"), ("retry-after", "1")]
            self._metrics.saturated.inc()
        elif isinstance(error, NotServingError):
            more.append(("retry-after", "1"))
        self._answer(exchange, error.status, orjson.dumps({"error": error.message}), more)
        return error.status

    def _answer(self, exchange: Exchange, status: int, body: bytes, more: list[tuple[str, str]]) -> None:
        headers = [*self._headers, *more]
        if self._lifecycle.draining:
            headers.append(("connection", "close"))
        exchange.response_bytes(status, headers, body)


def _require_media_type(headers: Headers) -> None:
    media_type = str(headers.get("content-type", "")).partition(";")[0].strip().lower()
    if media_type not in _MEDIA_TYPES:
        raise RequestError(415, "requests are application/json, or application/octet-stream with binary tensors")
    if headers.get("content-encoding", "identity") != "identity":
        raise RequestError(415, "requests are not compressed")


def _patience(headers: Headers) -> float:
    """Seconds that the proxy before us waits for this attempt."""
    value = str(headers.get(contract.HEADER_EXPECTED_TIMEOUT, ""))
    return int(value) / 1000 if value.isascii() and value.isdecimal() and int(value) > 0 else float("inf")
