"""The application: paths, methods, headers and statuses around the protocol.

Every answer that is not a success has the protocol's error body `{"error": "…"}`, on every path. Statuses: 400 for a
request that is wrong or refused by the model (then marked), 404 unknown path or model, 405, 408, 413, 415, 429
saturated (marked, with Retry-After), 500 the model failed, 503 not serving, 504 too late.
"""

import asyncio
import functools
import math
import time
from collections.abc import Coroutine
from typing import Any
from urllib.parse import unquote

import orjson

from penstock_serving import contract
from penstock_serving.model.load import Model
from penstock_serving.protocol import v2
from penstock_serving.protocol.call import Call, Encoded
from penstock_serving.protocol.errors import (
    DeadlineError,
    ModelRefusalError,
    NotServingError,
    RequestError,
    SaturatedError,
)
from penstock_serving.protocol.patience import seconds_told
from penstock_serving.server.dispatch import LATE, Dispatcher, Limits
from penstock_serving.server.engine import Computed
from penstock_serving.server.explaining import Explain, Explaining
from penstock_serving.server.http.exchange import Exchange
from penstock_serving.server.http.heads import Heads
from penstock_serving.server.http.limits import HttpLimits
from penstock_serving.server.http.listener import most_connections
from penstock_serving.server.identity import Identity
from penstock_serving.server.lane.front import ROUTE, Rules
from penstock_serving.server.lifecycle import Lifecycle
from penstock_serving.server.metrics import ServerMetrics
from penstock_serving.server.pages import Pages, bases
from penstock_serving.server.refusals import Refusals
from penstock_serving.server.tally import Tally
from penstock_serving.server.task import Task
from penstock_serving.server.wires import Wire, v1_wire, v2_wire

_JSON = ("content-type", "application/json")
_BINARY = ("content-type", "application/octet-stream")
_RETRY = ("retry-after", "1")
_MEDIA_TYPES = frozenset({"", "application/json", "application/octet-stream"})
_USUAL = frozenset({b"application/json", b"application/octet-stream", None})
_JSON_LENGTH = "inference-header-content-length"
_JSON_LENGTH_HEADER = _JSON_LENGTH.encode()
_EXPECTED_TIMEOUT = contract.HEADER_EXPECTED_TIMEOUT.encode()
_EXPLAIN = "explain"
_FRONT_BODY = 32 << 10
_INDEX = "/v2/repository/index"


class App:
    """Answers requests about one model: the handler of the HTTP layer. To be used from one event loop."""

    def __init__(
        self,
        identity: Identity,
        model: Model,
        dispatcher: Dispatcher,
        pages: Pages,
        explaining: Explaining,
        metrics: ServerMetrics,
        tally: Tally,
        lifecycle: Lifecycle,
    ) -> None:
        self._signature = model.signature
        self._dispatcher, self._pages, self._explaining = dispatcher, pages, explaining
        self._tasks: set[asyncio.Task[None]] = set()
        self._metrics, self._tally, self._lifecycle = metrics, tally, lifecycle
        self._refusals = Refusals()
        self._heads = Heads(identity.headers)
        self._success = self._heads.of(200, (_JSON,))
        infer = v2_wire(identity)
        self._wires = {f"{base}/infer": infer for base in bases(identity)}
        self._wires[f"/v1/models/{identity.name}:predict"] = v1_wire()
        self._explains: dict[str, Explain] = {f"{base}/explain": explaining.answer_v2 for base in bases(identity)}
        self._explains[f"/v1/models/{identity.name}:explain"] = explaining.answer_v1
        self._targets = {path.encode(): wire for path, wire in self._wires.items()}

    # The handler of the HTTP layer

    def handle(self, exchange: Exchange) -> None:
        """Take a request that was read whole."""
        wire = self._targets.get(exchange.target)
        if wire is not None and exchange.method == b"POST":
            self._predict(wire, exchange)
        else:
            self._other(exchange)

    def refuse(self, exchange: Exchange, error: RequestError) -> None:
        """Answer a request that was not read whole."""
        self._fail(exchange, "other", error)

    def rules(self, limits: Limits, http: HttpLimits) -> Rules:
        """By which the front answers what would come here as an ordinary request."""
        late = DeadlineError(LATE)
        return Rules(
            [target for target, wire in self._targets.items() if wire.route == ROUTE],
            min(_FRONT_BODY, http.body),
            contract.HEADER_EXPECTED_TIMEOUT,
            self._success,
            (self._heads.of(late.status, (_JSON,)), orjson.dumps({"error": late.message})),
            most_connections(http) // 2,
            limits.in_flight,
            limits.timeout_seconds,
            http.idle_seconds,
            http.write_seconds,
        )

    # Predictions

    def _predict(self, wire: Wire, exchange: Exchange) -> None:
        self._lifecycle.arrived()
        try:
            length, patience = _told(exchange)
            self._dispatcher.offer(_Prediction(self, wire, exchange, length), patience, exchange.spent)
        except SaturatedError as error:
            self._refusals.turn_away(functools.partial(self._turned_away, wire, exchange, error))
        except RequestError as error:
            self._lifecycle.left()
            self._fail(exchange, wire.route, error)

    def _turned_away(self, wire: Wire, exchange: Exchange, error: SaturatedError) -> None:
        self._lifecycle.left()
        self._fail(exchange, wire.route, error)

    def read(self, wire: Wire, body: bytes, json_length: int | None) -> Call:
        """Read a prediction's request, on a predict thread."""
        return wire.decode(body, json_length, self._signature)

    def predicted(self, wire: Wire, exchange: Exchange, encoded: Encoded) -> None:
        """Answer a prediction."""
        self._lifecycle.left()
        self._succeed(exchange, wire.route, encoded)

    def _succeed(self, exchange: Exchange, route: str, encoded: Encoded) -> None:
        if encoded.json_length is None:
            head = self._success
        else:
            head = self._heads.write(200, (_BINARY, (_JSON_LENGTH, str(encoded.json_length))))
        exchange.answer(head, encoded.body)
        self._metrics.answered(route, 200, time.monotonic() - exchange.began)

    def failed(self, wire: Wire, exchange: Exchange, error: BaseException) -> None:
        """Answer a prediction that went wrong."""
        self._lifecycle.left()
        self._fail(exchange, wire.route, self._tally.went_wrong(error))

    def given_up(self) -> None:
        """Note that a prediction was left, as its caller hung up."""
        self._lifecycle.left()

    # Explanations

    async def _explain(self, explain: Explain, exchange: Exchange) -> None:
        self._lifecycle.arrived()
        try:
            length, patience = _told(exchange)
            self._succeed(exchange, _EXPLAIN, await explain(exchange.body, length, patience))
        except RequestError as error:
            self._fail(exchange, _EXPLAIN, error)
        finally:
            self._lifecycle.left()

    # Everything else

    def _other(self, exchange: Exchange) -> None:
        path = exchange.path
        if "%" in path:
            path = unquote(path)
        path = path.rstrip("/") or "/"
        wire = self._wires.get(path)
        if wire is not None and exchange.method == b"POST":
            self._predict(wire, exchange)
            return
        explain = self._explains.get(path)
        if explain is not None and exchange.method == b"POST":
            self._begin(self._explain(explain, exchange))
        elif path in self._pages.waiting:
            self._begin(self._wait(path, exchange))
        else:
            try:
                page = self._page(path, exchange)
            except RequestError as error:
                self._fail(exchange, "other", error)
            else:
                self._show(page, exchange)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wait(self, path: str, exchange: Exchange) -> None:
        """Answer with a page that is made of what other workers say."""
        try:
            page = await asyncio.to_thread(self._page, path, exchange)
        except RequestError as error:
            self._fail(exchange, "other", error)
        else:
            self._show(page, exchange)

    def _show(self, page: object, exchange: Exchange) -> None:
        exchange.answer(self._success, orjson.dumps(page))
        self._metrics.answered("other", 200, time.monotonic() - exchange.began)

    def _page(self, path: str, exchange: Exchange) -> object:
        page = self._pages.find(path)
        if page is not None:
            if exchange.method not in {b"GET", b"HEAD"}:
                raise _MethodError(path, "GET", "GET, HEAD")
            return page()
        if path in self._wires or path in self._explains or path == _INDEX:
            if exchange.method != b"POST":
                raise _MethodError(path, "POST", "POST")
            return self._pages.index(exchange.body)
        raise self._pages.missing(path)

    def _fail(self, exchange: Exchange, route: str, error: RequestError) -> None:
        self._tally.refused(error)
        more: tuple[tuple[str, str], ...] = (_JSON,)
        if isinstance(error, ModelRefusalError):
            more = (_JSON, (contract.HEADER_REFUSED, "1"))
        elif isinstance(error, SaturatedError):
            more = (_JSON, (contract.HEADER_SATURATED, "1"), _RETRY)
        elif isinstance(error, NotServingError):
            more = (_JSON, _RETRY)
        elif isinstance(error, _MethodError):
            more = (_JSON, ("allow", error.allowed))
        exchange.answer(self._heads.of(error.status, more), orjson.dumps({"error": error.message}))
        self._metrics.answered(route, error.status, time.monotonic() - exchange.began)


class _MethodError(RequestError):
    """A path that is asked with another method."""

    def __init__(self, path: str, method: str, allowed: str) -> None:
        super().__init__(405, f"{path[:200]} is asked with {method}")
        self.allowed = allowed


class _Prediction(Task):
    """One prediction over HTTP."""

    __slots__ = ("_app", "_encoded", "_exchange", "_json_length", "_wire")

    def __init__(self, app: App, wire: Wire, exchange: Exchange, json_length: int | None) -> None:
        super().__init__(len(exchange.body))
        self._app, self._wire, self._exchange, self._json_length = app, wire, exchange, json_length
        self._encoded: Encoded | None = None

    def wanted(self) -> bool:
        """Whether the caller still waits."""
        return not self.over and self._exchange.wanted

    def read(self) -> Call:
        """Read and check the body."""
        return self._app.read(self._wire, self._exchange.body, self._json_length)

    def write(self, call: Call, computed: Computed) -> None:
        """Make the answer's body."""
        self._encoded = self._wire.encode(call, computed.outputs)

    def finish(self) -> None:
        """Answer, unless nobody waited and so nothing was computed."""
        if self.error is not None:
            self._app.failed(self._wire, self._exchange, self.error)
        elif self._encoded is not None:
            self._app.predicted(self._wire, self._exchange, self._encoded)
        else:
            self._app.given_up()


def _told(exchange: Exchange) -> tuple[int | None, float]:
    """The length of the body's JSON (None: all of it), and the seconds that the caller waits; raises `RequestError`."""
    headers = exchange.headers
    if headers.get(b"content-type") not in _USUAL or b"content-encoding" in headers:
        _require_media_type(exchange)
    length = None
    if _JSON_LENGTH_HEADER in headers:
        length = v2.json_length(exchange.header(_JSON_LENGTH_HEADER))
    return length, seconds_told(headers[_EXPECTED_TIMEOUT]) if _EXPECTED_TIMEOUT in headers else math.inf


def _require_media_type(exchange: Exchange) -> None:
    media_type = exchange.header(b"content-type").partition(";")[0].strip().lower()
    if media_type not in _MEDIA_TYPES:
        raise RequestError(415, "requests are application/json, or application/octet-stream with binary tensors")
    if exchange.headers.get(b"content-encoding", b"identity") != b"identity":
        raise RequestError(415, "requests are not compressed")
