"""From the routing table to Envoy: many models, bad parts beside good ones, and how fast a change is live."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from router_bench import servers
from router_bench.callers import Load, failures, send
from router_bench.pairs import Pair
from router_bench.routers import Router, arm, free_port, model, until

pytestmark = [pytest.mark.router, pytest.mark.xdist_group("router")]

HALF = 5_000


def test_150_models_in_one_router(
    new_router: Callable[..., Router], thread: servers.ServerThread, pair: Callable[..., Pair]
) -> None:
    router = new_router()
    one = pair(servers.FAIL, router)
    server = servers.ModelServer(thread, "many-1")
    others = [
        model(f"many-{index}", free_port(), 1, [arm("many-1", "stable", 9_000, [server.endpoint]),
                                                arm("many-2", "candidate", 1_000, [server.endpoint])])
        for index in range(149)
    ]  # fmt: skip
    router.put(*others)
    one.split(HALF)
    for entry in others:
        assert failures(send(entry["port"], 2, 1)) == []
    assert failures(send(one.port, 60)) == []
    candidate = router.counts(one.name, "candidate", 60)
    assert candidate["errors"] == candidate["requests"] == one.candidate.total > 10
    for entry in others:
        router.counts(entry["name"], "stable", 2)
    assert len(router.state()["models"]) == 150
    assert _inotify_instances(router.envoy.pid) <= 4
    with Load(one.port, 200) as load:
        until(lambda: len(load.seen) > 40, "traffic flows")
        seconds = one.split(0)
        changed = time.time()
        until(lambda: load.seen[-1].sent > changed + 0.2, "and goes on")
    reached = one.candidate.total
    assert failures(load.seen) == []
    assert seconds < 5.0  # 0.1 s on a machine that does nothing else
    assert failures(send(one.port, 40)) == []
    assert one.candidate.total == reached
    server.die()


def test_a_model_that_cannot_be_rendered_keeps_its_routes_and_another_is_rolled_back(pair: Callable[..., Pair]) -> None:
    sick, bad = pair(), pair(servers.FAIL)
    router = sick.router
    sick.split(HALF)
    bad.split(HALF)
    sick.epoch += 1
    broken = sick.wanted(HALF) | {"traffic": {"timeout": "soon"}}
    bad.epoch += 1
    router.table.put(broken, bad.wanted(0))
    until(lambda: router.is_live(bad.wanted(0)), "the rollback is live")
    state = router.state()
    assert list(state["keptBack"]) == [sick.name]
    assert "traffic.timeout" in state["keptBack"][sick.name]
    assert state["models"][sick.name]["epoch"] == sick.epoch - 1
    failed_before = bad.candidate.total
    assert failures(send(bad.port, 40)) == []
    assert bad.candidate.total == failed_before
    assert failures(send(sick.port, 60)) == []
    assert sick.candidate.total > 10
    router.put(sick.wanted(HALF))
    assert router.state()["keptBack"] == {}


def test_a_part_that_envoy_itself_refuses_is_named_and_another_is_rolled_back(pair: Callable[..., Pair]) -> None:
    sick, bad = pair(), pair(servers.FAIL)
    router = bad.router
    bad.split(HALF)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", sick.port))
        taken.listen()
        sick.epoch, bad.epoch = 1, 2
        router.table.put(sick.wanted(HALF), bad.wanted(0))
        until(lambda: router.is_live(bad.wanted(0)), "the rollback is live")
        until(lambda: sick.name in router.state()["keptBack"], "the other is named")
        assert "Envoy refuses" in router.state()["keptBack"][sick.name]
        assert failures(send(bad.port, 40)) == []
    sick.split(HALF)
    assert failures(send(sick.port, 40)) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"epoch": 1}, "older", id="an older epoch"),
        pytest.param({"epoch": 2}, "epoch stayed", id="other arms under the same epoch"),
        pytest.param({"epoch": 3, "port": 0}, "port", id="no port"),
        pytest.param({"epoch": 3, "arms": []}, "arms", id="no arms"),
        pytest.param({"epoch": 3, "colour": "red"}, "colour", id="an unknown field"),
    ],
)
def test_a_change_that_would_spoil_the_evidence_is_not_made(
    pair: Callable[..., Pair], change: dict[str, object], says: str
) -> None:
    one = pair()
    one.epoch = 1
    one.split(HALF)
    one.router.table.put(one.wanted(0) | change)
    until(lambda: says in one.router.state()["keptBack"].get(one.name, ""), f"it is refused because of {says!r}")
    assert one.router.state()["models"][one.name]["weight"] == HALF


def test_a_table_that_is_no_table_changes_nothing(pair: Callable[..., Pair]) -> None:
    one = pair()
    one.split(HALF)
    one.router.table.write("{")
    until(lambda: one.router.state()["tableProblem"], "the problem is told")
    assert failures(send(one.port, 40)) == []
    one.router.table.write('{"models": [{"port": 1}]}')
    until(lambda: "models[0].name" in (one.router.state()["tableProblem"] or ""), "the part without a name is told")
    assert one.name in one.router.state()["models"]
    one.router.table.write()
    until(lambda: one.router.state()["tableProblem"] is None, "a good table ends it")


def test_endpoints_may_come_and_go_under_load(pair: Callable[..., Pair], thread: servers.ServerThread) -> None:
    one = pair()
    one.split(HALF)
    with Load(one.port, 200, callers=8) as load:
        for _ in range(10):
            extra = servers.ModelServer(thread, one.stable.revision)
            entry = one.wanted(HALF)
            for part in entry["arms"]:
                part["endpoints"].append(extra.endpoint)
            one.router.put(entry)
            before = extra.total
            until(lambda before=before, extra=extra: extra.total > before + 5, "the new pod gets requests")
            one.router.put(one.wanted(HALF))
            until(lambda extra=extra: extra.in_flight == 0, "and has none left")
            extra.die()
    assert failures(load.seen) == []
    stable, candidate = one.router.counts(one.name, "stable", len(load.seen)), one.router.counts(one.name, "candidate")
    assert stable["requests"] + candidate["requests"] == len(load.seen)
    assert "failed" not in stable
    assert "failed" not in candidate


def test_a_promotion_and_the_next_release_cost_no_caller(
    pair: Callable[..., Pair], thread: servers.ServerThread
) -> None:
    one = pair()
    one.split(HALF)
    third = servers.ModelServer(thread, f"{one.name}-3", servers.FAIL)
    with Load(one.port, 200, callers=8) as load:
        until(lambda: one.candidate.total > 20, "the candidate serves")
        one.epoch += 1
        one.router.put(model(one.name, one.port, one.epoch, [
            arm(one.candidate.revision, "stable", 10_000, [one.candidate.endpoint])
        ]))  # fmt: skip
        one.epoch += 1
        one.router.put(model(one.name, one.port, one.epoch, [
            arm(one.candidate.revision, "stable", 5_000, [one.candidate.endpoint]),
            arm(third.revision, "candidate", 5_000, [third.endpoint]),
        ]))  # fmt: skip
        until(lambda: third.total > 20, "the next candidate is tried")
    assert failures(load.seen) == []
    assert sum(row["requests"] for row in one.router.rows(one.name)) <= len(load.seen)
    one.router.counts(one.name, "stable", len(load.seen))
    assert one.router.counts(one.name, "candidate", version=3)["errors"] == third.total
    third.die()


def test_what_is_in_flight_at_a_candidate_that_is_taken_away_is_shielded_and_counted(pair: Callable[..., Pair]) -> None:
    one = pair(servers.Behaviour(500, delay=3.0))
    one.split(HALF, traffic={"tryTimeout": "5s"})
    with Load(one.port, 60, callers=30) as load:
        until(lambda: one.candidate.in_flight >= 10, "requests are in flight at the candidate")
        one.epoch += 1
        only = [arm(one.stable.revision, "stable", 10_000, [one.stable.endpoint])]
        one.router.put(model(one.name, one.port, one.epoch, only, traffic={"tryTimeout": "5s"}))
        assert one.candidate.in_flight > 0
        until(lambda: one.candidate.in_flight == 0, "they end")
    assert failures(load.seen) == []
    one.router.counts(one.name, "stable", len(load.seen))
    candidate = one.router.counts(one.name, "candidate")
    assert candidate["errors"] == candidate["repeats"] == one.candidate.total >= 10


def test_a_removed_model_loses_its_port_and_may_come_back(pair: Callable[..., Pair]) -> None:
    one = pair()
    one.split(HALF)
    assert failures(send(one.port, 10)) == []
    one.router.table.remove(one.name)
    until(lambda: one.name not in one.router.state()["models"], "it is gone")
    until(lambda: failures(send(one.port, 1, 1)), "its port is closed")
    one.split(HALF)
    assert failures(send(one.port, 30)) == []
    counts = one.router.counts(one.name, "stable", 40)
    assert counts["requests"] + one.router.counts(one.name, "candidate")["requests"] == 40


def _inotify_instances(pid: int) -> int:
    links = (Path(f"/proc/{pid}/fd") / name for name in os.listdir(f"/proc/{pid}/fd"))
    return sum(os.readlink(link) == "anon_inode:inotify" for link in links if link.is_symlink())
