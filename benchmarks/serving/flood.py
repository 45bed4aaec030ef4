"""What a flood of explanations costs predictions: `python -m benchmarks.serving.flood`.

Predictions in a closed loop on one core's server, by turns alone and beside a flood of explain calls to the same server;
the loads run on the other core. Two floods: calls at a steady rate, and as many as connections that ask anew at once.
Prints each round, and the ratio of the medians.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serving.load import Load, Measured
from benchmarks.serving.measure import LOAD_CORE, SERVER_CORE
from benchmarks.serving.models import estimators, make
from benchmarks.serving.servers import OURS, Running, running

ROWS = 5
LEAD_SECONDS = 0.5
EXPLAIN = "/v2/models/m/explain"


@dataclass(frozen=True, slots=True)
class Flood:
    """Explain calls beside predictions: connections, and calls per second (0: each connection asks anew at once)."""

    name: str
    connections: int
    rate: float


FLOODS = (Flood("500 calls per second", 64, 500.0), Flood("16 callers without a pause", 16, 0.0))


@dataclass
class Rounds:
    """Predictions per second alone and beside a flood, by round; what became of the flood's calls, by status."""

    alone: list[float] = field(default_factory=list)
    flooded: list[float] = field(default_factory=list)
    slow: list[float] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        alone, flooded = statistics.median(self.alone), statistics.median(self.flooded)
        said = ", ".join(f"{count} × {status}" for status, count in sorted(self.calls.items()))
        return (
            f"{alone:,.0f} predictions per second alone, {flooded:,.0f} beside it: {flooded / alone:.1%} left; "
            f"p99 beside it {statistics.median(self.slow) * 1e3:.1f} ms; its calls: {said}"
        )


def explain_bodies(path: Path, columns: int) -> Path:
    """Bodies that ask for the explanations of some rows."""
    chance = random.Random(0)
    bodies = []
    for _ in range(64):
        data = [round(chance.gauss(0, 1), 4) for _ in range(ROWS * columns)]
        tensor = {"name": "x", "datatype": "FP64", "shape": [ROWS, columns], "data": data}
        bodies.append(json.dumps({"inputs": [tensor]}) + "\n")
    path.write_text("".join(bodies))
    return path


@contextmanager
def beside(load: Load, server: Running, flood: Flood, bodies: Path, seconds: float) -> Iterator["Future[Measured]"]:
    """The flood, under way."""
    with ThreadPoolExecutor(1) as pool:
        ready = Future[None]()
        lasting = seconds + 2 * LEAD_SECONDS

        def work() -> Measured:
            ready.set_result(None)
            return load.run(server.port, EXPLAIN, bodies, flood.connections, lasting, flood.rate)

        running_flood = pool.submit(work)
        ready.result()
        load.run(server.port, server.plan.path, server.plan.bodies, 1, LEAD_SECONDS)
        yield running_flood


def rounds(server: Running, flood: Flood, bodies: Path, count: int, seconds: float) -> Rounds:
    """Alone and flooded by turns, the order changing with each round."""
    load, found = Load(LOAD_CORE), Rounds()
    path, predictions = server.plan.path, server.plan.bodies
    for number in range(count):
        for flooded in (number % 2 == 0, number % 2 == 1):
            if not flooded:
                found.alone.append(load.run(server.port, path, predictions, 64, seconds).rate)
                continue
            with beside(load, server, flood, bodies, seconds) as calls:
                measured = load.run(server.port, path, predictions, 64, seconds)
            found.flooded.append(measured.rate)
            found.slow.append(measured.p99)
            found.calls += Counter(calls.result().statuses)
        print(
            f"    round {number + 1}: {found.alone[-1]:,.0f} alone, {found.flooded[-1]:,.0f} flooded", file=sys.stderr
        )
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.flood", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of every run")
    parser.add_argument("--models", nargs="*", default=["logistic", "forest"], choices=list(estimators()))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in arguments.models:
            case = make(model, folder / "models")
            bodies = explain_bodies(folder / "explain", estimators()[model][1])
            with running(OURS, case, SERVER_CORE, folder / f"run-{model}") as server:
                for flood in FLOODS:
                    found = rounds(server, flood, bodies, arguments.rounds, arguments.seconds)
                    print(f"{model}, {flood.name}: {found}", flush=True)


if __name__ == "__main__":
    main()
