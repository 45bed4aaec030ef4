"""What the ledger says about a candidate, and what callers see, by what the candidate does."""

from collections.abc import Callable

import pytest
from router_bench import servers
from router_bench.callers import Load, failures, send, statuses
from router_bench.pairs import Pair
from router_bench.routers import until

pytestmark = [pytest.mark.router, pytest.mark.xdist_group("router")]

HALF = 5_000


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        pytest.param(servers.FAIL, "errors", id="fails"),
        pytest.param(servers.RESET, "resets", id="resets"),
        pytest.param(servers.GARBAGE, "resets", id="talks no HTTP"),
        pytest.param(servers.HANG, "timeouts", id="hangs"),
        pytest.param(servers.slow(5.0), "timeouts", id="is too late"),
        pytest.param(servers.REFUSE, "refused", id="refuses all"),
        pytest.param(servers.BUSY, "saturated", id="is too busy"),
    ],
)
def test_each_bad_answer_counts_once_and_no_caller_sees_it(
    pair: Callable[..., Pair], behaviour: servers.Behaviour, outcome: str
) -> None:
    one = pair(behaviour)
    # A try ends early only where that is what is looked at: a busy machine answers late by itself.
    one.split(HALF, traffic={"tryTimeout": "1s" if outcome == "timeouts" else "5s"})
    seen = send(one.port, 80)
    assert statuses(seen) == {200: 80}
    assert {answer.revision for answer in seen} == {one.stable.revision}
    stable, candidate = one.router.counts(one.name, "stable", 80), one.router.counts(one.name, "candidate")
    assert stable["requests"] + candidate["requests"] == 80
    assert candidate["requests"] == one.candidate.total > 20
    assert candidate[outcome] == candidate["repeats"] == candidate["requests"]
    assert candidate.get("failed", 0) == (0 if outcome in ("refused", "saturated") else candidate["requests"])
    assert "felt" not in candidate
    assert stable.keys() <= {"requests"}


@pytest.mark.parametrize("gone", ["no endpoints", "connections refused"])
def test_a_candidate_without_a_live_pod_fails_every_request_it_was_given(pair: Callable[..., Pair], gone: str) -> None:
    one = pair()
    one.candidate.die()
    one.split(HALF, dead=("candidate",) if gone == "no endpoints" else ())
    seen = send(one.port, 80)
    assert failures(seen) == []
    stable, candidate = one.router.counts(one.name, "stable", 80), one.router.counts(one.name, "candidate")
    assert stable["requests"] + candidate["requests"] == 80
    assert candidate["failed"] == candidate["requests"] > 20
    assert candidate["unavailable" if gone == "no endpoints" else "resets"] == candidate["requests"]
    assert "failed" not in stable


def test_pods_that_die_at_half_of_the_traffic_fail_from_then_on_and_callers_never(pair: Callable[..., Pair]) -> None:
    one = pair()
    one.split(HALF)
    with Load(one.port, 150) as load:
        until(lambda: one.candidate.total >= 30, "the candidate serves")
        one.candidate.die()
        served = one.candidate.total
        until(lambda: one.router.counts(one.name, "candidate").get("failed", 0) >= 30, "the ledger notes failures")
        one.split(HALF, dead=("candidate",))
        until(lambda: one.router.counts(one.name, "candidate").get("unavailable", 0) >= 30, "and unavailability")
    assert failures(load.seen) == []
    stable = one.router.counts(one.name, "stable", len(load.seen))
    candidate = one.router.counts(one.name, "candidate")
    assert stable["requests"] + candidate["requests"] == len(load.seen)
    assert served - candidate["failed"] <= candidate["requests"] - candidate["failed"] <= served
    assert "failed" not in stable


@pytest.mark.parametrize(("max_body", "shielded"), [("4Mi", True), ("1Mi", False)])
def test_64_large_requests_failing_at_once_are_shielded_up_to_the_largest_body(
    pair: Callable[..., Pair], max_body: str, *, shielded: bool
) -> None:
    one = pair(servers.Behaviour(500, delay=0.3))
    one.split(HALF, traffic={"tryTimeout": "10s", "maxBody": max_body})
    seen = send(one.port, 128, 64, body=b"x" * 2 * 2**20)
    stable, candidate = one.router.counts(one.name, "stable", 128), one.router.counts(one.name, "candidate")
    assert stable["requests"] + candidate["requests"] == 128
    assert candidate["errors"] == candidate["requests"] > 32
    assert candidate.get("felt", 0) == len(failures(seen)) == (0 if shielded else candidate["requests"])
    assert "failed" not in stable


def test_an_answer_cut_short_cannot_be_shielded_and_says_so(pair: Callable[..., Pair]) -> None:
    one = pair(servers.CUT)
    one.split(HALF)
    seen = send(one.port, 40)
    candidate = one.router.counts(one.name, "candidate", 40)
    assert candidate["resets"] == candidate["felt"] == candidate["requests"] == len(failures(seen)) > 5


def test_a_caller_that_gives_up_on_a_hanging_candidate_counts_against_it(pair: Callable[..., Pair]) -> None:
    one = pair(servers.HANG)
    one.split(HALF, traffic={"tryTimeout": "5s"})
    seen = send(one.port, 40, 40, patience=0.3)
    candidate = one.router.counts(one.name, "candidate", 40)
    assert candidate["cancelled"] == candidate["failed"] == candidate["requests"] == len(failures(seen)) > 5
    assert "felt" not in candidate


def test_nothing_that_may_have_reached_a_model_is_repeated_when_requests_are_not_idempotent(
    pair: Callable[..., Pair],
) -> None:
    one = pair(servers.FAIL)
    one.split(HALF, traffic={"idempotent": False})
    seen = send(one.port, 60)
    candidate = one.router.counts(one.name, "candidate", 60)
    assert candidate["errors"] == candidate["felt"] == statuses(seen)[500] == one.candidate.total > 10
    one.candidate.die()
    assert failures(send(one.port, 60)) == []  # a refused connection reached no model, so stable may answer
    one.router.counts(one.name, "candidate", 120)
    assert one.router.counts(one.name, "candidate")["resets"] > 10


def test_other_servers_refuse_by_their_status(pair: Callable[..., Pair]) -> None:
    one = pair(servers.BAD_REQUEST)
    one.split(HALF, dialect="plain")
    assert failures(send(one.port, 60)) == []
    candidate = one.router.counts(one.name, "candidate", 60)
    assert candidate["refused"] == candidate["requests"] > 10


def test_a_4xx_of_the_callers_own_making_is_passed_on_and_counts_as_nothing(pair: Callable[..., Pair]) -> None:
    one = pair(servers.BAD_REQUEST)
    one.split(HALF)
    assert statuses(send(one.port, 60))[400] == one.candidate.total > 10
    candidate = one.router.counts(one.name, "candidate", 60)
    assert candidate.keys() <= {"requests"}


def test_both_arms_count_by_the_same_formula(pair: Callable[..., Pair]) -> None:
    one = pair(servers.slow(0.3))
    one.stable.behaviour = servers.slow(0.3)
    one.split(HALF, traffic={"tryTimeout": "100ms", "timeout": "5s"}, slow=[{"name": "fast", "threshold": "50ms"}])
    seen = send(one.port, 40, 20)
    for role in ("stable", "candidate"):
        counts = one.router.counts(one.name, role, 40)
        assert counts["timeouts"] == counts["requests"] == counts["slow.fast"] > 5
    # Late is not lost: whichever arm is asked, its answer or stable's reaches the caller.
    assert statuses(seen) == {200: 40}
    assert not one.router.counts(one.name, "candidate").get("felt")


def test_latency_thresholds_are_counted_exactly(pair: Callable[..., Pair]) -> None:
    one = pair(servers.slow(1.5))
    limits = [{"name": "p1", "threshold": "1s"}, {"name": "p2", "threshold": "20s"}]
    one.split(HALF, traffic={"tryTimeout": "25s", "timeout": "30s"}, slow=limits)
    assert failures(send(one.port, 60, 20)) == []
    candidate = one.router.counts(one.name, "candidate", 60)
    assert candidate["slow.p1"] == candidate["requests"] > 10
    assert "slow.p1" not in {key for key, value in one.router.counts(one.name, "stable").items() if value}
    assert candidate["slow.p2"] == 0


def test_a_request_belongs_to_the_epoch_that_assigned_it_however_late_it_ends(pair: Callable[..., Pair]) -> None:
    one = pair(servers.slow(1.0))
    one.split(HALF, traffic={"tryTimeout": "5s"})
    with Load(one.port, 100, callers=40) as load:
        until(lambda: one.candidate.in_flight >= 10, "requests are in flight at the candidate")
        one.split(0, traffic={"tryTimeout": "5s"})
        until(lambda: one.candidate.in_flight == 0, "they end")
        one.candidate.behaviour = servers.FAIL
        one.split(HALF, traffic={"tryTimeout": "5s"})
        until(lambda: one.candidate.total >= 60, "the next epoch is used")
    assert failures(load.seen) == []
    one.router.counts(one.name, "stable", len(load.seen))
    first, second, third = (one.router.counts(one.name, "candidate", version=epoch) for epoch in (1, 2, 3))
    assert second == {}
    assert "failed" not in first
    assert first["requests"] + third["requests"] == one.candidate.total
    assert third["errors"] == third["requests"] > 0


def test_probes_are_answered_by_stable_and_are_no_evidence(pair: Callable[..., Pair]) -> None:
    one = pair(servers.FAIL)
    one.split(HALF)
    assert failures(send(one.port, 40, path="/v2/health/ready")) == []
    assert one.candidate.total == 0
    send(one.port, 10)
    assert one.router.counts(one.name, "stable", 10)["requests"] <= 10


def test_callers_cannot_steer_the_split_the_shield_or_the_counts(pair: Callable[..., Pair]) -> None:
    one, other = pair(servers.FAIL), pair()
    one.split(HALF)
    other.split(HALF)
    steering = {
        "x-forwarded-for": "10.0.0.9",
        "x-penstock-model": other.name,
        "x-penstock-assigned": "mine",
        "x-envoy-max-retries": "0",
        "x-envoy-retry-on": "gateway-error",
        "x-envoy-attempt-count": "7",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-upstream-alt-stat-name": "mine",
    }
    seen = send(one.port, 60, headers=steering)
    assert failures(seen) == []
    candidate = one.router.counts(one.name, "candidate", 60)
    assert candidate["errors"] == candidate["requests"] == one.candidate.total > 10
    assert set(one.candidate.seen) == {one.candidate.revision}
    assert set(one.stable.seen) == {
        one.stable.revision,
        one.candidate.revision,
    }  # what was assigned, also when repeated
    assert other.candidate.total == other.stable.total == 0


def test_with_no_pod_at_all_every_request_counts_as_failed_and_felt(pair: Callable[..., Pair]) -> None:
    one = pair()
    one.split(HALF, dead=("stable", "candidate"))
    assert statuses(send(one.port, 40)) == {503: 40}
    for role in ("stable", "candidate"):
        counts = one.router.counts(one.name, role, 40)
        assert counts["unavailable"] == counts["felt"] == counts["requests"] > 5


def test_without_stable_pods_the_candidate_still_answers(pair: Callable[..., Pair]) -> None:
    one = pair()
    one.split(HALF, dead=("stable",))
    seen = send(one.port, 40)
    candidate = one.router.counts(one.name, "candidate", 40)
    assert statuses(seen) == {200: candidate["requests"], 503: 40 - candidate["requests"]}
    assert "failed" not in candidate
