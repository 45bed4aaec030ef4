"""Looks at the routers of everything that is being judged, several times a second, and never at the API server."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from penstock.evidence.agents import Agents, UnreachableError
from penstock.evidence.following import Following, ReleaseName
from penstock.evidence.memory import resumed
from penstock.evidence.summary import evidence_of
from penstock.judge.criteria import Criteria
from penstock.judge.release import Release
from penstock.judge.state import UnreadableState
from penstock.world import AgentReport, Evidence, Pod

ROWS_AT_ONCE = 500
"""Rows shown to the judge (about 0.1 s) before others get their turn."""

PROMPTLY = 0.2
"""Seconds that a look waits for answers; a slower router's counts for the next look, and holds up nobody else."""

_AT_ONCE = 64

log = logging.getLogger("penstock.evidence")

Model = tuple[str, str]
"""Namespace and name of a ModelDeployment."""


@dataclass(slots=True)
class Pulled:
    """Counts of what the puller did so far."""

    pages: int = 0
    rows: int = 0
    gaps: int = 0
    unanswered: int = 0


class Puller:
    """Follows releases: one at most of each model."""

    def __init__(self, agents: Agents, now: Callable[[], float]) -> None:
        self._agents = agents
        self._now = now
        self._limit = asyncio.Semaphore(_AT_ONCE)
        self.followed: dict[Model, Following] = {}
        self._routers: dict[str, tuple[Pod, ...]] = {}
        self._under_way: dict[tuple[Model, str], asyncio.Task[None]] = {}
        self.pulled = Pulled()

    def routers(self, namespace: str, pods: Iterable[Pod]) -> None:
        """The router pods of a namespace, as last read."""
        self._routers[namespace] = tuple(pod for pod in pods if pod.address)

    def follow(
        self, model: Model, name: ReleaseName, criteria: Criteria, cursors: Mapping[str, str], memory: str
    ) -> None:
        """Follow a release from where it was left; nothing changes when it is followed already."""
        known = self.followed.get(model)
        if known is not None and known.name == name and known.criteria == criteria:
            return
        try:
            following = resumed(name, criteria, cursors, memory)
        except UnreadableState as error:
            log.warning("The judge reads the ledgers of %s/%s from the beginning: %s", *model, error)
            following = Following(name, criteria, Release(criteria))
        self.followed[model] = following

    def leave(self, model: Model) -> None:
        """Nothing of this model is judged any more."""
        self.followed.pop(model, None)

    def evidence(self, model: Model) -> Evidence | None:
        """What is known of the followed release."""
        following = self.followed.get(model)
        return None if following is None else evidence_of(following, self._now())

    async def reports(self, namespace: str) -> tuple[AgentReport, ...]:
        """What the agents of a namespace's routers say of themselves now."""
        return await self._agents.reports(self._routers.get(namespace, ()))

    async def look(self) -> list[Model]:
        """Pull once from every router of every followed release; the models whose evidence may have changed."""
        looked = list(self.followed.items())
        for model, following in looked:
            self._start_pulls(model, following)
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=PROMPTLY)
        for whose in [whose for whose, pull in self._under_way.items() if pull.done()]:
            self._under_way.pop(whose).result()
        for _, following in looked:
            while following.advance(self._now(), ROWS_AT_ONCE):
                await asyncio.sleep(0)
        return [model for model, _ in looked]

    def _start_pulls(self, model: Model, following: Following) -> None:
        pods = self._routers.get(model[0], ())
        following.attend((pod.name for pod in pods), self._now())
        for pod in pods:
            if (model, pod.name) not in self._under_way:
                self._under_way[model, pod.name] = asyncio.create_task(self._pull(following, pod))

    async def close(self) -> None:
        """Give up what is under way."""
        pulls = list(self._under_way.values())
        for pull in pulls:
            pull.cancel()
        await asyncio.gather(*pulls, return_exceptions=True)

    async def _pull(self, following: Following, pod: Pod) -> None:
        since = following.since(pod.name, self._now())
        async with self._limit:
            try:
                page = await self._agents.ledger(pod.address, since, following.name.model)
            except UnreachableError as error:
                self.pulled.unanswered += 1
                log.debug("%s", error)
                return
        self.pulled.pages += 1
        self.pulled.rows += len(page.rows)
        if page.gap:
            self.pulled.gaps += 1
            log.warning("Rows of %s in the ledger of %s are lost for good", following.name.model, pod.name)
        following.take(pod.name, page, self._now())
