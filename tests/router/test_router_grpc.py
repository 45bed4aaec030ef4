"""gRPC through the router: the status decides, whatever HTTP says."""

from collections import Counter
from collections.abc import Callable

import pytest
from router_bench.grpc import Ending, GrpcServer, call
from router_bench.pairs import Pair
from router_bench.routers import arm, free_port, model
from router_bench.servers import ServerThread

pytestmark = [pytest.mark.router, pytest.mark.xdist_group("router")]


@pytest.mark.parametrize(
    ("ending", "outcome", "shielded"),
    [
        pytest.param(Ending(0), None, False, id="goes well"),
        pytest.param(Ending(2), "errors", True, id="raises before it answers"),
        pytest.param(Ending(13, trailers_only=False), "errors", False, id="fails after a part of the answer"),
        pytest.param(Ending(8), "saturated", False, id="is too busy"),
        pytest.param(Ending(5), None, False, id="does not find what the caller named"),
    ],
)
def test_a_grpc_status_counts_and_is_shielded_when_nothing_was_answered_yet(
    pair: Callable[..., Pair], thread: ServerThread, ending: Ending, outcome: str | None, *, shielded: bool
) -> None:
    router = pair().router
    name, port = f"m{free_port()}", free_port()
    stable, candidate = GrpcServer(thread, "one", Ending(0)), GrpcServer(thread, "two", ending)
    arms = [arm("one", "stable", 5_000, [stable.endpoint]), arm("two", "candidate", 5_000, [candidate.endpoint])]
    router.put(model(name, port, 1, arms, protocol="h2c"))
    statuses = Counter(call(port, 60))
    counts = router.counts(name, "candidate", 60)
    assert counts["requests"] == candidate.total > 10
    assert statuses == (
        {0: 60} if shielded or not ending.status else {0: 60 - candidate.total, ending.status: candidate.total}
    )
    for other in ("errors", "saturated", "refused"):
        assert counts.get(other, 0) == (candidate.total if other == outcome else 0)
    router.table.remove(name)
    for server in (stable, candidate):
        server.close()
