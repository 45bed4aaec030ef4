"""The routing table's JSON: what is read, what is refused and in which words, what survives a round trip."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock.router import memory
from penstock.router.errors import BadInputError
from penstock.router.memory import Remembered
from penstock.router.plan import EMPTY, advance
from penstock.router.reading import Value
from penstock.router.routing import FULL_WEIGHT, Arm, Dialect, Endpoint, ModelRoute, Protocol, Role, Threshold
from penstock.router.wire import TableReader, read_model, write_model

pytestmark = [pytest.mark.router, pytest.mark.xdist_group("router")]

STABLE = {"revision": "one", "role": "stable", "weight": 9_500, "endpoints": ["10.0.0.1:8080", "[fd00::1]:8080"]}
CANDIDATE = {"revision": "two", "role": "candidate", "weight": 500, "endpoints": []}
MODEL = {"name": "fraud", "port": 20_001, "epoch": 3, "arms": [STABLE, CANDIDATE]}


def table(*models: object) -> str:
    """A table's text."""
    return json.dumps({"models": models})


def test_a_model_needs_little() -> None:
    (route,) = TableReader().read(table(MODEL)).models.values()
    assert (route.timeout, route.try_timeout, route.max_body, route.idempotent) == (10_000, 1_000, 2**20, True)
    assert route.stable.endpoints == (Endpoint("10.0.0.1", 8080), Endpoint("fd00::1", 8080))
    assert route.candidate_weight == 500


def test_grpc_goes_where_http_2_does_unless_told_otherwise() -> None:
    own = STABLE | {"weight": 10_000, "grpcEndpoints": ["10.0.0.1:9000"]}
    bare = {key: value for key, value in own.items() if key != "grpcEndpoints"}
    told = {
        "h2c": {True: ("10.0.0.1", 9000), False: ("10.0.0.1", 8080)},
        "http1": {True: ("10.0.0.1", 9000), False: None},
    }
    for protocol, by_arm in told.items():
        for arm, expected in ((own, by_arm[True]), (bare, by_arm[False])):
            (route,) = TableReader().read(table(MODEL | {"arms": [arm], "protocol": protocol})).models.values()
            assert route.stable.grpc_endpoints[:1] == ((Endpoint(*expected),) if expected else ())
    (silent,) = (
        TableReader().read(table(MODEL | {"arms": [own | {"grpcEndpoints": []}], "protocol": "h2c"})).models.values()
    )
    assert silent.stable.grpc_endpoints == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"port": "20001"}, "port: must be a whole number"),
        ({"port": 70_000}, "port: must be a whole number"),
        ({"port": True}, "port: must be a whole number"),
        ({"epoch": None}, "epoch: is missing"),
        ({"epoch": -1}, "epoch: must be"),
        ({"colour": "red"}, "knows no colour"),
        ({"dialect": "latin"}, "dialect: must be marked or plain"),
        ({"protocol": "http3"}, "protocol: must be http1 or h2c"),
        ({"traffic": {"timeout": "soon"}}, "traffic.timeout: must be a duration"),
        ({"traffic": {"timeout": "0s"}}, "traffic.timeout: must be a duration"),
        ({"traffic": {"tryTimeout": "11s"}}, "traffic.tryTimeout: must not exceed timeout"),
        ({"traffic": {"maxBody": "1MB"}}, "traffic.maxBody: must be a size"),
        ({"traffic": {"maxBody": "1Gi"}}, "traffic.maxBody: must be at most 64Mi"),
        ({"traffic": {"idempotent": "yes"}}, "traffic.idempotent: must be true or false"),
        ({"traffic": []}, "traffic: must be an object"),
        ({"traffic": {"retries": 3}}, "traffic: knows no retries"),
        ({"slow": [{"name": "p", "threshold": "1s"}] * 2}, "slow: must hold at most 8"),
        ({"slow": [{"name": "p"}]}, "slow[0].threshold: must be a duration"),
        ({"arms": {}}, "arms: must be an array"),
        ({"arms": []}, "arms: must hold one stable arm"),
        ({"arms": [CANDIDATE]}, "arms: must hold one stable arm"),
        ({"arms": [STABLE, STABLE]}, "arms: must hold one stable arm"),
        ({"arms": [STABLE]}, "arms: must have weights that add up to 10000"),
        ({"arms": [STABLE, CANDIDATE | {"revision": "one"}]}, "arms: must name two different revisions"),
        ({"arms": [STABLE, CANDIDATE | {"weight": 0.5}]}, "arms[1].weight: must be a whole number"),
        ({"arms": [STABLE | {"endpoints": ["fraud:8080"]}]}, "arms[0].endpoints[0]: must be an IP address"),
        ({"arms": [STABLE | {"endpoints": ["fd00::1:80"]}]}, "arms[0].endpoints[0]: must be an IP address"),
        ({"arms": [STABLE | {"endpoints": ["10.0.0.1:0"]}]}, "arms[0].endpoints[0]: must be an IP address"),
        ({"arms": [STABLE | {"endpoints": ["[10.0.0.1]:80"]}]}, "arms[0].endpoints[0]: must be an IP address"),
        ({"arms": [STABLE | {"grpcEndpoints": ["fraud"]}]}, "arms[0].grpcEndpoints[0]: must be an IP address"),
        ({"arms": [STABLE | {"revision": "A*"}]}, "arms[0].revision: must be a lower-case name"),
    ],
)
def test_a_bad_part_names_its_field_and_costs_no_other_model(change: dict[str, object], says: str) -> None:
    read = TableReader().read(table(MODEL | change, MODEL | {"name": "other"}))
    assert list(read.models) == ["other"]
    assert read.refused["fraud"].startswith(f"model fraud.{says}") or says in read.refused["fraud"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"models": {}}', '{"model": []}', '{"models": [], "x": 1}'])
def test_what_is_no_table_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(BadInputError):
        TableReader().read(text)


@pytest.mark.parametrize("part", [{}, 3, {"name": 3}, {"name": "a.b"}, {"name": "A"}])
def test_a_part_without_a_usable_name_is_told_by_its_place(part: object) -> None:
    read = TableReader().read(table(MODEL, part))
    assert list(read.models) == ["fraud"]
    assert read.unnamed[0].startswith("models[1].name: must be a lower-case name")


def test_a_model_that_is_there_twice_is_refused() -> None:
    read = TableReader().read(table(MODEL, MODEL))
    assert read.models == {}
    assert "twice" in read.refused["fraud"]


def test_an_unchanged_part_is_not_read_again() -> None:
    reader = TableReader()
    first = reader.read(table(MODEL, MODEL | {"name": "other"}))
    second = reader.read(table(MODEL | {"epoch": 4}, MODEL | {"name": "other"}))
    assert second.models["other"] is first.models["other"]
    assert second.models["fraud"].epoch == 4


labels = st.sampled_from(["a", "fraud", "x-1", "0day", "a" * 63])
endpoints = st.builds(Endpoint, st.sampled_from(["10.0.0.1", "fd00::1", "::1", "255.1.2.3"]), st.integers(1, 65_535))
several = st.frozensets(endpoints, max_size=3).map(lambda found: tuple(sorted(found)))
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def routes(draw: st.DrawFn) -> ModelRoute:
    """Any route."""
    weight = draw(st.integers(0, FULL_WEIGHT))
    one, two = draw(st.lists(labels, min_size=2, max_size=2, unique=True))
    timeout = draw(st.integers(1, 60_000))
    with_candidate = draw(st.booleans())
    thresholds = draw(st.dictionaries(labels, st.integers(1, 60_000), max_size=3))
    return ModelRoute(
        name=draw(labels),
        uid=draw(st.sampled_from(["", "9d1c-4"])),
        release=draw(st.sampled_from(["", "fraud@2026-11-24"])),
        port=draw(st.integers(1, 65_535)),
        epoch=draw(st.integers(0, 2**40)),
        timeout=timeout,
        try_timeout=draw(st.integers(1, timeout)),
        max_body=draw(st.integers(1, 65_536)) * 2**10,
        idempotent=draw(st.booleans()),
        dialect=draw(st.sampled_from(Dialect)),
        protocol=draw(st.sampled_from(Protocol)),
        thresholds=tuple(Threshold(name, limit) for name, limit in thresholds.items()),
        stable=Arm(
            one, Role.STABLE, FULL_WEIGHT - weight if with_candidate else FULL_WEIGHT, draw(several), draw(several)
        ),
        candidate=Arm(two, Role.CANDIDATE, weight, draw(several), draw(several)) if with_candidate else None,
    )


@unhurried
@given(routes())
def test_a_route_survives_the_wire(route: ModelRoute) -> None:
    assert read_model(Value(json.loads(json.dumps(write_model(route))), "")) == route


@unhurried
@given(first=routes(), second=routes())
def test_the_state_survives_the_disk(
    first: ModelRoute, second: ModelRoute, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("state")
    reader = TableReader()
    before = advance(EMPTY, reader.read(table(write_model(first))), 5.0).state
    after = advance(before, reader.read(table(write_model(second))), 6.0).state
    changed = [name for name in {*before.models, *after.models} if before.models.get(name) != after.models.get(name)]
    remembered = Remembered(after, {name: before.models.get(name) for name in changed})
    memory.save(folder, remembered)
    assert memory.load(folder) == remembered
    assert remembered.in_force.models == before.models


def test_a_state_that_is_none_can_be_set_aside(tmp_path: Path) -> None:
    assert memory.load(tmp_path) is None
    (tmp_path / memory.FILE).write_text('{"models": 3}')
    with pytest.raises(BadInputError, match=memory.FILE):
        memory.load(tmp_path)
    memory.set_aside(tmp_path)
    assert memory.load(tmp_path) is None
