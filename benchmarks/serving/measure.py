"""The rounds: every server in turn, in another order each round, so that what disturbs the machine disturbs all."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving.load import Load, Measured
from benchmarks.serving.models import Case
from benchmarks.serving.peers import PEERS
from benchmarks.serving.servers import GRANIAN_STATIC, ONE_THREAD, OUR_STATIC, names, running

SERVER_CORE, LOAD_CORE = 0, 1
CLOSED = (1, 8, 64)
MOST_CONNECTIONS = 1024
CASE_OF_STATICS = "logistic"
BARE = "no server"


@dataclass(frozen=True)
class Effort:
    """Rounds, seconds of one run, and runs of each open loop: a third of them for peers, which collapse every time."""

    rounds: int
    seconds: float
    open_runs: int


Sample = dict[str, Any]
"""One run: model, server, kind ("bare", "start", "memory", "closed", "half", "twice" or "beside"), and what came of it."""


def all_rounds(cases: Iterable[Case], only: list[str], effort: Effort, folder: Path) -> list[Sample]:
    """Closed loops by rounds, then open loops at half and twice each server's own peak."""
    samples: list[Sample] = []
    load = Load(LOAD_CORE)
    chance = random.Random(1)
    cases = list(cases)
    pairs = [(case, name) for case in cases for name in names() if _belongs(case, name) and _wanted(name, only)]
    for number in range(effort.rounds):
        samples += [_sample(case, BARE, "bare", **_bare(case)) for case in cases]
        for case, name in chance.sample(pairs, len(pairs)):
            _say(f"round {number + 1}/{effort.rounds}: {case.name}, {name}")
            with running(name, case, SERVER_CORE, folder / f"{case.name}-{name}".replace(" ", "-")) as server:
                samples.append(_sample(case, name, "start", ready=server.ready_seconds))
                for connections in CLOSED:
                    found = load.run(server.port, server.plan.path, server.plan.bodies, connections, effort.seconds)
                    samples.append(_sample(case, name, "closed", connections=connections, **asdict(found)))
                samples.append(_sample(case, name, "memory", bytes=server.memory))
    peaks = {(case.name, name): peak(samples, case.name, name) for case, name in pairs}
    for number in range(effort.open_runs):
        for case, name in chance.sample(pairs, len(pairs)):
            if name in {peer.name for peer in PEERS} and number % 3:
                continue
            _say(f"open loop {number + 1}/{effort.open_runs}: {case.name}, {name}")
            half, twice = peaks[case.name, name] / 2, peaks[case.name, name] * 2
            rates = [("half", half), ("twice", twice)]
            if name in {OUR_STATIC, GRANIAN_STATIC}:
                rates = [("beside", peaks[key] / 2) for key in peaks if key[1] == names()[0]]
            with running(name, case, SERVER_CORE, folder / f"{case.name}-{name}".replace(" ", "-")) as server:
                for kind, rate in rates:
                    found = _open(load, server, rate, effort.seconds)
                    samples.append(_sample(case, name, kind, offered=rate, **asdict(found)))
                    time.sleep(0.5)
    return samples


def _bare(case: Case) -> dict[str, float]:
    _say(f"{case.name}, {BARE}")
    words = [str(case.joblib), str(case.root), case.digest, str(case.columns)]
    command = ["taskset", "-c", str(SERVER_CORE), sys.executable, "-m", "benchmarks.serving.bare", *words]
    environment = os.environ | ONE_THREAD
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout))


def _open(load: Load, server: Any, rate: float, seconds: float) -> Measured:
    return load.run(server.port, server.plan.path, server.plan.bodies, MOST_CONNECTIONS, seconds, rate)


def peak(samples: list[Sample], case: str, name: str) -> float:
    """The median rate at the most connections of the closed loop."""
    rates = sorted(
        sample["rate"]
        for sample in samples
        if (sample["case"], sample["server"], sample["kind"]) == (case, name, "closed")
        and sample["connections"] == CLOSED[-1]
    )
    return float(rates[len(rates) // 2])


def _sample(case: Case, name: str, kind: str, **found: Any) -> Sample:
    return {"case": case.name, "server": name, "kind": kind} | found


def _belongs(case: Case, name: str) -> bool:
    return name not in {OUR_STATIC, GRANIAN_STATIC} or case.name == CASE_OF_STATICS


def _wanted(name: str, only: list[str]) -> bool:
    return not only or name in only


def _say(what: str) -> None:
    print(f"  {what}", file=sys.stderr, flush=True)
