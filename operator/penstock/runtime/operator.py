"""The running operator: its parts put together, started, watched over and stopped."""

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from aiohttp import web

from penstock.cluster.client import Api, configuration
from penstock.cluster.errors import ClusterError
from penstock.cluster.kinds import MODEL_DEPLOYMENT, ROUTER, Kind
from penstock.cluster.reader import Reader
from penstock.evidence.agents import Agents
from penstock.evidence.puller import Puller
from penstock.runtime import clock
from penstock.runtime.config import Config
from penstock.runtime.hearing import Hearing
from penstock.runtime.keys import Key
from penstock.runtime.live import live_evidence, samples
from penstock.runtime.metrics import Metrics
from penstock.runtime.passes import LONGEST, Outcome, Passes
from penstock.runtime.queue import WorkQueue
from penstock.runtime.server import application
from penstock.runtime.ticks import Ticks
from penstock.runtime.watching import WATCHES, is_watched, keys_for
from penstock.world import Manifest

_SPREAD = 0.2
"""Part of the time between two visits over which the visits are spread."""

_LAST_PASS = 5.0
"""Seconds that a pass under way is given when the operator stops."""

log = logging.getLogger("penstock.operator")

_BY_KIND = {watch.kind.kind: watch for watch in WATCHES}


class Operator:
    """Made by `start`; tell it of every event with `notice`; end it with `stop`."""

    def __init__(self, config: Config, api_settings: Any, failed: Callable[[], None]) -> None:
        self._config = config
        self._failed = failed
        self._hearing = Hearing()
        self._queue = WorkQueue(clock.monotonic)
        self._metrics = Metrics(lambda: samples(self._puller, self._queue, self._hearing, clock.monotonic()))
        self._api = Api(api_settings, self._metrics)
        self._agents = Agents(config.agent_port)
        self._puller = Puller(self._agents, time.time)
        self._reader = Reader(self._api, config.defaults, self._seen, clock.now)
        reporter = f"penstock-operator-{os.environ.get('HOSTNAME') or socket.gethostname()}"
        self._passes = Passes(self._api, self._reader, self._puller, self._queue, reporter)
        self._ticks = Ticks(self._passes, self._puller, self._queue, self._metrics, config.look_every)
        self._tasks: list[asyncio.Task[None]] = []
        self._web: web.AppRunner | None = None
        self._synced = False

    @classmethod
    async def start(cls, config: Config, failed: Callable[[], None]) -> "Operator":
        """Start working. `failed` is called when a part ends that should never end.

        Raises OSError when the port for metrics cannot be had, ConfigException (kubernetes.aio) without credentials.
        """
        operator = cls(config, await configuration(), failed)
        await operator._serve()
        for index in range(config.workers):
            operator._run(f"worker {index}", operator._work())
        for name, loop in (
            ("judge", operator._ticks.judge()),
            ("confirmation", operator._ticks.confirm()),
            ("routers", operator._ticks.routers()),
            ("resync", operator._resync()),
        ):
            operator._run(name, loop)
        return operator

    async def stop(self) -> None:
        """End everything; a pass under way may come to its end, but not for long: a crash would not let it either."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._puller.close()
        await self._agents.close()
        await self._api.close()
        if self._web is not None:
            await self._web.cleanup()

    def notice(self, kind: Kind, document: Manifest) -> None:
        """An object appeared, changed or went."""
        self._hearing.tell(kind.kind, str(document["metadata"].get("resourceVersion", "")))
        for key in keys_for(kind, document):
            self._queue.add(key)

    def troubles(self) -> list[str]:
        """What makes a restart worth while; empty when all is well."""
        now, config = clock.monotonic(), self._config
        found = [
            f"the watch of {kind} has told nothing for {seconds:.0f} s though there was something to tell"
            for kind, seconds in self._hearing.deaf(now).items()
            if seconds > config.deaf_after
        ]
        oldest, longest = self._queue.backlog.oldest(now), self._queue.backlog.longest_work(now)
        if oldest > config.stuck_after:
            found.append(f"an object has waited {oldest:.0f} s for a worker")
        if longest > config.stuck_after + LONGEST:
            found.append(f"a pass has taken {longest:.0f} s")
        if now - self._ticks.last_look > config.stuck_after:
            found.append(f"nothing was judged for {now - self._ticks.last_look:.0f} s")
        return found

    def _unready(self) -> list[str]:
        return self.troubles() if self._synced else ["the objects have not been listed yet"]

    def _evidence(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        following = self._puller.followed.get((namespace, name))
        return None if following is None else live_evidence(following, time.time())

    async def _serve(self) -> None:
        app = application(self.troubles, self._unready, self._metrics.exposition, self._evidence)
        self._web = web.AppRunner(app, access_log=None)
        await self._web.setup()
        await web.TCPSite(self._web, self._config.bind, self._config.port).start()

    def _seen(self, kind: Kind, document: Manifest) -> None:
        watch = _BY_KIND.get(kind.kind)
        if watch is not None and is_watched(watch, document):
            version = str(document["metadata"].get("resourceVersion", ""))
            self._hearing.read(kind.kind, version, clock.monotonic())

    def _run(self, name: str, loop: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(loop, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        log.critical("%s has ended, so the operator stops", task.get_name(), exc_info=task.exception())
        self._failed()

    async def _work(self) -> None:
        """Take one object after another. A fault in one pass is that object's, not everybody's."""
        while True:
            key = await self._queue.take()
            started = clock.monotonic()
            task = asyncio.create_task(self._passes.run(key), name=str(key))
            try:
                await asyncio.wait({task})
            finally:
                if not task.done():
                    await asyncio.wait({task}, timeout=_LAST_PASS)
                    task.cancel()
            self._metrics.passed(key, self._outcome(key, task), clock.monotonic() - started)
            self._queue.done(key)

    def _outcome(self, key: Key, task: "asyncio.Task[Outcome]") -> str:
        if task.cancelled():
            return "Cancelled"
        fault = task.exception()
        if fault is None:
            return task.result().value
        log.error("%s: the pass failed; it is tried again", key, exc_info=fault)
        self._queue.add_after(key, self._queue.backlog.delay(key, random.random()))  # noqa: S311
        return "Fault"

    async def _resync(self) -> None:
        """Visit every object now and then without any cause, so that a missed event costs no more than that."""
        while True:
            try:
                deployments, routers = await self._reader.everything(self._config.namespaces)
            except ClusterError as error:
                log.warning("The objects cannot be listed: %s", error)
                await asyncio.sleep(5.0)
                continue
            spread = _SPREAD * self._config.resync_every if self._synced else 0.0
            for kind, documents in ((MODEL_DEPLOYMENT, deployments), (ROUTER, routers)):
                for document in documents:
                    for key in keys_for(kind, document):
                        self._queue.add_after(key, spread * random.random())  # noqa: S311
            for key in [*self._passes.deployments, *self._passes.routers]:
                self._queue.add_after(key, spread * random.random())  # noqa: S311
            self._synced = True
            await asyncio.sleep(self._config.resync_every * (1.0 - _SPREAD))
