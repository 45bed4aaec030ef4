"""The rounds: every server in turn, in another order each round, so that what disturbs the machine disturbs all."""

import functools
import operator
import random
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving.bare import SCIKIT_LEARN, SERVED, calling
from benchmarks.serving.load import Counted, Load, Measured
from benchmarks.serving.models import Case
from benchmarks.serving.peers import PEERS
from benchmarks.serving.servers import GRANIAN_STATIC, OUR_STATIC, OURS, Running, names, running

SERVER_CORE, LOAD_CORE = 0, 1
CLOSED = (8, 64)
MOST_CONNECTIONS = 1024
CASE_OF_STATICS = "logistic"
_STATICS = (OUR_STATIC, GRANIAN_STATIC)
_PEERS = frozenset(peer.name for peer in PEERS)
_PARTS = 3
"""A machine's speed changes by the minute: the call is timed anew beside so many parts of a run."""
TURNS = 5
"""Of each server, half as long as a run, in which the static answer is asked beside ours."""


@dataclass(frozen=True)
class Effort:
    """Rounds, seconds of one run, and runs of each open loop: fewer for peers, which collapse every time."""

    rounds: int
    seconds: float
    open_runs: int
    peer_open_runs: int


Sample = dict[str, Any]
"""One run: model, server, kind ("start", "memory", "alone", "closed", "half" or "twice"), and what came of it."""


class Rounds:
    """What was measured of some cases so far, servers each in its own folder."""

    def __init__(self, cases: Iterable[Case], only: list[str], effort: Effort, folder: Path) -> None:
        self._effort, self._folder = effort, folder
        self._pairs = [
            (case, name) for case in cases for name in names() if _belongs(case, name) and _wanted(name, only)
        ]
        self._load, self._chance = Load(LOAD_CORE), random.Random(1)
        self.samples: list[Sample] = []

    def all(self) -> None:
        """Closed loops by rounds, then open loops at half and twice each server's own peak."""
        for number in range(self._effort.rounds):
            for case, name in self._chance.sample(self._pairs, len(self._pairs)):
                _say(f"round {number + 1}/{self._effort.rounds}: {case.name}, {name}")
                self._closed(case, name)
        for number in range(self._effort.open_runs):
            for case, name in self._chance.sample(self._pairs, len(self._pairs)):
                if name in _STATICS or (name in _PEERS and number >= self._effort.peer_open_runs):
                    continue
                _say(f"open loop {number + 1}/{self._effort.open_runs}: {case.name}, {name}")
                self._open(case, name)

    def _closed(self, case: Case, name: str) -> None:
        with running(name, case, SERVER_CORE, self._own(case, name)) as server:
            self._add(case, name, "start", ready=server.ready_seconds)
            self._alone(case, name, server)
            for connections in CLOSED:
                found = self._asked(server, connections, self._effort.seconds)
                self._add(case, name, "closed", connections=connections, **asdict(found))
            self._add(case, name, "memory", bytes=server.memory)

    def _alone(self, case: Case, name: str, server: Running) -> None:
        """One connection, and the call of the model by itself before and after each part of the time."""
        if name in _STATICS:
            self._add(case, name, "alone", bare=0.0, **asdict(self._asked(server, 1, self._effort.seconds)))
            return
        what = SERVED if name == OURS else SCIKIT_LEARN
        with calling(case, SERVER_CORE) as seconds:
            before = seconds(what)
            for _ in range(_PARTS):
                found = self._asked(server, 1, self._effort.seconds / _PARTS)
                after = seconds(what)
                self._add(case, name, "alone", bare=(before + after) / 2, **asdict(found))
                before = after

    def _open(self, case: Case, name: str) -> None:
        """Half and twice the own peak, which is timed anew for it: of a machine that has become half as fast, half of its
        peak before is all of it."""
        with running(name, case, SERVER_CORE, self._own(case, name)) as server:
            top = self._asked(server, CLOSED[-1], self._effort.seconds).rate
        if not top:
            return
        found = self._beside_static(case, top / 2) if name == OURS else asdict(self._at(case, name, top / 2))
        self._add(case, name, "half", peak=top, **found)
        self._add(case, name, "twice", peak=top, **asdict(self._at(case, name, top * 2)))

    def _beside_static(self, case: Case, rate: float) -> dict[str, Any]:
        """Ours and the static answer at a rate, in short turns: a pause of the machine, which is what the slowest answers
        wait for, is as likely to hit the one as the other."""
        with (
            running(OURS, case, SERVER_CORE, self._own(case, OURS)) as ours,
            running(OUR_STATIC, case, SERVER_CORE, self._own(case, OUR_STATIC)) as static,
        ):
            turns = [(self._turn(ours, rate), self._turn(static, rate)) for _ in range(TURNS)]
        own, its = (functools.reduce(operator.add, counted).measured() for counted in zip(*turns, strict=True))
        return {"static_p99": its.p99, "static_failed": its.failed} | asdict(own)

    def _turn(self, server: Running, rate: float) -> Counted:
        seconds = self._effort.seconds / 2
        return self._load.count(server.port, server.plan.path, server.plan.bodies, MOST_CONNECTIONS, seconds, rate)

    def _at(self, case: Case, name: str, rate: float) -> Measured:
        """An open loop, of a server that is there for it alone."""
        with running(name, case, SERVER_CORE, self._own(case, name)) as server:
            return self._asked(server, MOST_CONNECTIONS, self._effort.seconds, rate)

    def _asked(self, server: Running, connections: int, seconds: float, rate: float = 0.0) -> Measured:
        return self._load.run(server.port, server.plan.path, server.plan.bodies, connections, seconds, rate)

    def _own(self, case: Case, name: str) -> Path:
        return self._folder / f"{case.name}-{name}".replace(" ", "-")

    def _add(self, case: Case, name: str, kind: str, **found: Any) -> None:
        self.samples.append({"case": case.name, "server": name, "kind": kind, "seconds": self._effort.seconds} | found)


def _belongs(case: Case, name: str) -> bool:
    return name not in _STATICS or case.name == CASE_OF_STATICS


def _wanted(name: str, only: list[str]) -> bool:
    return not only or name in only


def _say(what: str) -> None:
    print(f"  {what}", file=sys.stderr, flush=True)
