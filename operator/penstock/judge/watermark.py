"""From rows in any order to seconds in one order.

A second closes for good when every router that is heard has gone past it; a router silent for `SILENCE` seconds is no
longer waited for. Until then its rows may come split, twice and in any order. Closed seconds leave in the canonical
order: time, router, version. A row for a closed second is late: it is named and left out.

Two rows that are alike in every field are one row delivered twice. Whoever splits an interval into parts gives them
different times or different counts; parts that are alike must differ in `t`.
"""

import math
from dataclasses import dataclass, field

from penstock.judge.criteria import Arm
from penstock.judge.rows import MISSING, Fault, Row

SILENCE = 5
"""Seconds behind the newest row after which a router is not waited for."""

SKEW = 2
"""Seconds by which two routers' newest rows may differ before the difference is named."""

GAP = 30
"""Seconds without a row of a release after which the hole is named."""

JUMP = 7 * 86_400
"""A row this many seconds ahead of all others is absurd: one bad clock must not make all other rows late."""

MOST_TAINTED = 256
"""Seconds of routers that may be known as unusable at once; beyond, the oldest are forgotten."""

MOST_OPEN = 20_000
"""Rows that may wait at once; one more is refused as absurd, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Side:
    """One arm within one second of one router and version."""

    requests: int = 0
    events: tuple[int, ...] = ()
    new_users: int = 0
    user_events: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Second:
    """A closed second of one router under one configuration version.

    `spoilt` marks the guardrails (by position) whose counts cannot be used here, `lacking` those for which some are
    missing; `rows` went into it, with `faults` and the rows that have them; `outages` the names of pod outages that
    all of the candidate's events came from, empty when some came from elsewhere; `pods` per-pod (arm, name, requests,
    events) where known.
    """

    t: int
    router: str
    version: str
    weight: float | None
    stable: Side
    candidate: Side
    spoilt: tuple[bool, ...]
    lacking: tuple[bool, ...] = ()
    rows: int = 0
    faults: tuple[tuple[Fault, int], ...] = ()
    outages: frozenset[str] = frozenset()
    pods: tuple[tuple[Arm, str, int, tuple[int, ...]], ...] = ()


@dataclass(slots=True)
class Watermark:
    """Rows that wait for their second to close.

    `closed` is the newest closed second; `heard` each router's newest one, `moved` whether any has gone on since the last
    look; `tainted` the (second, router) pairs in which a row was refused.
    """

    guardrails: int
    closed: int = -1
    heard: dict[str, int] = field(default_factory=dict)
    waiting: dict[Row, None] = field(default_factory=dict)
    tainted: dict[tuple[int, str], None] = field(default_factory=dict)
    moved: bool = True

    def add(self, row: Row) -> Fault | None:
        """Take a row; the fault is what was noticed, after which the row may or may not have been kept."""
        second = math.floor(row.t)
        newest = max(self.heard.values(), default=None)
        if newest is not None and second - newest > JUMP:
            return Fault.ABSURD
        if second <= self.closed:
            return Fault.LATE
        if row in self.waiting:
            return Fault.DUPLICATE
        if len(self.waiting) >= MOST_OPEN:
            return Fault.ABSURD
        self.waiting[row] = None
        if second > self.heard.get(row.router, -1):
            self.heard[row.router] = second
            self.moved = True
        if newest is None:
            return None
        if second - newest > GAP:
            return Fault.GAP
        if newest - second > SKEW:
            return Fault.CLOCK_SKEW
        return None

    def taint(self, t: float, router: str) -> bool:
        """A row of that second and router was refused: neither arm of it can be used.

        Whether that second is still to close; one far ahead of all others is nobody's.
        """
        second = math.floor(t)
        newest = max((*self.heard.values(), *(known for known, _ in self.tainted)), default=second)
        if second <= self.closed or second - newest > JUMP:
            return False
        self.tainted[second, router] = None
        if len(self.tainted) > MOST_TAINTED:
            del self.tainted[min(self.tainted)]
        return True

    def drain(self) -> list[Second]:
        """The seconds that have closed since the last call, in canonical order."""
        if not self.moved or not self.heard:
            return []
        self.moved = False
        newest = max(self.heard.values())
        self.heard = {router: second for router, second in self.heard.items() if newest - second <= SILENCE}
        return self._close(min(self.heard.values()) - 1)

    def finish(self) -> list[Second]:
        """Close everything: no more rows will come."""
        return self._close(max(self.heard.values(), default=self.closed))

    def _close(self, until: int) -> list[Second]:
        if until <= self.closed:
            return []
        self.closed = until
        ready = [row for row in self.waiting if row.t < until + 1]
        tainted, self.tainted = self.tainted, {key: None for key in self.tainted if key[0] > until}
        if not ready:
            return []
        for row in ready:
            del self.waiting[row]
        groups: dict[tuple[int, str, str], list[Row]] = {}
        for row in ready:
            groups.setdefault((math.floor(row.t), row.router, row.version), []).append(row)
        return [
            _second(key, sorted(groups[key], key=_order), (key[0], key[1]) in tainted, self.guardrails)
            for key in sorted(groups, key=_canonical)
        ]


def version_number(version: str) -> float:
    """Versions that are numbers in their own order; named ones after them all."""
    try:
        number = float(version)
    except ValueError:
        return math.inf
    return math.inf if math.isnan(number) else number


def _canonical(key: tuple[int, str, str]) -> tuple[int, str, float, str]:
    t, router, version = key
    return t, router, version_number(version), version


def _order(row: Row) -> tuple[float, str, str, int]:
    return row.t, row.arm, row.pod, row.requests


def _second(key: tuple[int, str, str], rows: list[Row], tainted: bool, guardrails: int) -> Second:  # noqa: FBT001
    weights = {row.weight for row in rows}
    conflict = len(weights) > 1
    lacking = tuple(any(row.events[i] == MISSING for row in rows) for i in range(guardrails))
    faults = (
        (Fault.CONFLICT, len(rows) if conflict else 0),
        (Fault.MISSING_COUNT, sum(1 for row in rows if MISSING in row.events)),
    )
    candidate = [row for row in rows if row.arm is Arm.CANDIDATE]
    harmed = [row for row in candidate if any(count > 0 for count in row.events)]
    outages = frozenset(row.outage for row in harmed)
    return Second(
        *key,
        weight=rows[0].weight,
        stable=_side([row for row in rows if row.arm is Arm.STABLE], guardrails),
        candidate=_side(candidate, guardrails),
        spoilt=tuple(tainted or conflict or lacks for lacks in lacking),
        lacking=lacking,
        rows=len(rows),
        faults=tuple((fault, count) for fault, count in faults if count),
        outages=frozenset() if "" in outages else outages,
        pods=tuple((row.arm, row.pod, row.requests, row.events) for row in rows if row.pod),
    )


def _side(rows: list[Row], guardrails: int) -> Side:
    users = [row.users for row in rows if row.users is not None]
    return Side(
        sum(row.requests for row in rows),
        tuple(sum(max(0, row.events[i]) for row in rows) for i in range(guardrails)),
        sum(user.new for user in users),
        tuple(sum(max(0, user.events[i]) for user in users) for i in range(guardrails)) if users else (),
    )
