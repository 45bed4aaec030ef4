"""What happens to traffic and to the ledger while agents, Envoys and whole routers come and go."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from router_bench import servers
from router_bench.balancer import Balancer
from router_bench.callers import Load, failures, send
from router_bench.pairs import Pair
from router_bench.routers import Router, free_port, until

pytestmark = [pytest.mark.router, pytest.mark.xdist_group("router")]

HALF = 5_000


def test_an_agent_killed_in_a_loop_under_load_costs_no_caller_and_no_count(
    new_router: Callable[..., Router], pair: Callable[..., Pair]
) -> None:
    router = new_router()
    one = pair(servers.FAIL, router)
    one.split(HALF)
    killed: set[int] = set()
    with Load(one.port, 150) as load:
        for _ in range(5):
            pid = until(
                lambda: (pid := router.agent_pid()) not in (None, *killed) and pid, "the agent is started again"
            )
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        one.split(1_000)  # the next agent to live long enough puts this in force
        until(lambda: one.router.counts(one.name, "candidate", version=2).get("failed"), "and counts by it")
    assert failures(load.seen) == []
    stable, candidate = router.counts(one.name, "stable", len(load.seen)), router.counts(one.name, "candidate")
    assert stable["requests"] + candidate["requests"] == len(load.seen)
    assert candidate["failed"] == candidate["requests"] == one.candidate.total
    assert "penstock_router_agent_starts_total 6" in router.get("/metrics", router.supervisor_port)[0]
    assert router.is_ready()


def test_a_router_rollout_under_load_costs_no_caller(
    new_router: Callable[..., Router], pair: Callable[..., Pair], thread: servers.ServerThread
) -> None:
    routers = [new_router(), new_router()]
    one = pair(servers.FAIL, routers[0])
    # On one machine two pods cannot have one port: each follows the same model under a name and port of its own.
    ports = {}
    balancer = Balancer(thread)

    def join(router: Router) -> None:
        ports[router] = free_port()
        entry = one.wanted(HALF) | {"name": f"{one.name}-{ports[router]}", "port": ports[router], "epoch": 1}
        router.put(entry)
        balancer.add(ports[router], router.is_ready)
        until(lambda: ports[router] in balancer.ready, "the new router is ready")

    for router in routers:
        join(router)
    with Load(balancer.port, 150, callers=16) as load:
        for router in list(routers):
            join(new_router())
            before = len(load.seen)
            until(lambda before=before: len(load.seen) > before + 30, "traffic goes on")
            balancer.remove(ports[router])
            assert "0 requests left" in router.leave()
        before = len(load.seen)
        until(lambda: len(load.seen) > before + 30, "traffic goes on")
    balancer.close()
    assert len(load.seen) > 300
    assert failures(load.seen) == []


def test_a_leaving_router_waits_for_requests_in_flight(
    new_router: Callable[..., Router], pair: Callable[..., Pair]
) -> None:
    router = new_router()
    one = pair(servers.slow(4.0), router)
    one.stable.behaviour = servers.slow(4.0)
    one.split(HALF, traffic={"tryTimeout": "8s"})
    with Load(one.port, 30, callers=30) as load:
        until(lambda: one.stable.in_flight + one.candidate.in_flight >= 30, "requests are in flight")
        load.stop()
        started = time.monotonic()
        assert "0 requests left" in router.leave()
        assert time.monotonic() - started > 2.0
    assert len(load.seen) >= 30
    assert failures(load.seen) == []


def test_a_router_is_ready_only_with_a_complete_configuration(
    new_router: Callable[..., Router], tmp_path: Path
) -> None:
    router = new_router(PENSTOCK_TABLE_FILE=str(tmp_path / "later.json"))
    until(lambda: router.state().get("boot"), "the agent counts for a running Envoy")
    assert not router.is_ready()
    router.table.path.rename(tmp_path / "later.json")
    until(router.is_ready, "with a table it is ready")


def test_a_restarted_envoy_has_its_configuration_at_once_and_counts_under_a_new_boot_id(
    new_router: Callable[..., Router], pair: Callable[..., Pair]
) -> None:
    router = new_router()
    one = pair(servers.FAIL, router)
    one.split(HALF)
    send(one.port, 40)
    router.counts(one.name, "candidate", 40)
    router.stop_envoy(signal.SIGKILL)
    router.start_envoy()
    until(router.is_ready, "Envoy serves again")
    assert failures(send(one.port, 60)) == []
    candidate = router.counts(one.name, "candidate", 100)
    assert candidate["requests"] == candidate["errors"] == one.candidate.total
    boots = {row["boot"] for row in router.rows(one.name)}
    assert len(boots) == len({row["router"] for row in router.rows(one.name)}) == 2
    until(lambda: router.is_live(one.wanted(HALF)), "the new Envoy has confirmed what it has")


def test_rows_are_told_once_across_an_agents_restart(
    new_router: Callable[..., Router], pair: Callable[..., Pair]
) -> None:
    router = new_router()
    one = pair(servers.OK, router)
    one.split(HALF)
    send(one.port, 20)
    router.counts(one.name, "stable", 20)
    before, headers = router.get("/ledger?since=")
    os.kill(router.agent_pid(), signal.SIGKILL)
    send(one.port, 30)
    until(lambda: router.state().get("boot"), "the next agent answers")
    router.counts(one.name, "stable", 50)
    after, more = router.get(f"/ledger?since={headers['x-penstock-cursor']}")
    assert "".join((before, after)) == router.get("/ledger")[0]
    assert sum(row["requests"] for row in router.rows(one.name)) == 50
    assert router.get(f"/ledger?since={more['x-penstock-cursor']}")[0] == ""
    times = [row["t"] for row in router.rows(one.name)]
    assert times == sorted(times)
    assert float(more["x-penstock-complete-until"]) >= times[-1]
    assert router.get("/ledger?since=somebodyelse-3")[1]["x-penstock-gap"] == "true"


def test_without_supervisor_and_agent_envoy_goes_on(
    new_router: Callable[..., Router], pair: Callable[..., Pair]
) -> None:
    router = new_router()
    one = pair(servers.FAIL, router)
    one.split(HALF)
    agent = router.agent_pid()
    router.supervisor.kill()
    router.supervisor.wait(10)
    os.kill(agent, signal.SIGKILL)
    assert failures(send(one.port, 60)) == []
    router.stop_envoy(signal.SIGKILL)
    router.start_envoy()
    until(router.is_ready, "a restarted Envoy needs no agent either")
    assert failures(send(one.port, 60)) == []
    assert one.candidate.total > 20
