"""From the names of Envoy's counters to outcomes."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock.router.counters import Answer, CounterReader, Key, first_try
from penstock.router.envoy.bands import Band, bands, read_band
from penstock.router.plan import EMPTY, RouterState, Scope
from penstock.router.routing import Dialect, Role, Threshold
from penstock.router.tally import Tally

pytestmark = [pytest.mark.router, pytest.mark.xdist_group("router")]
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

MARKED = Scope(1, 1_000, (Threshold("fast", 50), Threshold("slow", 2_000)), Dialect.MARKED)
PLAIN = Scope(2, 1_000, (), Dialect.PLAIN)
STATE = RouterState(models={}, leaving=(), slots={}, scopes={"fraud": (MARKED, PLAIN)}, next_generation=3)
OUTCOMES = ("unavailable", "resets", "timeouts", "errors", "cancelled", "refused", "saturated")


def line(count: int, *, kind: str = "try", scope: int = 1, slot: str = "c3", attempt: str = "1", code: int = 200,
         flags: str = "-", shield: str = "", refused: str = "", saturated: str = "", grpc: str = "",
         band: str = "0-49") -> str:  # fmt: skip
    """A counter as Envoy tells it."""
    name = f"penstock.fraud.{scope}.{kind}.slot.{slot}.attempt.{attempt}"
    if kind == "try":
        name += f".shield.{shield}"
    name += f".code.{code}.flags.{flags}"
    if kind == "try":
        name += f".refused.{refused}.saturated.{saturated}.grpc.{grpc}.band.{band}"
    else:
        name += f".grpc.{grpc}"
    return f"{name}: {count}"


def read(*lines: str) -> dict[Key, Tally]:
    """The tallies of one read."""
    reader = CounterReader()
    reader.read("\n".join(lines), STATE)
    return reader.tallies


def only(*lines: str) -> Tally:
    """The one tally of one read."""
    (tally,) = read(*lines).values()
    return tally


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(line(7), {}, id="a good answer"),
        pytest.param(line(7, code=500), {"errors": 7}, id="500"),
        pytest.param(line(7, code=503), {"errors": 7}, id="503 without a mark"),
        pytest.param(line(7, code=503, saturated="1"), {"saturated": 7}, id="503 of ours"),
        pytest.param(line(7, code=429), {"saturated": 7}, id="429"),
        pytest.param(line(7, code=422, refused="1"), {"refused": 7}, id="a marked refusal"),
        pytest.param(line(7, code=422), {}, id="a 4xx of the caller's own making"),
        pytest.param(line(7, code=400, scope=2), {"refused": 7}, id="another server's 400"),
        pytest.param(line(7, code=404, scope=2), {}, id="another server's 404"),
        pytest.param(line(7, code=0, flags="UC"), {"resets": 7}, id="reset"),
        pytest.param(line(7, code=0, flags="UF"), {"resets": 7}, id="connection refused"),
        pytest.param(line(7, code=200, flags="UPE"), {"resets": 7}, id="cut short"),
        pytest.param(line(7, code=0, flags="UT", band="50-999"), {"timeouts": 7}, id="cut off at the try timeout"),
        pytest.param(line(7, code=200, band="1000-1999"), {"timeouts": 7}, id="good but too late"),
        pytest.param(line(7, code=0, band="1000-1999"), {"timeouts": 7}, id="no answer at all"),
        pytest.param(
            line(7, slot="c3h", attempt="2", code=0, band="1000-1999"), {"timeouts": 7}, id="late beside its repetition"
        ),
        pytest.param(line(7, code=0), {"cancelled": 7}, id="given up by the caller"),
        pytest.param(line(7, shield="1"), {"unavailable": 7}, id="answered by the shield at once"),
        pytest.param(line(7, grpc="13"), {"errors": 7}, id="gRPC INTERNAL"),
        pytest.param(line(7, grpc="3"), {}, id="gRPC INVALID_ARGUMENT of the caller's own making"),
        pytest.param(line(7, grpc="3", scope=2), {"refused": 7}, id="another server's INVALID_ARGUMENT"),
        pytest.param(line(7, grpc="8", saturated="1"), {"saturated": 7}, id="RESOURCE_EXHAUSTED of ours, marked"),
        pytest.param(line(7, grpc="8"), {}, id="RESOURCE_EXHAUSTED by a message that is too large"),
        pytest.param(line(7, grpc="8", scope=2), {"saturated": 7}, id="another server's RESOURCE_EXHAUSTED"),
        pytest.param(line(7, grpc="12"), {}, id="a method that is not there"),
        pytest.param(line(7, grpc="12", scope=2), {"errors": 7}, id="another server's UNIMPLEMENTED"),
        *(
            pytest.param(line(7, grpc=status, scope=scope), {"errors": 7}, id=f"gRPC {status}, scope {scope}")
            for status in ("1", "2", "4", "10", "13", "14", "15", "17", "99", "-1")
            for scope in (1, 2)
        ),
        pytest.param(line(7, kind="end", code=503, flags="UH"), {"unavailable": 7, "felt": 7}, id="no pod to try"),
    ],
)
def test_a_first_try_has_one_outcome(told: str, expected: dict[str, int]) -> None:
    tally = only(told)
    counted = {name: getattr(tally, name) for name in (*OUTCOMES, "felt")}
    assert {name: count for name, count in counted.items() if count} == expected
    assert tally.requests == 7


@pytest.mark.parametrize(
    ("told", "felt"),
    [
        (line(2, kind="end", code=500), 2),
        (line(2, kind="end", code=504, flags="UT", attempt="2"), 2),
        (line(2, kind="end", code=200, flags="UPE"), 2),
        (line(2, kind="end", code=200, flags="URX", attempt="2"), 0),
        (line(2, kind="end", code=0, flags="DC"), 0),
        (line(2, kind="end", code=503, flags="UH", attempt="2"), 2),
        (line(2, kind="end", code=200, flags="UT", grpc="14", attempt="2"), 2),
        (line(2, kind="end", code=200, grpc="13"), 2),
        (line(2, kind="end", code=200, grpc="8"), 0),
        (line(2, kind="end", code=200, grpc="-1"), 2),
        (line(2, kind="end", code=200, grpc="12"), 0),
        (line(2, kind="end", code=200, grpc="12", scope=2), 2),
    ],
)
def test_the_end_of_a_request_says_what_its_caller_felt_and_is_no_further_request(told: str, felt: int) -> None:
    assert only(told) == Tally(felt=felt) or (felt == 0 and not only(told))


def test_second_tries_are_repeats_and_no_requests() -> None:
    tally = only(line(5, code=500), line(5, attempt="2", shield="1"))
    assert (tally.requests, tally.errors, tally.repeats) == (5, 5, 5)
    hedged = only(line(5, slot="c3h", code=500), line(5, slot="c3h", attempt="2", shield="1"))
    assert (hedged.requests, hedged.errors, hedged.repeats) == (5, 5, 5)


def test_a_failed_request_exceeds_every_latency_threshold() -> None:
    assert only(line(3, band="50-999")).slow == (3, 0)
    assert only(line(3, code=500)).slow == (3, 3)
    assert only(line(3, code=422, refused="1")).slow == (0, 0)


def test_arms_epochs_and_scopes_are_kept_apart() -> None:
    tallies = read(line(1, slot="c3"), line(2, slot="s3"), line(4, slot="c4"), line(8, slot="c3", scope=2))
    assert {(key.role, key.slot, key.generation): tally.requests for key, tally in tallies.items()} == {
        (Role.CANDIDATE, 3, 1): 1,
        (Role.STABLE, 3, 1): 2,
        (Role.CANDIDATE, 4, 1): 4,
        (Role.CANDIDATE, 3, 2): 8,
    }


def test_what_is_no_count_of_ours_is_left_alone_and_counted() -> None:
    reader = CounterReader()
    reader.read("\n".join([line(1), "penstock.other.9.try.slot.c0.attempt.1: 4", "http.models.rq: 3", ""]), STATE)
    assert reader.unread == 1
    assert sum(tally.requests for tally in reader.tallies.values()) == 1
    assert read(line(3, slot="-")) == {}


def test_reading_again_adds_only_what_is_new_and_forgets_scopes_that_are_over() -> None:
    reader = CounterReader()
    for count in (1, 5, 5, 9):
        reader.read(line(count), STATE)
    assert [tally.requests for tally in reader.tallies.values()] == [9]
    reader.read("", EMPTY)
    assert reader.tallies == {}


@unhurried
@given(
    st.builds(
        Answer,
        attempt=st.just("1"),
        by_shield=st.booleans(),
        code=st.sampled_from([0, 200, 400, 404, 422, 429, 500, 503, 504]),
        flags=st.frozensets(st.sampled_from(["-", "UT", "UC", "UF", "URX", "UH", "UPE"]), max_size=2),
        refused=st.booleans(),
        saturated=st.booleans(),
        grpc=st.none() | st.integers(-1, 17),
        band=st.sampled_from(bands(1_000, MARKED.thresholds)),
    ),
    st.sampled_from([MARKED, PLAIN]),
)
def test_every_request_has_at_most_one_outcome(answer: Answer, scope: Scope) -> None:
    tally = first_try(answer, scope)
    assert tally.requests == 1
    assert sum(getattr(tally, name) for name in OUTCOMES) <= 1
    assert tally.failed + tally.refused + tally.saturated <= 1


@unhurried
@given(st.integers(1, 5_000), st.lists(st.integers(1, 5_000), max_size=8), st.integers(0, 10_000))
def test_bands_part_all_durations(try_timeout: int, limits: list[int], milliseconds: int) -> None:
    parted = bands(try_timeout, [Threshold(str(limit), limit) for limit in limits])
    inside = [band for band in parted if band.low <= milliseconds and (band.high is None or milliseconds <= band.high)]
    assert len(inside) == 1
    for limit in (try_timeout, *limits):
        assert (inside[0].low >= limit) == (milliseconds >= limit)
    assert [read_band(str(band)) for band in parted] == list(parted)


@pytest.mark.parametrize("text", ["", "-", "5", "a-b", "5-x", "-5"])
def test_what_is_no_band_is_none(text: str) -> None:
    assert read_band(text) is None
    assert read_band("5-") == Band(5, None)
