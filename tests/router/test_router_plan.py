"""The plan: which slot, scope and clusters a change gets, whatever came before."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock.router.envoy.clusters import clusters
from penstock.router.envoy.parts import Kind, cluster_parts, compose, route_parts
from penstock.router.envoy.routes import virtual_host
from penstock.router.plan import EMPTY, Plan, RouterState, advance, settle
from penstock.router.routing import (
    FULL_WEIGHT,
    Arm,
    Dialect,
    Endpoint,
    ModelRoute,
    Protocol,
    Role,
    RoutingTable,
    Threshold,
)

pytestmark = [pytest.mark.router, pytest.mark.xdist_group("router")]
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def route(
    name: str = "fraud", epoch: int = 1, weight: int | None = 5_000, port: int = 20_001, uid: str = "u", **more: object
) -> ModelRoute:
    """A model with stable `one` and, with a weight, candidate `two`."""
    candidate = None if weight is None else Arm("two", Role.CANDIDATE, weight, (Endpoint("10.0.0.2", 8080),))
    stable = Arm("one", Role.STABLE, FULL_WEIGHT - (weight or 0), (Endpoint("10.0.0.1", 8080),))
    plain = ModelRoute(
        *(name, uid, "", port, epoch, 10_000, 1_000, 2**20, True, Dialect.MARKED, Protocol.HTTP1, (), stable, candidate)
    )
    return replace(plain, **more)


def table(*routes: ModelRoute, **refused: str) -> RoutingTable:
    """A table of these models, and of some that could not be read."""
    return RoutingTable({it.name: it for it in routes}, refused)


def after(*tables: RoutingTable) -> Plan:
    """What the last of some tables, a second apart, leads to."""
    plan = Plan(EMPTY, {})
    for second, it in enumerate(tables):
        plan = advance(plan.state, it, float(second))
    return plan


def test_each_epoch_has_a_slot_of_its_own_while_the_last_one_may_still_be_used() -> None:
    state = after(table(route(epoch=1)), table(route(epoch=2, weight=100))).state
    assert [(slot.number, slot.epoch, slot.weight) for slot in state.slots["fraud"]] == [(0, 1, 5_000), (1, 2, 100)]
    assert state.models["fraud"].slot == 1
    much_later = advance(state, table(route(epoch=3, weight=0)), 10_000.0).state
    assert much_later.models["fraud"].slot == 0
    assert [slot.epoch for slot in much_later.slots["fraud"]] == [2, 3]


def test_a_slot_is_told_apart_until_it_is_needed_again() -> None:
    state = after(table(route(epoch=1)), table(route(epoch=2))).state
    years_later = advance(state, table(route(epoch=2)), 1e9).state
    assert [slot.epoch for slot in years_later.slots["fraud"]] == [1, 2]
    assert advance(advance(state, table(), 1e9).state, table(), 2e9).state.slots == {}


def test_endpoints_and_timeouts_may_change_within_an_epoch() -> None:
    moved = route(timeout=2_000, stable=Arm("one", Role.STABLE, 5_000, ()))
    plan = after(table(route()), table(moved))
    assert plan.refused == {}
    assert plan.state.models["fraud"].route == moved
    assert len(plan.state.slots["fraud"]) == len(plan.state.scopes["fraud"]) == 1


@pytest.mark.parametrize(
    "changed", [{"try_timeout": 500}, {"thresholds": (Threshold("slow", 50),)}, {"dialect": Dialect.PLAIN}]
)
def test_what_decides_how_answers_count_starts_other_counters(changed: dict[str, object]) -> None:
    state = after(table(route()), table(route(**changed))).state
    assert [scope.generation for scope in state.scopes["fraud"]] == [1, 2]
    assert state.models["fraud"].scope.generation == 2


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        (route(epoch=2), route(epoch=1), "older"),
        (route(epoch=2), route(epoch=2, weight=0), "stayed"),
        (route(epoch=2), route(epoch=2, weight=None), "stayed"),
    ],
)
def test_an_epoch_never_goes_back_and_never_changes_its_meaning(
    first: ModelRoute, second: ModelRoute, says: str
) -> None:
    plan = after(table(first), table(second))
    assert says in plan.refused["fraud"]
    assert plan.state.models["fraud"].route == first


def test_another_model_of_the_same_name_may_start_at_any_epoch() -> None:
    plan = after(table(route(epoch=9)), table(route(epoch=1, uid="other")))
    assert plan.refused == {}
    assert [slot.uid for slot in plan.state.slots["fraud"]] == ["u", "other"]


def test_a_port_stays_with_the_model_that_has_it() -> None:
    plan = after(table(route("zebra")), table(route("ant"), route("zebra")))
    assert list(plan.refused) == ["ant"]
    assert "zebra" in plan.refused["ant"]
    swapped = after(table(route("ant")), table(route("ant", port=20_002), route("zebra")))
    assert swapped.refused == {}


def test_an_unreadable_model_stays_and_a_missing_one_goes_unless_a_part_has_no_name() -> None:
    both = table(route("ant"), route("bee", port=20_002))
    assert set(after(both, table(route("ant"), bee="broken")).state.models) == {"ant", "bee"}
    assert set(after(both, table(route("ant"))).state.models) == {"ant"}
    nameless = RoutingTable({"ant": route("ant")}, {}, ("models[1].name: …",))
    assert set(after(both, nameless).state.models) == {"ant", "bee"}


def test_clusters_of_a_replaced_revision_stay_until_requests_on_them_are_over() -> None:
    promoted = route(epoch=2, stable=Arm("two", Role.STABLE, FULL_WEIGHT, ()), candidate=None)
    state = after(table(route()), table(promoted)).state
    assert '"fraud~one"' in cluster_parts(state)["fraud"]
    assert '"fraud~one"' not in cluster_parts(advance(state, table(promoted), 1_000.0).state)["fraud"]


def test_what_envoy_refused_is_as_if_it_had_not_been_asked_for() -> None:
    before = after(table(route(epoch=1))).state
    planned = advance(before, table(route(epoch=2), route("new", port=20_002)), 5.0).state
    settled = settle(before, planned, ["fraud", "new"], 6.0)
    assert settled.models == before.models
    assert settled.slot("fraud", 0) == before.slot("fraud", 0)
    assert [slot.free_at is None for slot in settled.slots["fraud"]] == [True, False]


def test_grpc_goes_elsewhere_by_the_same_split_and_counts_as_the_same() -> None:
    at = {arm: (Endpoint(f"10.0.0.{number}", 8001),) for number, arm in enumerate(("one", "two"), start=1)}
    bare = route()
    assert bare.candidate is not None
    both = replace(
        bare,
        stable=replace(bare.stable, grpc_endpoints=at["one"]),
        candidate=replace(bare.candidate, grpc_endpoints=at["two"]),
    )
    routes_of = virtual_host(both, 3)["routes"]
    grpc, rest = ([it for it in routes_of if ("grpc" in it["match"]) is asked] for asked in (True, False))
    split = [
        [(it["name"], it["match"].get("runtime_fraction")) for it in lane if it["name"] != "-"] for lane in (grpc, rest)
    ]
    assert split[0] == split[1]
    assert [name for name, _ in split[0]] == ["c3h", "s3"]
    assert _clusters_of({"routes": grpc}) == {"fraud~one~grpc", "fraud~two~grpc~shielded"}
    assert _clusters_of({"routes": rest}) == {"fraud~one", "fraud~two~shielded"}


def test_a_lane_is_shielded_by_pods_that_answer_in_it() -> None:
    routes_of = {
        it["name"]: it["route"]["cluster"] for it in virtual_host(route(), 3)["routes"] if "grpc" in it["match"]
    }
    assert routes_of["c3"] == "fraud~two~grpc"


names = st.sampled_from(["ant", "bee"])
routes = st.builds(
    route,
    name=names,
    epoch=st.integers(1, 4),
    weight=st.none() | st.sampled_from([0, 100, 5_000, FULL_WEIGHT]),
    port=st.sampled_from([20_001, 20_002]),
    uid=st.sampled_from(["u", "v"]),
    idempotent=st.booleans(),
    try_timeout=st.sampled_from([500, 1_000]),
)
tables = st.lists(routes, max_size=3).map(lambda several: table(*several))
histories = st.lists(st.tuples(tables, st.floats(0, 600)), max_size=12)


@unhurried
@given(histories)
def test_whatever_comes_counts_can_be_told_apart_and_routes_have_their_clusters(
    history: list[tuple[RoutingTable, float]],
) -> None:
    state, now = EMPTY, 0.0
    for wanted, pause in history:
        now += pause
        plan = advance(state, wanted, now)
        for name in plan.refused:
            assert plan.state.models.get(name) == state.models.get(name)
        _holds(state, plan.state, now)
        state = plan.state
    assert advance(state, RoutingTable({}, {}, ("unnamed",)), now).state == state


def _holds(before: RouterState, state: RouterState, now: float) -> None:
    ports = [model.route.port for model in state.models.values()]
    assert len(set(ports)) == len(ports)
    for name, model in state.models.items():
        slot = state.slot(name, model.slot)
        assert slot is not None
        assert slot.free_at is None
        assert (slot.uid, slot.epoch, slot.weight) == (model.route.uid, model.route.epoch, model.route.candidate_weight)
        assert state.scope(name, model.scope.generation) == model.scope
        assert model.scope.reads_like(model.route)
        known = {cluster["name"] for cluster in clusters(model.route)}
        assert _clusters_of(virtual_host(model.route, model.slot)) <= known
    for name, slots in before.slots.items():
        numbers = [slot.number for slot in state.slots.get(name, ())]
        assert len(set(numbers)) == len(numbers)
        for slot in slots:
            if slot.free_at is None or slot.free_at > now:
                kept = state.slot(name, slot.number)
                assert kept is not None
                assert (kept.uid, kept.epoch) == (slot.uid, slot.epoch)
    assert compose(Kind.ROUTES, route_parts(state)) == compose(Kind.ROUTES, route_parts(state))


def _clusters_of(host: dict[str, object]) -> set[object]:
    return {it["route"]["cluster"] for it in host["routes"]}
