"""gRPC through the router: the status decides, whatever HTTP says."""

import time
from collections import Counter
from collections.abc import Callable, Iterator

import httpx
import pytest
from penstock.router.envoy.bootstrap import ADMIN_SOCKET
from penstock.router.envoy.clusters import STREAMS_OF_A_CONNECTION
from penstock.router.envoy.listeners import CALLS_OF_A_CONNECTION, CONNECTION_WINDOW, STREAM_WINDOW
from router_bench import servers
from router_bench.balancer import Balancer
from router_bench.callers import send, statuses
from router_bench.grpc import Ending, GrpcServer, call, give_up, give_up_again, settings_of
from router_bench.grpc_load import GrpcLoad
from router_bench.routers import Router, arm, free_port, model, until
from router_bench.servers import ModelServer, ServerThread

pytestmark = [pytest.mark.router, pytest.mark.xdist_group("router")]

REFUSED, SATURATED = "x-penstock-refused", "x-penstock-saturated"
OUTCOMES = ("unavailable", "resets", "errors", "refused", "saturated")


class Both:
    """A model whose two revisions answer HTTP at one port and gRPC at another."""

    def __init__(self, router: Router, thread: ServerThread, ending: Ending) -> None:
        self.router, self.name, self.port = router, f"m{free_port()}", free_port()
        self.http = {role: ModelServer(thread, role) for role in ("stable", "candidate")}
        self.grpc = {"stable": GrpcServer(thread, "one", Ending(0)), "candidate": GrpcServer(thread, "two", ending)}

    def split(self, weight: int, *, silent: tuple[str, ...] = (), **more: object) -> None:
        """Give the candidate this weight; `silent` roles have no endpoint for gRPC."""
        arms = [
            arm(
                f"{self.name}-{role}",
                role,
                share,
                [self.http[role].endpoint],
                [] if role in silent else [self.grpc[role].endpoint],
            )
            for role, share in (("stable", 10_000 - weight), ("candidate", weight))
        ]
        self.router.put(model(self.name, self.port, 1, arms, **more))

    def counts(self, role: str, requests: int | None = None) -> dict[str, int]:
        """What the ledger says of a role, repetitions that ended later than first tries included."""
        asked = time.time()
        until(lambda: float(self.router.get("/ledger?since=now")[1]["x-penstock-complete-until"]) > asked, "a read")
        return self.router.counts(self.name, role, requests)

    def close(self) -> None:
        self.router.table.remove(self.name)
        for server in self.grpc.values():
            server.close()
        for other in self.http.values():
            other.die()


@pytest.fixture
def both(shared_router: Router, thread: ServerThread) -> Iterator[Callable[[Ending], Both]]:
    made: list[Both] = []

    def make(ending: Ending) -> Both:
        made.append(Both(shared_router, thread, ending))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize(
    ("ending", "outcome", "shielded"),
    [
        pytest.param(Ending(0), None, False, id="goes well"),
        pytest.param(Ending(2), "errors", True, id="raises before it answers"),
        pytest.param(Ending(4), "errors", True, id="takes too long by its own limit"),
        pytest.param(Ending(13), "errors", True, id="fails"),
        pytest.param(Ending(14), "errors", True, id="is unavailable"),
        pytest.param(Ending(13, trailers_only=False), "errors", False, id="fails after a part of the answer"),
        pytest.param(Ending(1), "errors", True, id="cancels by itself"),
        pytest.param(Ending(10), "errors", True, id="aborts"),
        pytest.param(Ending(99), "errors", True, id="ends with a number that gRPC does not know"),
        pytest.param(Ending(-7), "errors", True, id="ends with a negative number"),
        pytest.param(Ending(1, trailers_only=False), "errors", False, id="cancels by itself after a part"),
        pytest.param(Ending(10, trailers_only=False), "errors", False, id="aborts after a part"),
        pytest.param(Ending(99, trailers_only=False), "errors", False, id="ends with an unknown number after a part"),
        pytest.param(Ending(-7, trailers_only=False), "errors", False, id="ends with a negative number after a part"),
        pytest.param(Ending(8, mark=SATURATED), "saturated", True, id="is too busy"),
        pytest.param(Ending(8), None, False, id="is sent too much"),
        pytest.param(Ending(12), None, False, id="has no such method"),
        pytest.param(Ending(12, trailers_only=False), None, False, id="has no such method, it says late"),
        pytest.param(Ending(3, mark=REFUSED), "refused", True, id="refuses the input"),
        pytest.param(Ending(3), None, False, id="is asked nonsense"),
        pytest.param(Ending(5), None, False, id="does not find what the caller named"),
    ],
)
def test_a_grpc_status_counts_and_is_shielded_when_nothing_was_answered_yet(
    both: Callable[[Ending], Both], ending: Ending, outcome: str | None, *, shielded: bool
) -> None:
    one = both(ending)
    one.split(5_000)
    got = Counter(call(one.port, 60))
    counts = one.counts("candidate", 60)
    reached = one.grpc["candidate"].total
    assert counts["requests"] == reached > 10
    assert counts.get("repeats", 0) == (reached if shielded else 0)
    assert got == ({0: 60} if shielded or not ending.status else {0: 60 - reached, ending.status: reached})
    assert {other: counts.get(other, 0) for other in OUTCOMES} == {
        other: reached if other == outcome else 0 for other in OUTCOMES
    }
    assert counts.get("felt", 0) == (reached if outcome == "errors" and not shielded else 0)
    assert sum(server.total for server in one.http.values()) == 0


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        pytest.param(Ending(0, reset=True), "resets", id="resets the call"),
        pytest.param(Ending(0, delay=3.0), "timeouts", id="is late"),
    ],
)
def test_a_call_without_an_answer_in_time_is_answered_by_stable(
    both: Callable[[Ending], Both], ending: Ending, outcome: str
) -> None:
    one = both(ending)
    one.split(5_000, traffic={"tryTimeout": "300ms" if ending.delay else "5s"})
    assert Counter(call(one.port, 20)) == {0: 20}
    counts = one.counts("candidate", 20)
    assert counts[outcome] == counts["failed"] == counts["requests"] == one.grpc["candidate"].total > 0


def test_a_caller_whose_deadline_passes_at_a_hanging_candidate_counts_against_it(
    both: Callable[[Ending], Both],
) -> None:
    one = both(Ending(0, delay=6.0))
    one.split(5_000, traffic={"tryTimeout": "8s"})
    give_up(one.port, 40, 2.0)
    counts = one.counts("candidate", 40)
    assert counts["cancelled"] == counts["failed"] == counts["requests"] == one.grpc["candidate"].total > 5
    # Workers of a pod share its port by connections, so calls at once must not all be on one.
    assert one.grpc["candidate"].connections >= one.grpc["candidate"].total / STREAMS_OF_A_CONNECTION
    assert "felt" not in counts
    assert one.counts("stable").keys() <= {"requests"}


@pytest.mark.parametrize(("status", "outcome"), [(3, "refused"), (8, "saturated"), (12, "errors"), (-7, "errors")])
def test_other_servers_say_all_by_their_grpc_status(both: Callable[[Ending], Both], status: int, outcome: str) -> None:
    one = both(Ending(status))
    one.split(5_000, dialect="plain")
    assert Counter(call(one.port, 60)) == {0: 60}
    counts = one.counts("candidate", 60)
    assert counts[outcome] == counts["repeats"] == one.grpc["candidate"].total > 10


def test_deadlines_that_pass_cost_no_other_call_on_their_connection(both: Callable[[Ending], Both]) -> None:
    one = both(Ending(0, delay=3.0))
    one.split(9_000, traffic={"tryTimeout": "8s"})
    # Envoy's own guard would close the connection after some 260 of them.
    assert give_up_again(one.port, batches=8, calls=100, patience=0.15) > 0
    counts = one.counts("candidate", 820)
    assert counts["cancelled"] > 600


def test_a_connection_tells_its_callers_how_much_it_takes(both: Callable[[Ending], Both]) -> None:
    one = both(Ending(0))
    one.split(0)
    told = settings_of(one.port)
    assert told["streams"] == CALLS_OF_A_CONNECTION
    assert told["stream window"] == STREAM_WINDOW
    assert told["connection window"] == CONNECTION_WINDOW


def test_messages_larger_than_a_connections_window_arrive(both: Callable[[Ending], Both]) -> None:
    one = both(Ending(0))
    one.split(5_000, traffic={"maxBody": "16Mi"})
    with GrpcLoad(one.port, 2, b"x" * (CONNECTION_WINDOW + STREAM_WINDOW)) as load:
        until(lambda: load.seen.total() > 8, "large calls")
    assert dict(load.seen) == {"OK": load.seen.total()}


def test_servers_of_http_2_without_a_port_of_their_own_for_grpc_are_asked_at_their_only_one(
    both: Callable[[Ending], Both],
) -> None:
    one = both(Ending(13))
    arms = [
        {"revision": f"{one.name}-{role}", "role": role, "weight": 5_000, "endpoints": [one.grpc[role].endpoint]}
        for role in ("stable", "candidate")
    ]
    one.router.put(model(one.name, one.port, 1, arms, protocol="h2c"))
    assert Counter(call(one.port, 60)) == {0: 60}
    assert one.counts("candidate", 60)["errors"] == one.grpc["candidate"].total > 10


@pytest.mark.parametrize("gone", ["no endpoints", "connections refused"])
def test_a_candidate_that_does_not_answer_grpc_fails_every_call_it_was_given(
    both: Callable[[Ending], Both], gone: str
) -> None:
    one = both(Ending(0))
    one.grpc["candidate"].close()
    one.split(5_000, silent=("candidate",) if gone == "no endpoints" else ())
    assert Counter(call(one.port, 60)) == {0: 60}
    counts = one.counts("candidate", 60)
    assert counts["unavailable" if gone == "no endpoints" else "resets"] == counts["failed"] == counts["requests"] > 10


def test_grpc_web_is_no_grpc(both: Callable[[Ending], Both]) -> None:
    one = both(Ending(0))
    one.split(5_000)
    assert {answer.status for answer in send(one.port, 20, headers={"content-type": "application/grpc-web+proto"})} == {
        200
    }
    one.counts("candidate", 20)
    assert sum(server.total for server in one.http.values()) == 20
    socket = one.router.folder / "envoy" / ADMIN_SOCKET
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://envoy") as admin:
        counters = admin.get("/stats", params={"usedonly": "", "filter": f"penstock.{one.name}."}).text
    assert ".try." in counters
    assert ".end." not in counters


def test_a_model_without_grpc_answers_unavailable_and_goes_on_over_http(both: Callable[[Ending], Both]) -> None:
    one = both(Ending(0))
    one.split(5_000, silent=("stable", "candidate"))
    assert Counter(call(one.port, 40)) == {14: 40}
    for role in ("stable", "candidate"):
        counts = one.counts(role, 40)
        assert counts["unavailable"] == counts["felt"] == counts["requests"] > 5
    assert statuses(send(one.port, 20)) == {200: 20}


def test_http_and_grpc_are_one_stream_of_evidence(both: Callable[[Ending], Both]) -> None:
    one = both(Ending(13))
    one.http["candidate"].behaviour = servers.FAIL
    one.split(5_000)
    assert Counter(call(one.port, 60)) == {0: 60}
    assert statuses(send(one.port, 60)) == {200: 60}
    counts = one.counts("candidate", 120)
    asked = one.grpc["candidate"].total + one.http["candidate"].total
    assert counts["errors"] == counts["requests"] == asked
    assert min(one.grpc["candidate"].total, one.http["candidate"].total) > 10
    assert one.counts("stable")["requests"] == 120 - asked


def test_probes_and_reflection_are_answered_by_stable_and_are_no_evidence(both: Callable[[Ending], Both]) -> None:
    one = both(Ending(13))
    one.split(10_000)
    assert call(one.port, 10, "/inference.GRPCInferenceService/ServerMetadata") == [0] * 10  # as GET /v2, by the split
    for path in (
        "/grpc.health.v1.Health/Check",
        "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ):
        assert call(one.port, 5, path) == [0] * 5
    assert one.grpc["candidate"].total == 10
    assert call(one.port, 10) == [0] * 10
    assert one.counts("candidate", 20)["requests"] == 20
    assert one.counts("stable").get("requests", 0) == 0


def test_a_router_rollout_costs_no_grpc_caller(new_router: Callable[..., Router], thread: ServerThread) -> None:
    stable, candidate = GrpcServer(thread, "one", Ending(0)), GrpcServer(thread, "two", Ending(14))
    balancer = Balancer(thread)
    arms = [
        arm("one", "stable", 5_000, [], [stable.endpoint]),
        arm("two", "candidate", 5_000, [], [candidate.endpoint]),
    ]
    ports: dict[Router, int] = {}

    def join() -> None:
        router, port = new_router(), free_port()
        router.put(model(f"m{port}", port, 1, arms))
        balancer.add(port, router.is_ready)
        until(lambda: port in balancer.ready, "the new router is ready")
        ports[router] = port

    join()
    with GrpcLoad(balancer.port, 6) as load:
        for _ in range(2):
            (leaving,) = ports
            join()
            before = load.seen.total()
            until(lambda before=before: load.seen.total() > before + 30, "traffic goes on")
            balancer.remove(ports.pop(leaving))
            assert "0 requests left" in leaving.leave()
        before = load.seen.total()
        until(lambda: load.seen.total() > before + 30, "traffic goes on")
    balancer.close()
    stable.close()
    candidate.close()
    assert candidate.total > 30
    assert dict(load.seen) == {"OK": load.seen.total()}
