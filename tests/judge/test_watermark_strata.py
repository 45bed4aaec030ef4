"""Seconds close once, in one order; strata close by totals, per router and version."""

import pytest
from penstock.judge.criteria import Arm
from penstock.judge.rows import MISSING, Fault, Row, Users
from penstock.judge.strata import Strata, enough
from penstock.judge.watermark import GAP, JUMP, MOST_OPEN, MOST_TAINTED, SILENCE, Second, Watermark


def row(t: float, arm: Arm = Arm.STABLE, requests: int = 10, events: int = 0, **more: object) -> Row:
    facts: dict[str, object] = {"router": "a", "version": "1", "weight": 0.5} | more
    return Row(t=t, arm=arm, requests=requests, events=(events,), **facts)  # type: ignore[arg-type]


def closed(watermark: Watermark, *rows: Row) -> list[Second]:
    found: list[Second] = []
    for one in rows:
        watermark.add(one)
        found += watermark.drain()
    return found


def test_a_second_closes_when_every_router_has_gone_past_it() -> None:
    watermark = Watermark(1)
    assert closed(watermark, row(0.0), row(0.5, router="b"), row(1.0)) == []
    seconds = closed(watermark, row(1.2, router="b"))
    assert [(second.t, second.router) for second in seconds] == [(0, "a"), (0, "b")]


def test_a_silent_router_is_not_waited_for_and_its_later_rows_are_late() -> None:
    watermark = Watermark(1)
    seconds = closed(watermark, row(0.0, router="b"), *(row(float(t)) for t in range(SILENCE + 2)))
    assert max(second.t for second in seconds) == SILENCE
    assert watermark.add(row(3.0, router="b")) is Fault.LATE


def test_what_is_noticed_is_named() -> None:
    watermark = Watermark(1)
    assert watermark.add(row(100.0)) is None
    assert watermark.add(row(100.0)) is Fault.DUPLICATE
    assert watermark.add(row(100.0, requests=11)) is None
    assert watermark.add(row(104.0, router="b")) is None
    assert watermark.add(row(101.0, router="c")) is Fault.CLOCK_SKEW
    assert watermark.add(row(104.0 + GAP + 1)) is Fault.GAP
    assert watermark.add(row(1_000.0 + JUMP)) is Fault.ABSURD


def test_memory_stays_bounded() -> None:
    watermark = Watermark(1)
    faults = {watermark.add(row(1.0, requests=i)) for i in range(MOST_OPEN + 5)}
    assert faults == {None, Fault.ABSURD}
    assert len(watermark.waiting) == MOST_OPEN
    for i in range(MOST_TAINTED + 5):
        assert watermark.taint(2.0, f"router-{i}")
    assert len(watermark.tainted) == MOST_TAINTED


def test_split_parts_are_summed_and_a_refused_row_spoils_its_second_for_both_arms() -> None:
    watermark = Watermark(1)
    watermark.taint(0.3, "b")
    watermark.add(row(0.1, requests=4, events=1))
    watermark.add(row(0.2, requests=6, events=2))
    watermark.add(row(0.2, Arm.CANDIDATE, 3, 3, outage="pod-1/2"))
    watermark.add(row(0.4, router="b"))
    watermark.add(row(0.6, router="c", requests=5, events=MISSING))
    a, b, c = watermark.finish()
    assert (a.stable.requests, a.stable.events, a.candidate.requests, a.candidate.events) == (10, (3,), 3, (3,))
    assert (a.spoilt, b.spoilt, c.spoilt) == ((False,), (True,), (True,))
    assert a.outages == frozenset({"pod-1/2"})
    assert watermark.finish() == []


def test_two_weights_in_one_version_are_a_conflict() -> None:
    watermark = Watermark(1)
    watermark.add(row(0.1))
    watermark.add(row(0.2, Arm.CANDIDATE, weight=0.25))
    assert watermark.finish()[0].spoilt == (True,)


def test_nothing_heard_nothing_closed() -> None:
    watermark = Watermark(1)
    assert watermark.drain() == []
    assert watermark.finish() == []
    watermark.taint(1.0, "a")
    watermark.closed = 5
    watermark.taint(1.0, "a")
    assert len(watermark.tainted) == 1


def test_answered_failures_are_no_outage() -> None:
    watermark = Watermark(1)
    watermark.add(row(0.2, Arm.CANDIDATE, 3, 3, outage="pod-1/2"))
    watermark.add(row(0.3, Arm.CANDIDATE, 3, 1))
    assert watermark.finish()[0].outages == frozenset()


def test_users_and_pods_are_kept() -> None:
    watermark = Watermark(1)
    watermark.add(row(0.2, users=Users(3, (1,)), pod="p"))
    watermark.add(row(0.3, users=Users(4, (MISSING,))))
    (second,) = watermark.finish()
    assert (second.stable.new_users, second.stable.user_events) == (7, (1,))
    assert second.pods == ((Arm.STABLE, "p", 10, (0,)),)


def second(t: int, stable: int, candidate: int, **more: object) -> Second:
    watermark = Watermark(1)
    watermark.add(row(float(t), requests=stable, **more))
    watermark.add(row(float(t), Arm.CANDIDATE, candidate, **more))
    return watermark.finish()[0]


@pytest.mark.parametrize(
    ("weight", "requests"), [(0.5, 10), (0.2, 10), (0.1, 20), (0.05, 40), (0.01, 200), (0.0, 20_000), (1.0, 10)]
)
def test_a_stratum_holds_ten_requests_and_two_of_the_candidates(weight: float, requests: float) -> None:
    assert enough(weight) == pytest.approx(requests)


def test_a_stratum_closes_at_the_first_second_with_enough_requests_in_all() -> None:
    strata = Strata(1)
    assert strata.add(second(0, 5, 4)) == (None, None)
    stratum, _ = strata.add(second(1, 0, 1))
    assert stratum is not None
    assert (stratum.cells[0].stable, stratum.cells[0].candidate, stratum.requests, stratum.t) == (5, 5, 10, 1)


def test_what_is_half_gathered_when_the_version_changes_is_dropped() -> None:
    strata = Strata(1)
    strata.add(second(0, 5, 4, version="1"))
    assert strata.add(second(1, 2, 2, version="2")) == (None, None)
    stratum, fault = strata.add(second(2, 5, 5, version="1"))
    assert fault is Fault.RESET
    assert stratum is not None
    assert stratum.requests == 10


def test_versions_that_are_numbers_keep_their_order() -> None:
    watermark = Watermark(1)
    for version in ("10", "9", "nan", "blue"):
        watermark.add(row(0.0, version=version))
    assert [second.version for second in watermark.finish()] == ["9", "10", "blue", "nan"]


def test_a_new_weight_in_the_same_version_begins_anew() -> None:
    strata = Strata(1)
    strata.add(second(0, 5, 4, weight=0.5))
    assert strata.add(second(1, 5, 4, weight=0.25)) == (None, None)


def test_routers_are_strata_of_their_own() -> None:
    strata = Strata(1)
    assert strata.add(second(0, 5, 4))[0] is None
    assert strata.add(second(0, 5, 4, router="b"))[0] is None


def test_an_unknown_weight_is_the_share_seen_so_far() -> None:
    strata = Strata(1)
    first, _ = strata.add(second(0, 95, 5, weight=None))
    assert first is not None
    assert first.weight == 0.5
    assert strata.add(second(1, 19, 1, weight=None))[0] is None
    later, _ = strata.add(second(2, 19, 1, weight=None))
    assert later is not None
    assert later.weight == pytest.approx(6 / 102)


def test_a_spoilt_second_counts_for_nothing() -> None:
    strata = Strata(1)
    watermark = Watermark(1)
    watermark.taint(0.0, "a")
    watermark.add(row(0.0, requests=50))
    assert strata.add(watermark.finish()[0]) == (None, None)
    assert strata.open["a"].requests == 0


def test_a_guardrail_that_lacks_its_counts_gets_none_of_the_stratum() -> None:
    watermark = Watermark(2)
    watermark.add(Row(0.0, "a", "1", Arm.STABLE, 0.5, 10, (1, MISSING)))
    watermark.add(Row(0.0, "a", "1", Arm.CANDIDATE, 0.5, 10, (2, 1)))
    stratum, _ = Strata(2).add(watermark.finish()[0])
    assert stratum is not None
    assert (stratum.cells[0].stable_events, stratum.cells[1].stable, stratum.cells[1].candidate) == (1, 0, 0)


def test_outages_of_a_stratum_are_those_of_all_its_failures() -> None:
    def failing(t: int, outage: str) -> Second:
        watermark = Watermark(1)
        watermark.add(row(float(t), requests=2))
        watermark.add(row(float(t), Arm.CANDIDATE, 2, 2, outage=outage))
        return watermark.finish()[0]

    def outages(*names: str) -> frozenset[str]:
        strata = Strata(1)
        for t, name in enumerate(names):
            stratum, _ = strata.add(failing(t, name))
        assert stratum is not None
        return stratum.outages

    assert outages("x", "x", "x") == {"x"}
    assert outages("x", "y", "x") == {"x", "y"}
    assert outages("x", "", "x") == frozenset()


def test_named_versions_never_look_like_a_reset() -> None:
    strata = Strata(1)
    strata.add(second(0, 2, 2, version="green"))
    assert strata.add(second(1, 2, 2, version="blue")) == (None, None)
