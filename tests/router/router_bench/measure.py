"""Figures of the router on this machine: `python tests/router/router_bench/measure.py`. Prints one JSON object."""

import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from router_bench import servers
from router_bench.callers import Load, failures, send
from router_bench.envoy import find_envoy
from router_bench.pairs import Pair
from router_bench.routers import Router, Table, arm, free_port, model, until

HALF = 5_000


def main() -> None:
    """Measure one router with one model, then with 150."""
    thread = servers.ServerThread()
    table = Table(Path(tempfile.mkdtemp()) / "table.json")
    router = Router(find_envoy(), table)
    one = Pair(router, thread, "one", servers.OK)
    one.split(HALF)
    send(one.port, 200)
    figures: dict[str, object] = {"one model": _figures(router, one)}
    where = [one.stable.endpoint]
    others = [
        model(f"many-{i}", free_port(), 1, [arm("a", "stable", 9_000, where, where),
                                            arm("b", "candidate", 1_000, where, where)])
        for i in range(149)
    ]  # fmt: skip
    start = time.monotonic()
    router.put(*others)
    figures["149 models added, seconds"] = round(time.monotonic() - start, 2)
    for entry in others:
        send(entry["port"], 2, 1)
    figures["150 models"] = _figures(router, one)
    print(json.dumps(figures, indent=1))
    router.stop()
    thread.close()


def _figures(router: Router, one: Pair) -> dict[str, object]:
    agent = router.agent_pid()
    assert agent is not None
    before, start = _cpu(agent), time.monotonic()
    envoy_before = _cpu(router.envoy.pid)
    time.sleep(5)
    seconds = time.monotonic() - start
    agent_cpu, envoy_cpu = (_cpu(agent) - before) / seconds, (_cpu(router.envoy.pid) - envoy_before) / seconds
    live, last_reached = [], []
    for _ in range(10):
        one.candidate.behaviour = servers.OK
        one.split(HALF)
        with Load(one.port, 200, callers=8) as load:
            until(lambda load=load: len(load.seen) > 20, "traffic")
            written = time.time()
            live.append(one.split(0))
            until(lambda load=load, written=written: load.seen[-1].sent > written + 0.4, "traffic goes on")
        assert not failures(load.seen)
        reached = [answer.sent for answer in load.seen if answer.revision == one.candidate.revision]
        last_reached.append(max(0.0, max(reached) - written))
    return {
        "agent MB": _resident(agent),
        "supervisor MB": _resident(router.supervisor.pid),
        "envoy MB": _resident(router.envoy.pid),
        "agent CPU %, idle": round(100 * agent_cpu, 1),
        "envoy CPU %, idle": round(100 * envoy_cpu, 1),
        "weight 0 confirmed, ms": _spread(live),
        "last request to reach the candidate after the table was written, ms": _spread(last_reached),
        "rows in the ledger after a bad answer, ms": _spread([_noted(router, one) for _ in range(10)]),
    }


def _noted(router: Router, one: Pair) -> float:
    """Seconds from a failing answer to its row."""
    one.candidate.behaviour = servers.FAIL
    one.split(HALF)
    cursor = router.get("/ledger?since=now")[1]["x-penstock-cursor"]
    send(one.port, 6, 1)
    start = time.monotonic()
    until(lambda: router.get(f"/ledger?since={cursor}")[0], "a row")
    return time.monotonic() - start


def _spread(seconds: list[float]) -> dict[str, int]:
    ms = [round(1_000 * value) for value in seconds]
    return {"median": round(statistics.median(ms)), "max": max(ms)}


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 2**20


if __name__ == "__main__":
    main()
