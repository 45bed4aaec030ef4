"""One pass over one object: read, ask the core, carry out its effects one by one, and say how it went."""

import asyncio
import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from penstock.api.errors import BadManifestError
from penstock.api.names import DEFAULT_ROUTER
from penstock.cluster.carrying import carry_out, summary
from penstock.cluster.client import Api
from penstock.cluster.errors import Conflict, Refused, Retry, Wait
from penstock.cluster.reader import Reader, router_pods_to_ask
from penstock.cluster.reading import Beside, DeploymentReading, RouterReading
from penstock.evidence.following import ReleaseName
from penstock.evidence.puller import Puller
from penstock.reconcile.book import Book
from penstock.reconcile.criteria import criteria_of
from penstock.reconcile.deployment import reconcile
from penstock.reconcile.effects import Effect, Queue, Requeue
from penstock.reconcile.router import reconcile_router
from penstock.reconcile.table import release_id
from penstock.reconcile.terms import rollout_under
from penstock.reconcile.unusable import reconcile_unusable
from penstock.runtime import clock
from penstock.runtime.keys import Key
from penstock.runtime.queue import WorkQueue
from penstock.world import AgentReport, Obstacle, RouteView, Unusable

LONGEST = 60.0
"""Seconds after which a pass is given up and tried again."""

log = logging.getLogger("penstock.operator")


class Outcome(StrEnum):
    """How a pass ended, for metrics and the log."""

    DONE = "Done"
    GONE = "Gone"
    CONFLICT = "Conflict"
    WAIT = "Wait"
    RETRY = "Retry"
    REFUSED = "Refused"
    BAD_INPUT = "BadInput"


@dataclass(slots=True)
class Known:
    """What the last pass over a deployment read, and how the routers stood then."""

    reading: DeploymentReading
    reports: tuple[AgentReport, ...]
    route: RouteView


class Passes:
    """Runs passes; remembers what was read, for the ticks between them."""

    def __init__(self, api: Api, reader: Reader, puller: Puller, queue: WorkQueue, reporter: str) -> None:
        self._api = api
        self._reader = reader
        self._puller = puller
        self._queue = queue
        self._reporter = reporter
        self.deployments: dict[Key, Known] = {}
        self.routers: dict[Key, RouterReading] = {}

    async def run(self, key: Key) -> Outcome:
        """One pass, with what follows from its end already queued."""
        try:
            async with asyncio.timeout(LONGEST):
                outcome = await self._run(key)
        except TimeoutError:
            log.warning("%s: the pass took longer than %g s; it is tried again", key, LONGEST)
            outcome = Outcome.RETRY
            self._put_back(key)
        if outcome in (Outcome.DONE, Outcome.GONE):
            self._queue.backlog.succeeded(key)
        return outcome

    async def _run(self, key: Key) -> Outcome:
        try:
            return await self._pass(key, None)
        except Conflict as error:
            log.info("%s: %s; looking again", key, error)
            self._look_again(key)
            return Outcome.CONFLICT
        except Wait as error:
            log.warning("%s: %s; waiting %g s as asked", key, error, error.seconds)
            self._queue.add_after(key, max(0.1, error.seconds))
            return Outcome.WAIT
        except Retry as error:
            log.warning("%s: %s; trying again", key, error)
            self._put_back(key)
            return Outcome.RETRY
        except BadManifestError as error:
            log.error("%s: something stored cannot be read: %s", key, error)
            self._put_back(key)
            return Outcome.BAD_INPUT
        except Refused as error:
            return await self._tell(key, error)

    async def _tell(self, key: Key, refusal: Refused) -> Outcome:
        """A pass that only tells what is in the way."""
        log.error("%s: the API server refuses: %s", key, refusal)
        try:
            await self._pass(key, Obstacle(refusal.reason, str(refusal)))
        except (Conflict, Wait, Retry, Refused, BadManifestError) as error:
            log.warning("%s: %s; trying again", key, error)
            self._put_back(key)
        return Outcome.REFUSED

    def _look_again(self, key: Key) -> None:
        if self._queue.backlog.failures.get(key):
            self._put_back(key)
        else:
            self._queue.backlog.failures[key] = 1
            self._queue.add(key)

    def _put_back(self, key: Key) -> None:
        self._queue.add_after(key, self._queue.backlog.delay(key, random.random()))  # noqa: S311

    async def _pass(self, key: Key, obstacle: Obstacle | None) -> Outcome:
        match key.queue:
            case Queue.DEPLOYMENT:
                return await self._deployment(key, obstacle)
            case Queue.ROUTER:
                return await self._router(key, obstacle)

    async def _deployment(self, key: Key, obstacle: Obstacle | None) -> Outcome:
        reading = await self._reader.deployment(key.namespace, key.name)
        if reading is None:
            self._forget(key)
            return Outcome.GONE
        if isinstance(reading, Unusable):
            self._forget(key)
            await self._carry_out(key, reconcile_unusable(reading))
            return Outcome.DONE
        self._puller.routers(key.namespace, router_pods_to_ask(reading.router_pods))
        self._follow(key, reading)
        reports = await self._puller.reports(key.namespace)
        evidence = self._puller.evidence((key.namespace, key.name))
        world = reading.world(Beside(clock.now(), reports, evidence, obstacle))
        self.deployments[key] = Known(reading, reports, world.route)
        await self._carry_out(key, reconcile(world))
        return Outcome.DONE

    def _follow(self, key: Key, reading: DeploymentReading) -> None:
        """Judge the candidate there is, and nothing else."""
        model = (key.namespace, key.name)
        candidate = Book.of(reading.base.revisions).candidate
        if candidate is None or candidate.record.release is None:
            self._puller.leave(model)
            return
        release = candidate.record.release
        name = ReleaseName(key.name, candidate.metadata.name, release.started_at, release_id(candidate))
        criteria = criteria_of(rollout_under(release.terms, reading.base.deployment.spec.rollout))
        self._puller.follow(model, name, criteria, release.cursors, release.judge)

    def _forget(self, key: Key) -> None:
        self._puller.leave((key.namespace, key.name))
        self.deployments.pop(key, None)
        self._queue.backlog.forget(key)

    async def _router(self, key: Key, obstacle: Obstacle | None) -> Outcome:
        reading = await self._reader.router(key.namespace, key.name)
        if reading is None:
            self.routers.pop(key, None)
            self._queue.backlog.forget(key)
            return Outcome.GONE
        self.routers[key] = reading
        if key.name == DEFAULT_ROUTER:
            self._puller.routers(key.namespace, router_pods_to_ask(reading.base.pods))
        reports = await self._puller.reports(key.namespace)
        await self._carry_out(key, reconcile_router(reading.world(Beside(clock.now(), reports, None, obstacle))))
        return Outcome.DONE

    async def _carry_out(self, key: Key, effects: Iterable[Effect]) -> None:
        """A call of another object is made when its turn comes, not at the end: traffic must not wait for the rest."""
        for effect in effects:
            if isinstance(effect, Requeue):
                called = Key(effect.queue, effect.namespace, effect.name)
                self._queue.add_after(called, effect.after.total_seconds())
                continue
            await carry_out(self._api, effect, self._reporter, clock.now())
            log.info("%s: %s", key, summary(effect))


def would_act(effects: Iterable[Effect]) -> bool:
    """Whether a pass with these effects would write anything."""
    return any(not isinstance(effect, Requeue) for effect in effects)
