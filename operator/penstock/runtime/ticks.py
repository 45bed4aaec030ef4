"""Between passes: the judge's looks, and whether routers have followed. Asks routers' agents, never the API server.

A look ends in a pass only when the core, asked with what was last read and what is known now, would write something.
"""

import asyncio
import logging
from collections.abc import Iterable

from penstock.cluster.reading import Beside
from penstock.evidence.puller import Model, Puller
from penstock.judge.verdict import Decision
from penstock.reconcile.deployment import reconcile
from penstock.reconcile.effects import Queue
from penstock.reconcile.router import reconcile_router
from penstock.runtime import clock
from penstock.runtime.keys import Key
from penstock.runtime.metrics import Metrics
from penstock.runtime.passes import Known, Passes, would_act
from penstock.runtime.queue import WorkQueue
from penstock.world import AgentReport

BEHIND_ROUTERS = 0.04
"""Seconds behind the multiples of the time between looks: routers end their intervals on these, and have told by then."""
CONFIRMATION_EVERY = 0.5
ROUTERS_EVERY = 5.0
CORE_EVERY = 1.0
"""Seconds between two questions to the core about one release, unless the judge's word changes."""

log = logging.getLogger("penstock.operator")


class Ticks:
    """Three loops."""

    def __init__(self, passes: Passes, puller: Puller, queue: WorkQueue, metrics: Metrics, look_every: float) -> None:
        self._passes = passes
        self._puller = puller
        self._queue = queue
        self._metrics = metrics
        self._look_every = look_every
        self._words: dict[Model, str] = {}
        self._asked: dict[Model, float] = {}
        self._reports: dict[str, tuple[AgentReport, ...]] = {}
        self.last_look = clock.monotonic()

    async def judge(self) -> None:
        """Look at what is being judged, several times a second."""
        while True:
            for model in await self._puller.look():
                self._consider(model)
            for gone in self._words.keys() - self._puller.followed.keys():
                self._words.pop(gone, None)
                self._asked.pop(gone, None)
            self.last_look = clock.monotonic()
            past = (clock.now().timestamp() - BEHIND_ROUTERS) % self._look_every
            await asyncio.sleep(max(0.01, self._look_every - past))

    def _consider(self, model: Model) -> None:
        following = self._puller.followed.get(model)
        known = self._passes.deployments.get(_deployment(model))
        if following is None or known is None:
            return
        decision, reason = following.decision()
        word, now = f"{decision.value} {reason.value}", clock.monotonic()
        changed = following.has_begun and self._words.get(model) != word
        if changed:
            self._words[model] = word
            self._metrics.decided(decision.value, reason.value)
            log.info("Judged %s/%s: %s (%s)", *model, decision.value, reason.value)
        if decision is Decision.ROLLBACK and changed:
            self._queue.add(_deployment(model))
        elif changed or now - self._asked.get(model, 0.0) >= CORE_EVERY:
            self._asked[model] = now
            self._ask(model, known)

    def _ask(self, model: Model, known: Known) -> None:
        beside = Beside(clock.now(), self._reports.get(model[0], ()), self._puller.evidence(model))
        if would_act(reconcile(known.reading.world(beside))):
            self._queue.add(_deployment(model))

    async def confirm(self) -> None:
        """See whether routers have followed: of what is judged, and of what they had not confirmed."""
        while True:
            waiting = {key: known for key, known in self._passes.deployments.items() if _awaits(known)}
            judged = {model[0] for model in self._puller.followed}
            await self._ask_routers(judged | {key.namespace for key in waiting})
            for key, known in waiting.items():
                reports = self._reports.get(key.namespace, ())
                if reports != known.reports and known.reading.route(reports) != known.route:
                    self._queue.add(key)
            await asyncio.sleep(CONFIRMATION_EVERY)

    async def routers(self) -> None:
        """See whether the routers' agents say something new of themselves."""
        while True:
            await asyncio.sleep(ROUTERS_EVERY)
            readings = dict(self._passes.routers)
            await self._ask_routers({key.namespace for key, reading in readings.items() if reading.base.pods})
            for key, reading in readings.items():
                beside = Beside(clock.now(), self._reports.get(key.namespace, ()))
                if would_act(reconcile_router(reading.world(beside))):
                    self._queue.add(key)

    async def _ask_routers(self, namespaces: Iterable[str]) -> None:
        asked = sorted(namespaces)
        answers = await asyncio.gather(*(self._puller.reports(namespace) for namespace in asked))
        self._reports.update(zip(asked, answers, strict=True))


def _deployment(model: Model) -> Key:
    return Key(Queue.DEPLOYMENT, *model)


def _awaits(known: Known) -> bool:
    """Whether routers are there that had not confirmed the table's epoch."""
    route = known.route
    return route.epoch is not None and route.ready_pods > 0 and route.confirmed != route.epoch
