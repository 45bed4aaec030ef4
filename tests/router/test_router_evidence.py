"""What the ledger says about a candidate, and what callers see, by what the candidate does."""

from collections.abc import Callable

import pytest
from router_bench import servers
from router_bench.callers import failures, send, statuses
from router_bench.pairs import Pair

pytestmark = [pytest.mark.router, pytest.mark.xdist_group("router")]

HALF = 5_000


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        pytest.param(servers.FAIL, "errors", id="fails"),
        pytest.param(servers.RESET, "resets", id="resets"),
        pytest.param(servers.GARBAGE, "resets", id="talks no HTTP"),
        pytest.param(servers.HANG, "timeouts", id="hangs"),
        pytest.param(servers.slow(0.4), "timeouts", id="is too late"),
        pytest.param(servers.REFUSE, "refused", id="refuses all"),
        pytest.param(servers.BUSY, "saturated", id="is too busy"),
    ],
)
def test_each_bad_answer_counts_once_and_no_caller_sees_it(
    pair: Callable[..., Pair], behaviour: servers.Behaviour, outcome: str
) -> None:
    one = pair(behaviour)
    one.split(HALF, traffic={"tryTimeout": "200ms"})
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
