"""Pure: what is in force and what is wanted -> what is to be in force next, with everything that must outlive a change.

A *slot* is the small number that Envoy writes beside each count in place of an epoch, so that a request is counted for
the epoch that assigned it however late it ends, while the number of Envoy's counters stays bounded. A slot is used
again only when no request of its last epoch can be left. A *scope* is one life of a model's counters: it changes with
what decides how an answer counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from penstock.router.routing import Dialect, ModelRoute, RoutingTable, Threshold

LONGEST_UPLOAD = 300.0
"""Seconds that a caller has to send a request; Envoy enforces it."""
DRAIN = 30.0
"""Seconds for which Envoy winds down the connections of a listener that changed or went away."""
_MARGIN = 30.0


@dataclass(frozen=True, slots=True)
class Slot:
    """Whom a slot's counts belong to. `free_at` (seconds since 1970) is set once its epoch is over."""

    number: int
    uid: str
    release: str
    epoch: int
    weight: int
    stable: str
    candidate: str | None
    free_at: float | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """How one life of a model's counters is to be read; `free_at` as for slots."""

    generation: int
    try_timeout: int
    thresholds: tuple[Threshold, ...]
    dialect: Dialect
    free_at: float | None = None

    def reads_like(self, route: ModelRoute) -> bool:
        """Whether this route's answers count by the same rules."""
        rules = (self.try_timeout, self.thresholds, self.dialect)
        return rules == (route.try_timeout, route.thresholds, route.dialect)


@dataclass(frozen=True, slots=True)
class InForce:
    """One model as Envoy has it: its route, the slot of its epoch, its scope."""

    route: ModelRoute
    slot: int
    scope: Scope


@dataclass(frozen=True, slots=True)
class Leaving:
    """A route that is no longer wanted but whose clusters stay until requests on them are over."""

    route: ModelRoute
    slot: int
    until: float


@dataclass(frozen=True, slots=True)
class RouterState:
    """Everything the agent must not forget; it is on disk before Envoy sees any of it."""

    models: Mapping[str, InForce]
    leaving: tuple[Leaving, ...]
    slots: Mapping[str, tuple[Slot, ...]]
    scopes: Mapping[str, tuple[Scope, ...]]
    next_generation: int

    def slot(self, model: str, number: int) -> Slot | None:
        """Whom this slot's counts belong to."""
        return next((slot for slot in self.slots.get(model, ()) if slot.number == number), None)

    def scope(self, model: str, generation: int) -> Scope | None:
        """How this scope's counts are to be read."""
        return next((scope for scope in self.scopes.get(model, ()) if scope.generation == generation), None)


Expiring = TypeVar("Expiring", Slot, Scope)
EMPTY = RouterState(models={}, leaving=(), slots={}, scopes={}, next_generation=1)


@dataclass(frozen=True, slots=True)
class Plan:
    """The next state, and for each model that keeps its last good part the reason."""

    state: RouterState
    refused: Mapping[str, str]


def advance(state: RouterState, table: RoutingTable, now: float) -> Plan:
    """The state that the table asks for at time `now` (seconds since 1970)."""
    wanted, refused = _admissible(state, table)
    models = dict(state.models)
    slots = {name: list(slots) for name, slots in state.slots.items()}
    scopes = {name: list(_living(scopes, now)) for name, scopes in state.scopes.items()}
    leaving = [item for item in state.leaving if item.until > now]
    generation = state.next_generation

    gone = [] if table.unnamed else [n for n in models if n not in table.models and n not in table.refused]
    for name in gone:
        old = models.pop(name)
        leaving.append(_leave(old, now))
        _retire(slots[name], old.route, now)
        scopes[name] = _retire_scopes(scopes[name], old.route, now)
    for name, route in sorted(wanted.items()):
        current = models.get(name)
        if current is not None and current.route == route:
            continue
        own_slots, own_scopes = slots.setdefault(name, []), scopes.setdefault(name, [])
        if current is not None and (current.route.uid, current.route.epoch) == (route.uid, route.epoch):
            number = current.slot
        else:
            if current is not None:
                _retire(own_slots, current.route, now)
            number = _take_slot(own_slots, route, now)
        if current is not None and not current.route.revisions <= route.revisions:
            leaving.append(_leave(current, now))
        if current is not None and current.scope.reads_like(route):
            scope = current.scope
        else:
            own_scopes[:] = _retire_scopes(own_scopes, route, now)
            scope = Scope(generation, route.try_timeout, route.thresholds, route.dialect)
            own_scopes.append(scope)
            generation += 1
        models[name] = InForce(route, number, scope)
    kept = {name: own if name in models else _living(own, now) for name, own in slots.items()}
    following = RouterState(
        models=models,
        leaving=tuple(leaving),
        slots={name: tuple(own) for name, own in kept.items() if own},
        scopes={name: tuple(own) for name, own in scopes.items() if own},
        next_generation=generation,
    )
    return Plan(following, refused)


def settle(before: RouterState, planned: RouterState, refused: Iterable[str], now: float) -> RouterState:
    """The state after Envoy refused some models' parts: they keep what they had, the others have what was planned."""
    models, slots = dict(planned.models), dict(planned.slots)
    for name in refused:
        had, got = before.models.get(name), models.pop(name, None)
        if had is not None:
            models[name] = had
        if got is not None and (had is None or had.slot != got.slot):
            slots[name] = tuple(_freed(slot, got, had, now) for slot in slots.get(name, ()))
    return replace(planned, models=models, slots=slots)


def _admissible(state: RouterState, table: RoutingTable) -> tuple[dict[str, ModelRoute], dict[str, str]]:
    """The wanted routes that may be put in force beside what is, and the reasons against the others."""
    refused = dict(table.refused)
    for name, route in table.models.items():
        reason = _out_of_order(state.models[name].route, route) if name in state.models else None
        if reason is not None:
            refused[name] = reason
    wanted = {name: route for name, route in sorted(table.models.items()) if name not in refused}
    stays = [n for n in state.models if n in refused or (table.unnamed and n not in table.models)]
    ports = {state.models[name].route.port: name for name in stays}
    unmoved = [n for n, r in wanted.items() if n in state.models and state.models[n].route.port == r.port]
    for name in (*unmoved, *wanted):
        ports.setdefault(wanted[name].port, name)
    for name, route in list(wanted.items()):
        if ports[route.port] != name:
            refused[name] = f"port {route.port} belongs to {ports[route.port]}; give {name} another"
            del wanted[name]
    return wanted, refused


def _out_of_order(current: ModelRoute, wanted: ModelRoute) -> str | None:
    if current.uid != wanted.uid or wanted.epoch > current.epoch:
        return None
    if wanted.epoch < current.epoch:
        return f"epoch {wanted.epoch} is older than {current.epoch}, which is in force; raise it"
    if current.split != wanted.split:
        return f"the arms changed but the epoch stayed {wanted.epoch}; raise it with every change of arms"
    return None


def _living(items: Iterable[Expiring], now: float) -> list[Expiring]:
    return [item for item in items if item.free_at is None or item.free_at > now]


def _over(route: ModelRoute, now: float) -> float:
    """When the last request assigned by this route is surely over."""
    return now + LONGEST_UPLOAD + DRAIN + route.timeout / 1_000 + _MARGIN


def _leave(old: InForce, now: float) -> Leaving:
    return Leaving(old.route, old.slot, now + DRAIN + old.route.timeout / 1_000 + _MARGIN)


def _retire(slots: list[Slot], route: ModelRoute, now: float) -> None:
    slots[:] = [replace(slot, free_at=_over(route, now)) if slot.free_at is None else slot for slot in slots]


def _retire_scopes(scopes: list[Scope], route: ModelRoute, now: float) -> list[Scope]:
    return [replace(scope, free_at=_over(route, now)) if scope.free_at is None else scope for scope in scopes]


def _take_slot(slots: list[Slot], route: ModelRoute, now: float) -> int:
    """The number of a slot for this route's epoch: the one that has been free for longest, else a new one."""
    free = [(slot.free_at, slot.number) for slot in slots if slot.free_at is not None and slot.free_at <= now]
    number = min(free)[1] if free else max((slot.number for slot in slots), default=-1) + 1
    slots[:] = [slot for slot in slots if slot.number != number]
    candidate = None if route.candidate is None else route.candidate.revision
    slots.append(
        Slot(number, route.uid, route.release, route.epoch, route.candidate_weight, route.stable.revision, candidate)
    )
    return number


def _freed(slot: Slot, got: InForce, had: InForce | None, now: float) -> Slot:
    if slot.number == got.slot:
        return replace(slot, free_at=_over(got.route, now))
    return replace(slot, free_at=None) if had is not None and slot.number == had.slot else slot
