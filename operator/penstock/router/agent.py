"""The agent's three loops: follow the table, keep Envoy as the table says, keep the ledger. Envoy needs none of them to
go on serving."""

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping

from penstock.router import memory
from penstock.router.admin import Admin
from penstock.router.envoy.bootstrap import ADMIN_SOCKET, bootstrap
from penstock.router.envoy.listeners import SCOPE
from penstock.router.envoy.parts import OURS, Kind, Parts, Ports, cluster_parts, listener_parts, route_parts
from penstock.router.errors import BadInputError, EnvoyUnavailableError
from penstock.router.install import Installer
from penstock.router.journal import Journal, replace_file
from penstock.router.ledger import Ledger, Written
from penstock.router.memory import Remembered
from penstock.router.plan import EMPTY, RouterState, advance, settle
from penstock.router.routing import ModelRoute, RoutingTable
from penstock.router.settings import Settings
from penstock.router.sources import Source
from penstock.router.wire import TableReader

_HOUSEKEEPING_SECONDS = 1.0
_AFTER_SECONDS = 0.005
"""Behind the end of an interval, so that a timer that rings early does not ring in the interval before."""
_BEFORE_SECONDS = 0.001
"""An interval's rows bear a time just inside it, so that the last one of a second belongs to that second."""
_ENVOY_WAIT_SECONDS = 0.1
_OFFER_AGAIN_SECONDS = 15.0
"""After Envoy refused a model's part, so long until it is offered again (a port may have become free)."""

log = logging.getLogger("penstock.router")


class Agent:
    """One router pod's agent. `run` ends only by an error that a new start may cure."""

    def __init__(self, settings: Settings, source: Source) -> None:
        self._settings = settings
        self._source = source
        for folder in (settings.envoy_folder, settings.ledger_folder):
            folder.mkdir(parents=True, exist_ok=True)
        self.admin = Admin(settings.envoy_folder / ADMIN_SOCKET)
        self.journal = Journal(settings.ledger_folder, settings.router)
        self._installer = Installer(settings.envoy_folder, self.admin)
        self._table: RoutingTable | None = None
        self._changed = asyncio.Event()
        self._counts_by = EMPTY
        """Includes what is being installed, so that its first requests are known."""
        self.ledger: Ledger | None = None
        self.state = EMPTY
        self.confirmed_boot: str | None = None
        """The Envoy process that has confirmed `state`; None while none has."""
        self.table_problem: str | None = None
        self.unrenderable: Mapping[str, str] = {}
        self.refused_by_envoy: Mapping[str, str] = {}
        self.refusals = 0
        self.complete_until = 0.0
        self._offered: Mapping[str, ModelRoute] = {}
        self._offer_again_at = 0.0
        self._resumed = self._resume()

    @property
    def kept_back(self) -> Mapping[str, str]:
        """Models that keep their last good part, and why."""
        return {**self.unrenderable, **self.refused_by_envoy}

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(), name="table")
            tasks.create_task(self._keep(), name="configuration")
            tasks.create_task(self._count(), name="ledger")

    def _resume(self) -> Remembered | None:
        """Take up what an earlier run left: its files are in force whatever happens here."""
        folder = self._settings.ledger_folder
        replace_file(
            self._settings.envoy_folder / "bootstrap.json",
            bootstrap(self._settings.envoy_folder),
        )
        try:
            remembered = memory.load(folder)
        except BadInputError as error:
            log.error("%s", error)
            memory.set_aside(folder)
            remembered = None
        if remembered is None:
            self._installer.begin({kind: {} for kind in Kind})
            return None
        self.state, self._counts_by = remembered.in_force, remembered.state
        self._installer.begin(self._parts(self.state))
        return remembered if remembered.before else None

    async def _follow(self) -> None:
        reader = TableReader()
        async for text in self._source.tables():
            try:
                self._table = reader.read(text)
                self.table_problem = "; ".join(self._table.unnamed) or None
            except BadInputError as error:
                self.table_problem = str(error)
                log.error("The routing table stays as it was: %s", error)
            self._changed.set()

    async def _keep(self) -> None:
        while True:
            self._changed.clear()
            try:
                await self._bring_about()
                wait = _HOUSEKEEPING_SECONDS
            except EnvoyUnavailableError as error:
                self.confirmed_boot = None
                log.warning("%s", error)
                wait = _ENVOY_WAIT_SECONDS
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _bring_about(self) -> None:
        """Make Envoy what the table says. Raises EnvoyUnavailableError."""
        boot = await self.admin.boot(secrets.token_hex(4))
        if boot != self.confirmed_boot:
            if self.state is not EMPTY:
                await self._installer.verify()
                await self._installer.install(self._parts(self.state), frozenset())
            self.confirmed_boot = boot
        now = time.time()
        if self._resumed is not None:
            await self._put(self._resumed.state, now)
            self._resumed = None
        if self._table is None:
            return
        plan = advance(self.state, self._table, now)
        self._tell_refused(plan.refused)
        wanted = {name: model.route for name, model in plan.state.models.items()}
        refused_again = bool(self.refused_by_envoy) and wanted == self._offered and now < self._offer_again_at
        if self.state is EMPTY or (plan.state != self.state and not refused_again):
            self._offered = wanted
            await self._put(plan.state, now)

    async def _put(self, wanted: RouterState, now: float) -> None:
        """Bring a state into force: on disk first, then in Envoy, then what remains of it on disk again."""
        had = self.state
        changed = [n for n in {*wanted.models, *had.models} if wanted.models.get(n) != had.models.get(n)]
        memory.save(self._settings.ledger_folder, Remembered(wanted, {name: had.models.get(name) for name in changed}))
        self._counts_by = wanted
        parts = self._parts(wanted)
        if had is EMPTY:
            # This pod says that it is ready only when the models' own listeners are there.
            listeners = {name: part for name, part in parts[Kind.LISTENERS].items() if name != OURS}
            await self._installer.install({**parts, Kind.LISTENERS: listeners}, frozenset())
        refused = await self._installer.install(parts, _less_candidate(had, wanted))
        self.state = self._counts_by = settle(had, wanted, refused, now)
        memory.save(self._settings.ledger_folder, Remembered(self.state, {}))
        self.refused_by_envoy = refused
        if refused:
            self.refusals += len(refused)
            self._offer_again_at = now + _OFFER_AGAIN_SECONDS
            log.error("Envoy refuses a part of: %s", ", ".join(sorted(refused)))

    def _parts(self, state: RouterState) -> Mapping[Kind, Parts]:
        ports = Ports(self._settings.bind, self._settings.ready_port)
        return {
            Kind.CLUSTERS: cluster_parts(state),
            Kind.ROUTES: route_parts(state),
            Kind.LISTENERS: listener_parts(state, ports, self._settings.envoy_folder),
        }

    def _tell_refused(self, refused: Mapping[str, str]) -> None:
        if refused != self.unrenderable:
            for name, reason in refused.items():
                log.error("%s keeps its last good routes: %s", name, reason)
        self.unrenderable = refused

    async def _count(self) -> None:
        """At whole multiples of the poll time, so that all routers' rows end together and a whole second ends with a row:
        whoever judges by seconds need not wait for another one."""
        while True:
            try:
                await self._note()
            except EnvoyUnavailableError as error:
                log.debug("%s", error)
            poll = self._settings.poll_seconds
            await asyncio.sleep(poll - time.time() % poll + _AFTER_SECONDS)

    async def _note(self) -> None:
        """Read Envoy's counters once and write down what is due."""
        boot, counters = await self.admin.counters(rf"^{SCOPE}\.", secrets.token_hex(4))
        now = time.time()
        ended = now - now % self._settings.poll_seconds
        if self.ledger is None or self.ledger.boot != boot:
            written = self.journal.written
            self.ledger = Ledger(written if written.boot == boot else Written(boot, {}, written.time))
        tick = self.ledger.observe(counters, self._counts_by, ended - _BEFORE_SECONDS)
        if tick is not None:
            self.journal.append(tick)
        self.complete_until = max(self.complete_until, ended, tick.time if tick is not None else 0.0)


def _less_candidate(had: RouterState, wanted: RouterState) -> frozenset[str]:
    """The models whose candidate is to get less: their change goes first when not all can go at once."""
    return frozenset(
        name
        for name, model in had.models.items()
        if name not in wanted.models or wanted.models[name].route.candidate_weight < model.route.candidate_weight
    )
