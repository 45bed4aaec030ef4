"""The ledger: what each arm of each epoch was given and what became of it, interval by interval. Pure.

What was written down is remembered, never what happened in between: the next row is always Envoy's own count less what
rows already hold. So an agent that was away loses no request, it only notes them later, under the epoch that assigned
them. Counts start again with Envoy itself, and then with a new boot id.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from penstock.router.counters import CounterReader, Key
from penstock.router.plan import RouterState, Slot
from penstock.router.routing import FULL_WEIGHT, Role
from penstock.router.tally import Tally

IDLE_INTERVAL = 10.0
"""Seconds between the rows of a model that is not being judged."""


@dataclass(frozen=True, slots=True)
class Row:
    """Counts of one arm in one interval. `version` is the epoch, `weight` the candidate's share in percent (on both
    arms' rows), `thresholds` the names that `tally.slow` goes by."""

    model: str
    release: str
    version: int
    arm: Role
    revision: str
    weight: float
    thresholds: tuple[str, ...]
    tally: Tally


@dataclass(frozen=True, slots=True)
class Tick:
    """What is written down at once. `time` (seconds since 1970) ends the interval and grows from tick to tick;
    `deltas` are the same counts as the rows', as the next start needs them."""

    time: float
    boot: str
    rows: tuple[Row, ...]
    deltas: Mapping[Key, Tally]


@dataclass(frozen=True, slots=True)
class Written:
    """What the rows of one boot hold already, and the time of the last of them."""

    boot: str
    tallies: Mapping[Key, Tally]
    time: float


class Ledger:
    """Turns Envoy's counters into rows. One for one boot of Envoy."""

    def __init__(self, written: Written) -> None:
        self.boot = written.boot
        self._written = dict(written.tallies)
        self._last_time = written.time
        self._reader = CounterReader()
        self._noted: dict[str, float] = {}

    @property
    def unread(self) -> int:
        """Envoy's counters that belong to nothing this agent knows."""
        return self._reader.unread

    @property
    def tallies(self) -> Mapping[Key, Tally]:
        """All counts of this boot so far, written down or not."""
        return self._reader.tallies

    @property
    def written(self) -> Written:
        """What the ticks hold so far."""
        return Written(self.boot, dict(self._written), self._last_time)

    def observe(self, counters: str, state: RouterState, now: float) -> Tick | None:
        """Take in Envoy's counters as read at `now`; the rows that are due, or None when there are none."""
        self._reader.read(counters, state)
        deltas = {
            key: delta
            for key, tally in self._reader.tallies.items()
            if (delta := tally.minus(self._written.get(key, Tally()))) and delta.regular
        }
        due = {model for model, keys in _by_model(deltas).items() if self._is_due(model, keys, state, now)}
        taken = {key: delta for key, delta in deltas.items() if key.model in due}
        if not taken:
            return None
        self._last_time = max(round(now, 3), round(self._last_time + 0.001, 3))
        self._noted.update(dict.fromkeys(due, now))
        for key in taken:
            self._written[key] = self._reader.tallies[key]
        for key in self._written.keys() - self._reader.tallies.keys():
            del self._written[key]
        return Tick(self._last_time, self.boot, tuple(_rows(taken, state)), taken)

    def _is_due(self, model: str, keys: Iterable[Key], state: RouterState, now: float) -> bool:
        """At once while a candidate gets requests or an epoch is ending, else now and then."""
        slots = [state.slot(model, key.slot) for key in keys]
        urgent = any(slot is None or slot.weight > 0 or slot.free_at is not None for slot in slots)
        return urgent or now - self._noted.get(model, -IDLE_INTERVAL) >= IDLE_INTERVAL


def _by_model(keys: Iterable[Key]) -> dict[str, list[Key]]:
    grouped: dict[str, list[Key]] = {}
    for key in keys:
        grouped.setdefault(key.model, []).append(key)
    return grouped


def _rows(deltas: Mapping[Key, Tally], state: RouterState) -> Iterable[Row]:
    """One row for each arm of each epoch."""
    merged: dict[tuple[str, str, int, Role], tuple[Slot, tuple[str, ...], Tally]] = {}
    for key, delta in deltas.items():
        slot, scope = state.slot(key.model, key.slot), state.scope(key.model, key.generation)
        if slot is None or scope is None:
            continue
        names = tuple(threshold.name for threshold in scope.thresholds)
        whose = (key.model, slot.uid, slot.epoch, key.role)
        _, _, before = merged.get(whose, (slot, names, Tally()))
        merged[whose] = (slot, names, before.plus(delta))
    for (model, _, epoch, role), (slot, names, tally) in sorted(merged.items(), key=lambda item: item[0]):
        revision = slot.stable if role is Role.STABLE else slot.candidate
        yield Row(model, slot.release, epoch, role, revision or "", slot.weight * 100 / FULL_WEIGHT, names, tally)
