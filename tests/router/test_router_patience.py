"""A candidate that takes too long, in front of a stable revision that takes its time."""

from collections.abc import Callable

import pytest
from router_bench import servers
from router_bench.callers import send, statuses
from router_bench.pairs import Pair
from router_bench.routers import until

pytestmark = [pytest.mark.router, pytest.mark.xdist_group("router")]

TRAFFIC = {"tryTimeout": "100ms", "timeout": "5s"}


@pytest.mark.parametrize(
    "candidate", [servers.HANG, servers.FAIL, servers.slow(1.0)], ids=["hangs", "fails", "is late"]
)
def test_stable_may_take_longer_than_the_try_timeout_for_its_answer(
    pair: Callable[..., Pair], candidate: servers.Behaviour
) -> None:
    one = pair(candidate)
    one.stable.behaviour = servers.slow(0.3)
    one.split(5_000, traffic=TRAFFIC)
    seen = send(one.port, 60)
    assert statuses(seen) == {200: 60}
    assert {answer.revision for answer in seen} == {one.stable.revision}
    one.router.counts(one.name, "stable", 60)
    assigned = one.candidate.total
    until(lambda: one.router.counts(one.name, "candidate").get("repeats") == assigned, "every repetition is noted")
    counted = one.router.counts(one.name, "candidate")
    assert counted["requests"] == counted["failed"] == assigned > 15
    assert "felt" not in counted


def test_a_late_answer_of_the_candidate_is_taken_when_it_is_the_sooner_one_and_still_counts_as_late(
    pair: Callable[..., Pair],
) -> None:
    one = pair(servers.slow(0.3))
    one.stable.behaviour = servers.slow(1.0)
    one.split(5_000, traffic=TRAFFIC)
    seen = send(one.port, 60)
    assert statuses(seen) == {200: 60}
    one.router.counts(one.name, "stable", 60)
    counted = one.router.counts(one.name, "candidate")
    answered = sum(answer.revision == one.candidate.revision for answer in seen)
    assert answered == counted["requests"] == counted["timeouts"] == one.candidate.total > 15
    assert "felt" not in counted
