"""A worker, which is the whole server where there is one: verify and load the model, prove it, serve, drain, exit."""

import asyncio
import contextlib
import gc
import math
import os
import signal
import time
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http.server import ThreadingHTTPServer
from typing import TypeVar

import uvloop

from penstock_serving import contract, settings
from penstock_serving.explain.starting import Starter
from penstock_serving.metrics_port import serve_metrics
from penstock_serving.model.errors import BadModelError, LastWords, ModelError
from penstock_serving.model.frame import Matrix
from penstock_serving.model.load import Model, as_it_is, load_model
from penstock_serving.server.app import App
from penstock_serving.server.config import Settings, read_settings
from penstock_serving.server.dispatch import Dispatcher
from penstock_serving.server.explaining import Explaining
from penstock_serving.server.feed import Feed
from penstock_serving.server.grpc_port import GrpcPort, import_grpc
from penstock_serving.server.http.limits import HttpLimits
from penstock_serving.server.http.listener import Listener, Opened, make_room
from penstock_serving.server.lane.errors import NoFrontError
from penstock_serving.server.lane.front import Front
from penstock_serving.server.lane.opening import open_front
from penstock_serving.server.lifecycle import Lifecycle
from penstock_serving.server.metrics import BUCKETS, ServerMetrics
from penstock_serving.server.pages import Pages
from penstock_serving.server.selftest import self_test
from penstock_serving.server.shared import Shared, Telling
from penstock_serving.server.tally import Tally
from penstock_serving.server.turns import Turns
from penstock_serving.server.workers import Workers, import_backend, is_graph

T = TypeVar("T")

_CLOSE_SECONDS = 1.0
_LOOK_SECONDS = 1.0
# Predictions take microseconds: between two looks many may have come and gone.
_JUST_NOW_SECONDS = 0.1


class Worker:
    """One of the server's processes, or its only one: `shared` and `slot` are how it knows of the others, `starter` how
    what explains is started."""

    def __init__(self, config: Settings, imported: float, shared: Shared, slot: int, starter: Starter) -> None:
        self._config, self._imported, self._starter = config, imported, starter
        self._shared, self._slot = shared, slot

    async def serve(self, before_unpickling: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT, then drain. Raises `ModelError` when the model cannot be served."""
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        config, identity = self._config, self._config.identity
        http = HttpLimits(body=config.max_body)
        make_room(http)
        feed = Feed(config.monitor_socket)
        metrics = ServerMetrics(identity.labels, feed)
        telling = Telling(self._shared, self._slot, metrics.own)
        metrics.totals = telling.totals
        telling.start()
        metrics.started("import", self._imported)
        metrics_server = _listen(config, metrics)
        began = time.perf_counter()
        starter = self._starter

        def confine() -> None:
            # What confines itself can start nothing afterwards.
            with contextlib.suppress(OSError):
                starter.prepare()
            before_unpickling()

        model = load_model(config.directory, identity.digest, config.trust, confine)
        metrics.started("load", time.perf_counter() - began)
        began = time.perf_counter()
        await self_test(model, config.limits)
        metrics.started("self_test", time.perf_counter() - began)

        def served(observed: Matrix) -> None:
            metrics.rows += len(observed)
            feed.rows(observed)

        began = time.perf_counter()
        turns = Turns(config.limits.threads)
        front, way = _front(model, config, turns)
        model = replace(model, compiled=None)
        metrics.started("front", time.perf_counter() - began)
        dispatcher = Dispatcher(model, config.limits, served, front, turns)
        metrics.in_flight = lambda: dispatcher.in_flight
        metrics.work = dispatcher.work
        lifecycle = Lifecycle()
        tally = Tally(metrics, feed)
        pages = Pages(identity, model, dispatcher, lifecycle, lambda: telling.totals().work)
        line = starter.line(self._slot)

        def predicting() -> bool:
            idle = front.idle_seconds if front is not None else math.inf
            idle = min(idle, time.time() - dispatcher.work.last)
            return idle < _JUST_NOW_SECONDS or dispatcher.in_flight + lifecycle.elsewhere() > 0

        explaining = Explaining(identity, model, config.directory, line, predicting)
        app = App(identity, model, dispatcher, pages, explaining, metrics, tally, lifecycle)
        listener = Listener(app, http)
        opened = None
        if front is not None:
            opened = Opened(front, app.rules(config.limits, http), BUCKETS, config.monitor_socket)
            metrics.elsewhere, lifecycle.elsewhere = front.counts, lambda: front.asked
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        feed.start()
        rpc = None
        if config.grpc_port:
            made = GrpcPort(identity, model, dispatcher, pages, metrics, tally, lifecycle)
            address = f"{config.address}:{config.grpc_port}"
            rpc = await _bound(contract.ENV_GRPC_PORT, config.grpc_port, made.listen(address, config))
        listening = listener.listen(config.address, config.port, config.workers, opened)
        await _bound(contract.ENV_SERVING_PORT, config.port, listening)
        # What is here now stays: no collection of garbage shall stop the answers to walk through it.
        gc.freeze()
        self._shared.now_ready()
        why = f" ({ascii(model.fallback_reason)[1:-1]})" if model.fallback_reason else ""
        print(
            f"model {identity.name} {identity.digest} is proven; serving by {model.backend}{why} "
            f"{way} on {config.address}:{config.port}",
            flush=True,
        )
        await self._until(stop, pages)
        listener.drain()
        await lifecycle.drain(config.drain_seconds)
        await listener.close(_CLOSE_SECONDS)
        if rpc is not None:
            await rpc.stop(_CLOSE_SECONDS)
        await explaining.close()
        dispatcher.close()
        feed.close()
        telling.stop()
        metrics_server.shutdown()

    async def _until(self, stop: asyncio.Event, pages: Pages) -> None:
        """Wait to be stopped. A worker among others that is stuck ends itself, as a probe may not reach it."""
        if self._config.workers == 1:
            await stop.wait()
            return
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)
            if pages.why_not_live() and not stop.is_set():
                os.write(2, f"server: worker {self._slot}: {pages.why_not_live()}\n".encode())
                os._exit(contract.EXIT_RETRY)


def _front(model: Model, config: Settings, turns: Turns) -> tuple[Front | None, str]:
    """What answers ordinary requests natively, where it can be had, and how they are answered, in words."""
    try:
        front = open_front(model, config.identity, config.limits.threads, turns)
    except NoFrontError as error:
        return None, f"in Python ({ascii(str(error))[1:-1]})"
    return front, "natively but for the model" if model.compiled is None else "natively"


async def _bound(variable: str, port: int, listening: Awaitable[T]) -> T:
    try:
        return await listening
    except OSError as error:
        raise _taken(variable, port, error) from error


def _listen(config: Settings, metrics: ServerMetrics) -> ThreadingHTTPServer:
    try:
        return serve_metrics(config.address, config.metrics_port, metrics.render, config.token, config.workers)
    except OSError as error:
        raise _taken(contract.ENV_SERVING_METRICS_PORT, config.metrics_port, error) from error


def _taken(variable: str, port: int, error: OSError) -> BadModelError:
    """The refusal of a port. In a pod the ports are the operator's, and containers share them: the other one has to go."""
    return BadModelError(
        contract.REASON_MISCONFIGURED,
        f"port {port} cannot be served: {error.strerror or error}; move whatever else listens there, in a pod a sidecar, "
        f"or outside of Kubernetes name another port in {variable}",
    )


def main(imported: float, before_unpickling: Callable[[], None] = as_it_is) -> int:
    """Run the server; `imported` is how long (seconds) the process took to import it. Returns the exit code.

    `before_unpickling` is called where a pickle is about to be opened in this process: it may confine the process.
    """
    last_words = LastWords(settings.termination_log())
    try:
        config = read_settings()
    except ModelError as error:
        return last_words.say(error)
    shared = Shared(config.workers)
    starter = Starter(config.workers)

    def work(slot: int) -> int:
        try:
            with contextlib.closing(starter):
                uvloop.run(Worker(config, imported, shared, slot, starter).serve(before_unpickling))
        except ModelError as error:
            return last_words.say(error)
        return 0

    if config.workers == 1:
        return work(0)
    import_backend(config.directory)
    if config.grpc_port:
        import_grpc()
    if not is_graph(config.directory):
        # One for all workers; where a model is not unpickled, those that explain start their own.
        with contextlib.suppress(OSError):
            starter.prepare()
    return Workers(shared, work).run()
