"""The model server's process: read the environment, verify and load the model, prove it, serve, drain, exit."""

import asyncio
import os
import signal
import time
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar

import uvloop

from penstock_serving import contract, settings
from penstock_serving.metrics_port import read_token, serve_metrics
from penstock_serving.model import trust
from penstock_serving.model.errors import BadModelError, LastWords, ModelError
from penstock_serving.model.files import model_directory
from penstock_serving.model.frame import Matrix
from penstock_serving.model.load import as_it_is, load_model
from penstock_serving.model.trust import Trust
from penstock_serving.server.app import App
from penstock_serving.server.dispatch import Dispatcher, Limits
from penstock_serving.server.explaining import Explaining
from penstock_serving.server.feed import Feed
from penstock_serving.server.grpc_port import GrpcPort
from penstock_serving.server.http.limits import HttpLimits
from penstock_serving.server.http.listener import Listener, raise_file_limit
from penstock_serving.server.identity import Identity
from penstock_serving.server.lifecycle import Lifecycle
from penstock_serving.server.metrics import ServerMetrics
from penstock_serving.server.pages import Pages
from penstock_serving.server.selftest import self_test
from penstock_serving.server.tally import Tally
from penstock_serving.server.threads import predict_threads

T = TypeVar("T")

_MANY = 1 << 30
_CLOSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the environment decides."""

    identity: Identity
    models: Path
    address: str
    port: int
    grpc_port: int
    metrics_port: int
    max_body: int
    limits: Limits
    drain_seconds: float
    monitor_socket: Path
    token: bytes
    trust: Trust


def read_settings() -> Settings:
    """Read the environment; raises `BadModelError` (Misconfigured, DigestNotPinned) naming the variable."""
    return Settings(
        identity=Identity(
            name=settings.text(contract.ENV_MODEL_NAME),
            revision=settings.text(contract.ENV_REVISION, "none"),
            digest=settings.text(contract.ENV_MODEL_DIGEST),
        ),
        models=settings.path(contract.ENV_MODEL_ROOT, contract.MODEL_ROOT),
        address=settings.text(contract.ENV_BIND_ADDRESS, "0.0.0.0"),  # noqa: S104  (a pod is reached from outside)
        port=settings.integer(contract.ENV_SERVING_PORT, contract.SERVING_PORT, 1, 65535),
        grpc_port=settings.integer(contract.ENV_GRPC_PORT, 0, 0, 65535),
        metrics_port=settings.integer(contract.ENV_SERVING_METRICS_PORT, contract.SERVING_METRICS_PORT, 1, 65535),
        max_body=settings.integer(contract.ENV_MAX_BODY_BYTES, 1 << 20, 1, _MANY),
        limits=Limits(
            threads=settings.integer(contract.ENV_PREDICT_THREADS, predict_threads(), 1, 256),
            in_flight=settings.integer(contract.ENV_MAX_IN_FLIGHT, 1024, 1, 100_000),
            timeout_seconds=settings.seconds(contract.ENV_PREDICT_TIMEOUT_SECONDS, 10.0, 3600.0),
        ),
        drain_seconds=settings.seconds(contract.ENV_DRAIN_SECONDS, 20.0, 3600.0),
        monitor_socket=settings.path(contract.ENV_MONITOR_SOCKET, contract.MONITOR_SOCKET),
        token=read_token(os.environ.get(contract.ENV_METRICS_TOKEN_FILE, "")),
        trust=trust.from_environment(),
    )


async def serve(config: Settings, imported: float, before_unpickling: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises `ModelError` when the model cannot be served."""
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    raise_file_limit()
    feed = Feed(config.monitor_socket)
    identity = config.identity
    metrics = ServerMetrics(identity.labels, feed)
    metrics.started("import", imported)
    metrics_server = _listen(config, metrics)
    directory = model_directory(config.models, identity.digest)
    began = time.perf_counter()
    model = load_model(directory, identity.digest, config.trust, before_unpickling)
    metrics.started("load", time.perf_counter() - began)
    began = time.perf_counter()
    await self_test(model, config.limits)
    metrics.started("self_test", time.perf_counter() - began)

    def served(observed: Matrix) -> None:
        metrics.rows += len(observed)
        feed.rows(observed)

    dispatcher = Dispatcher(model, config.limits, served)
    metrics.in_flight = lambda: dispatcher.in_flight
    lifecycle = Lifecycle()
    tally = Tally(metrics, feed)
    pages = Pages(identity, model, dispatcher, lifecycle)
    explaining = Explaining(identity, model, directory)
    app = App(identity, model, dispatcher, pages, explaining, metrics, tally, lifecycle)
    listener = Listener(app, HttpLimits(body=config.max_body))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    feed.start()
    rpc = None
    if config.grpc_port:
        made = GrpcPort(identity, model, dispatcher, pages, metrics, tally, lifecycle)
        address = f"{config.address}:{config.grpc_port}"
        rpc = await _bound(config.grpc_port, made.listen(address, config.max_body, config.limits.in_flight))
    await _bound(config.port, listener.listen(config.address, config.port))
    why = f" ({model.fallback_reason})" if model.fallback_reason else ""
    print(
        f"model {identity.name} {identity.digest} is proven; serving by {model.backend}{why} "
        f"on {config.address}:{config.port}",
        flush=True,
    )
    await stop.wait()
    listener.draining = True
    await lifecycle.drain(config.drain_seconds)
    await listener.close(_CLOSE_SECONDS)
    if rpc is not None:
        await rpc.stop(_CLOSE_SECONDS)
    await explaining.close()
    dispatcher.close()
    feed.close()
    metrics_server.shutdown()


async def _bound(port: int, listening: Awaitable[T]) -> T:
    try:
        return await listening
    except OSError as error:
        raise BadModelError(
            contract.REASON_MISCONFIGURED, f"port {port} cannot be served: {error.strerror or error}"
        ) from error


def _listen(config: Settings, metrics: ServerMetrics) -> ThreadingHTTPServer:
    try:
        return serve_metrics(config.address, config.metrics_port, metrics.render, config.token)
    except OSError as error:
        raise BadModelError(
            contract.REASON_MISCONFIGURED, f"port {config.metrics_port} cannot be served: {error.strerror}"
        ) from error


def main(imported: float, before_unpickling: Callable[[], None] = as_it_is) -> int:
    """Run the server; `imported` is how long (seconds) the process took to import it. Returns the exit code.

    `before_unpickling` is called where a pickle is about to be opened in this process: it may confine the process.
    """
    last_words = LastWords(settings.termination_log())
    try:
        uvloop.run(serve(read_settings(), imported, before_unpickling))
    except ModelError as error:
        return last_words.say(error)
    return 0
