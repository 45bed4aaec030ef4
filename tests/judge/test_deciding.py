"""Which verdict goes before which, and where exactly each line lies."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from penstock.judge import forecast, guardrail
from penstock.judge.criteria import Arm, Criteria, Guardrail, Tolerance, Unit
from penstock.judge.doubt import Doubt
from penstock.judge.guardrail import Cell
from penstock.judge.release import Release
from penstock.judge.rows import Fault
from penstock.judge.strata import Open, Strata, Stratum, Tally, enough
from penstock.judge.verdict import Decision, Reason, per_metric_threshold, tolerated_points
from penstock.judge.watermark import Second, Side

Word = tuple[Decision, Reason, str]
TWO = Criteria((Guardrail("failed", "failed"), Guardrail("refused", "refused")), deadline=10_000.0)
STICKY = Criteria((Guardrail("failed", "failed", Tolerance(), Unit.USERS),), deadline=10_000.0)
LINE = math.log(100)
NOW = 10_100
AUTO = Criteria((Guardrail("a", "failed", Tolerance(1.5, None)), Guardrail("b")))


def release(criteria: Criteria = TWO) -> Release:
    """One that has seen both arms, and collects."""
    made = Release(criteria)
    made.started, made.latest, made.seen, made.requests, made.weight = 10_000, NOW, (500, 500), 1_000, 0.5
    made.doubt.rows = 200
    return made


def harmed(made: Release, *log_means: float) -> None:
    for evidence, log in zip(made.evidence, log_means, strict=True):
        value = math.exp(log)
        evidence.split_harm, evidence.ratio_harm, evidence.points_harm = [value] * 5, [value] * 5, [value] * 5


def healthy(made: Release, *logs: float) -> None:
    for evidence, log in zip(made.evidence, logs, strict=True):
        evidence.ratio_health, evidence.points_health = [log] * 2, [log] * 2


def set_to(**facts: Any) -> Callable[[Release], None]:
    def change(made: Release) -> None:
        for name, value in facts.items():
            setattr(made, name, value)

    return change


# From the strongest to the weakest; each is put on a release to which every weaker one applies too.
PRECEDENCE: list[tuple[Callable[[Release], None], Word]] = [
    (set_to(rolled_back=True), (Decision.ROLLBACK, Reason.WORSE, "refused")),
    (set_to(latest=-1), (Decision.HOLD, Reason.DOUBTFUL_COUNTERS, "")),
    (set_to(started=NOW - 10_001), (Decision.INCONCLUSIVE, Reason.DEADLINE_EXCEEDED, "")),
    (set_to(latest=NOW - 31), (Decision.HOLD, Reason.STALE_EVIDENCE, "")),
    (set_to(seen=(500, 0)), (Decision.HOLD, Reason.NO_CANDIDATE_TRAFFIC, "")),
    (set_to(alone=(29, 0)), (Decision.HOLD, Reason.NO_CANDIDATE_TRAFFIC, "")),
    (set_to(seen=(0, 500)), (Decision.HOLD, Reason.NO_STABLE_TRAFFIC, "")),
    (set_to(alone=(0, 29)), (Decision.HOLD, Reason.NO_STABLE_TRAFFIC, "")),
    (set_to(missing=[0, 1]), (Decision.HOLD, Reason.MISSING_COUNT, "refused")),
    (lambda made: made.doubt.note(Fault.LATE, NOW), (Decision.HOLD, Reason.DOUBTFUL_COUNTERS, "")),
    (
        lambda made: harmed(made, math.log(15), math.log(19)),
        (Decision.HOLD, Reason.SIGNS_OF_HARM, "refused"),
    ),
    (lambda made: healthy(made, LINE, LINE), (Decision.PROMOTE, Reason.HARM_EXCLUDED, "")),
    (lambda made: None, (Decision.HOLD, Reason.COLLECTING, "failed")),
]


@pytest.mark.parametrize(
    "position", range(len(PRECEDENCE)), ids=[f"{i}-{word[1]}" for i, (_, word) in enumerate(PRECEDENCE)]
)
def test_verdicts_have_an_order_of_precedence(position: int) -> None:
    made = release()
    for change, _ in reversed(PRECEDENCE[position:]):
        change(made)
    assert made.decide(NOW) == PRECEDENCE[position][1]


EDGES: list[tuple[Callable[[Release], None], Reason]] = [
    (set_to(started=NOW - 10_000), Reason.COLLECTING),
    (set_to(started=0), Reason.DEADLINE_EXCEEDED),
    (set_to(started=-1), Reason.COLLECTING),
    (set_to(latest=NOW - 30), Reason.COLLECTING),
    (set_to(latest=0), Reason.STALE_EVIDENCE),
    (set_to(alone=(28, 28)), Reason.COLLECTING),
    (set_to(alone=(15, 0), weight=1.0), Reason.NO_CANDIDATE_TRAFFIC),
    (set_to(alone=(0, 15), weight=0.0), Reason.NO_STABLE_TRAFFIC),
    (set_to(alone=(0, 100), weight=0.9), Reason.COLLECTING),
    (set_to(alone=(100, 0), weight=0.1), Reason.COLLECTING),
    (set_to(seen=(1, 1)), Reason.COLLECTING),
    (lambda made: made.doubt.note(Fault.LATE, NOW - 60), Reason.DOUBTFUL_COUNTERS),
    (lambda made: made.doubt.note(Fault.LATE, NOW - 61), Reason.COLLECTING),
    (lambda made: made.doubt.note(Fault.GAP, NOW), Reason.COLLECTING),
    (lambda made: harmed(made, math.log(10), math.log(10) + 1e-9), Reason.SIGNS_OF_HARM),
    (lambda made: harmed(made, math.log(10) - 1e-3, math.log(10) - 1e-3), Reason.COLLECTING),
    (lambda made: harmed(made, math.log(1e-9), math.log(19.9)), Reason.COLLECTING),
    (lambda made: harmed(made, math.log(1e-9), math.log(20.1)), Reason.SIGNS_OF_HARM),
    (lambda made: healthy(made, TWO.promotion_threshold, TWO.promotion_threshold), Reason.HARM_EXCLUDED),
    (lambda made: healthy(made, LINE + 50, LINE - 1e-6), Reason.COLLECTING),
]


@pytest.mark.parametrize(("change", "reason"), EDGES, ids=[f"{i}-{reason}" for i, (_, reason) in enumerate(EDGES)])
def test_each_line_lies_where_it_is_said_to(change: Callable[[Release], None], reason: Reason) -> None:
    made = release()
    change(made)
    assert made.decide(NOW)[1] is reason


def test_reaching_a_line_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    made = release()
    harmed(made, 3.0, 2.0)
    monkeypatch.setattr(forecast, "SIGN", made.log_harm())
    assert made.decide(NOW)[1] is Reason.SIGNS_OF_HARM
    monkeypatch.setattr(Release, "log_harm", lambda made: made.criteria.rollback_threshold)
    made._weigh(stratum(NOW, candidate_events=0))
    assert made.rolled_back


def test_what_is_collected_is_named_by_the_guardrail_that_has_least() -> None:
    made = release()
    healthy(made, 3.0, 2.0)
    assert made.decide(NOW) == (Decision.HOLD, Reason.COLLECTING, "refused")


def test_before_the_first_second_nothing_is_known_but_doubt() -> None:
    made = Release(TWO)
    assert made.decide(5.0) == (Decision.HOLD, Reason.NO_EVIDENCE, "")
    made.doubt.refuse(Fault.LATE, 0)
    assert made.decide(5.0) == (Decision.HOLD, Reason.DOUBTFUL_COUNTERS, "")


@pytest.mark.parametrize(
    ("outage", "several", "reason"),
    [("pod-1/1", False, Reason.ONE_OUTAGE), ("pod-1/1", True, Reason.SIGNS_OF_HARM), ("", False, Reason.SIGNS_OF_HARM)],
)
def test_signs_of_harm_from_one_outage_are_named_so(outage: str, reason: Reason, *, several: bool) -> None:
    made = release()
    harmed(made, 4.0, 4.0)
    made.outage, made.several_outages = outage, several
    assert made.decide(NOW)[1] is reason


@pytest.mark.parametrize(
    ("stable", "candidate", "requests", "reason"),
    [
        (0, 0, 1_000, Reason.NO_USER_COUNTS),
        (300, 199, 10_001, Reason.FEW_USERS),
        (300, 199, 10_000, Reason.COLLECTING),
        (300, 200, 10_001, Reason.COLLECTING),
        (1, 0, 10_000, Reason.COLLECTING),
        (0, 1, 10_000, Reason.COLLECTING),
    ],
)
def test_few_users_are_named_once_there_was_traffic_enough(
    stable: int, candidate: int, requests: int, reason: Reason
) -> None:
    made = release(STICKY)
    made.evidence[0].stable, made.evidence[0].candidate, made.requests = (stable, 0), (candidate, 0), requests
    word = made.decide(NOW)
    assert word == (Decision.HOLD, reason, "failed")


@pytest.mark.parametrize(
    ("criteria", "stable", "candidate", "reason"),
    [
        (STICKY, 0, 0, Reason.NO_USER_COUNTS),
        (STICKY, 1, 0, Reason.MISSING_COUNT),
        (STICKY, 0, 1, Reason.MISSING_COUNT),
        (STICKY, 3, 3, Reason.MISSING_COUNT),
        (Criteria((Guardrail("failed"),)), 0, 0, Reason.MISSING_COUNT),
    ],
)
def test_users_that_were_never_told_are_named_so(
    criteria: Criteria, stable: int, candidate: int, reason: Reason
) -> None:
    made = release(criteria)
    made.missing = [1]
    made.evidence[0].stable, made.evidence[0].candidate = (stable, 0), (candidate, 0)
    assert made.decide(NOW) == (Decision.HOLD, reason, "failed")


def test_what_is_not_yet_measured_is_not_promoted() -> None:
    criteria = Criteria((Guardrail("failed"), Guardrail("auto", "refused", Tolerance(1.5, None))))
    made = release(criteria)
    healthy(made, 9.0, 9.0)
    assert made.decide(NOW) == (Decision.HOLD, Reason.COLLECTING, "auto")
    made.points = 0.001
    assert made.decide(NOW)[0] is Decision.PROMOTE


def test_points_auto_stands_for_what_was_measured_and_before_for_the_loosest() -> None:
    auto, fixed = Guardrail("a", "failed", Tolerance(1.5, None)), Guardrail("b", "failed", Tolerance(1.5, 0.03))
    assert (tolerated_points(auto, 0.001), tolerated_points(fixed, 0.001)) == (0.001, 0.03)
    criteria = Criteria((Guardrail("a", "failed", Tolerance(1.0, None), Unit.USERS),))
    made = release(criteria)
    evidence = made.evidence[0]
    evidence.stable, evidence.split_harm = (5_000, 50), [1e9] * 5
    for points, used in ((None, 0.01), (0.001, 0.001)):
        made.points = points
        evidence.candidate = (5_000, 120)
        assert made.log_harm() == evidence.log_harm(criteria.guardrails[0], used)
        assert made.log_harm() != evidence.log_harm(criteria.guardrails[0], 0.005)
        evidence.candidate = (5_000, 52)
        assert made._log_healths() == [evidence.log_health(criteria.guardrails[0], used)]
        assert made._log_healths() != [evidence.log_health(criteria.guardrails[0], 0.005)]
    unmeasured, twin = release(AUTO), release(AUTO)
    unmeasured._weigh(one := stratum(10_005, candidate_events=1))
    _, weight = twin.spending.advance(5.0, 100, AUTO.deadline)
    guardrail.observe(twin.evidence[0], AUTO.guardrails[0], 0.01, 1.0, one.cells[0], weight)
    assert unmeasured.evidence[0] == twin.evidence[0]


@pytest.mark.parametrize("guardrails", [1, 2, 5])
def test_one_guardrail_alone_needs_as_many_times_more_as_there_are(guardrails: int) -> None:
    criteria = Criteria(tuple(Guardrail(f"g{i}") for i in range(guardrails)), share=0.7)
    line = per_metric_threshold(criteria)
    assert line == pytest.approx(math.log(guardrails / 0.007))
    for offset, over in ((1e-6, True), (-1e-6, False)):
        made = release(criteria)
        harmed(made, line + offset, *[-1e5] * (guardrails - 1))
        assert (made.log_harm() >= criteria.rollback_threshold) is over


def stratum(t: int = 5, outages: Iterable[str] = (), **more: Any) -> Stratum:
    facts: dict[str, Any] = {"weight": 0.5, "stable": 50, "candidate": 50, "stable_events": 0, "candidate_events": 50}
    facts |= more
    cell = Cell(**{key: facts[key] for key in ("weight", "stable", "candidate", "stable_events", "candidate_events")})
    users = Cell(facts["weight"], 10, 10, 0, facts["candidate_events"] and 5)
    requests = facts["stable"] + facts["candidate"]
    return Stratum(
        t, "a", "1", facts["weight"], requests, (cell, cell), (users, users), frozenset(outages),
        facts.get("stable_pods", 0), facts.get("candidate_pods", 0),
    )  # fmt: skip


@pytest.mark.parametrize(("weight", "started"), [(0.0, 0), (1.0, 0), (0.5, -1)], ids=["none", "all", "not begun"])
def test_without_two_arms_a_stratum_teaches_stables_rate_alone(weight: float, started: int) -> None:
    made = release()
    made.started = started
    made._weigh(stratum(weight=weight, stable_events=3))
    assert made.spending.requests == 0
    assert [evidence.split_harm for evidence in made.evidence] == [[0.0] * 5] * 2
    assert [evidence.base.recent_events for evidence in made.evidence] == [pytest.approx(3, rel=0.05)] * 2
    assert not made.rolled_back
    sticky = release(Criteria((STICKY.guardrails[0], Guardrail("b", "failed", Tolerance(), Unit.USERS))))
    sticky._weigh(stratum(weight=0.0, stable_events=3))
    assert sticky.evidence[0].base.recent_events == 0.0


def test_a_stratum_is_weighed_by_time_since_the_candidate_began_and_by_requests() -> None:
    made, expected = release(), release()
    made.started = 40
    first, second = stratum(90, candidate_events=0), stratum(140, candidate_events=1)
    made._weigh(first)
    assert (made.spending.elapsed, made.spending.requests) == (50.0, 100)
    made._weigh(second)
    assert (made.spending.elapsed, made.spending.requests) == (100.0, 200)
    spending = expected.spending
    for one in (first, second):
        spending, weight = spending.advance(one.t - 40.0, spending.requests + 100, 10_000.0)
        for evidence, rail in zip(expected.evidence, TWO.guardrails, strict=True):
            guardrail.observe(evidence, rail, 0.01, 1.0, one.cells[0], weight)
    assert made.evidence == expected.evidence


@pytest.mark.parametrize("weight", [0.01, 0.9])
def test_any_share_that_is_a_share_is_weighed(weight: float) -> None:
    made = release()
    made._weigh(stratum(20_000, weight=weight))
    assert made.spending.requests == 100
    assert made.evidence[0].split_harm != [0.0] * 5


def test_a_release_that_began_in_its_first_second_is_weighed_from_there() -> None:
    made = release()
    made.started = 0
    made._weigh(stratum(0))
    assert made.spending.requests == 100
    assert made.evidence[0].split_harm != [0.0] * 5


def test_users_are_taken_where_users_are_the_unit_and_impossible_ones_named() -> None:
    made = release(STICKY)
    made._weigh(stratum())
    assert (made.evidence[0].candidate, made.faults) == ((10, 5), {})
    made._weigh(Stratum(7, "a", "1", 0.5, 100, (), (Cell(0.5, 0, 0, 0, 9),), frozenset()))
    assert (made.evidence[0].candidate, made.faults, made.doubt.newest) == ((10, 5), {"Absurd": 1}, 7)
    made._weigh(stratum())
    assert made.evidence[0].candidate == (20, 10)


def test_an_impossible_guardrail_does_not_keep_the_others_from_their_evidence() -> None:
    criteria = Criteria((Guardrail("users", "failed", Tolerance(), Unit.USERS), Guardrail("failed")))
    made = release(criteria)
    cell = Cell(0.5, 50, 50, 0, 1)
    made._weigh(Stratum(5, "a", "1", 0.5, 100, (cell, cell), (Cell(0.5, 0, 0, 0, 9), cell), frozenset()))
    assert made.evidence[0].candidate == (0, 0)
    assert made.evidence[1].candidate == (50, 1)


@pytest.mark.parametrize(("log", "over"), [(1e-9, True), (-1e-6, False)])
def test_a_rollback_needs_the_line_itself(log: float, *, over: bool) -> None:
    made = release()
    quiet = stratum(candidate_events=0, stable=50, candidate=0)
    harmed(made, TWO.rollback_threshold + log, TWO.rollback_threshold + log)
    made._weigh(quiet)
    assert made.rolled_back is over


def test_the_evidence_of_one_outage_is_kept_just_below_the_line() -> None:
    made = release()
    made.started = 0
    for t in range(20):
        made._weigh(stratum(t, outages=["pod-1/1"]))
        assert not made.rolled_back
    assert made.log_harm() == pytest.approx(TWO.rollback_threshold - 0.01)
    assert (made.outage, made.several_outages) == ("pod-1/1", False)
    made._weigh(stratum(21, outages=["pod-1/1"], candidate_events=0))
    assert not made.several_outages


def test_every_part_of_the_evidence_is_kept_down_alike() -> None:
    made = release()
    harmed(made, 10.0, 8.0)
    for evidence in made.evidence:
        evidence.signs_harm = [math.exp(9.0)] * 4
    made._cap(stratum(outages=["x"]))
    shrink = math.log((math.exp(10) + math.exp(8)) / 2) - (TWO.rollback_threshold - 0.01)
    assert made.evidence[0].split_harm == pytest.approx([math.exp(10 - shrink)] * 5)
    assert made.evidence[1].ratio_harm == pytest.approx([math.exp(8 - shrink)] * 5)
    assert made.evidence[1].points_harm == pytest.approx([math.exp(8 - shrink)] * 5)
    assert made.evidence[1].signs_harm == pytest.approx([math.exp(9 - shrink)] * 4)


@pytest.mark.parametrize("over", [1e-3, 0.5, 3.0, 700.0])
def test_however_little_lies_above_the_line_is_taken_off(over: float) -> None:
    made = release()
    harmed(made, *[min(LINE - 0.01 + over, 570.0)] * 2)
    made._cap(stratum(outages=["x"]))
    assert made.log_harm() == pytest.approx(LINE - 0.01, abs=1e-9)


def test_what_lies_below_the_line_is_not_touched_by_the_cap() -> None:
    made = release()
    harmed(made, 1.0, 1.0)
    made._cap(stratum(outages=["x"]))
    assert made.evidence[0].split_harm == [math.exp(1.0)] * 5
    assert made.outage == "x"


@pytest.mark.parametrize(
    ("before", "outages", "events", "several", "after"),
    [
        ("", ["x"], 1, False, "x"),
        ("x", ["x"], 1, False, "x"),
        ("x", ["y"], 1, True, "x"),
        ("", ["x", "y"], 1, True, ""),
        ("", [], 1, True, ""),
        ("x", [], 1, True, "x"),
        ("x", [], 0, False, "x"),
        ("", ["x"], 0, False, ""),
    ],
)
def test_another_outage_or_none_ends_the_cap_for_good(
    before: str, outages: list[str], events: int, after: str, *, several: bool
) -> None:
    made = release()
    made.outage = before
    made._cap(stratum(outages=outages, candidate_events=events))
    assert (made.several_outages, made.outage) == (several, after)
    made.several_outages = True
    harmed(made, 50.0, 50.0)
    made._cap(stratum(outages=["x"]))
    assert made.log_harm() == pytest.approx(50.0)


def test_failures_of_one_guardrail_are_failures() -> None:
    made = release()
    calm, failing = Cell(0.5, 50, 50, 0, 0), Cell(0.5, 50, 50, 0, 1)
    made._cap(Stratum(5, "a", "1", 0.5, 100, (calm, failing), (calm, calm), frozenset({"x"})))
    assert made.outage == "x"


def test_the_luck_of_two_pods_widens_the_margins_of_the_guardrail_that_shows_it() -> None:
    made = release()
    made.pods = {"s1": [400, 20, 40]}
    assert made._luck(0, stratum(stable_pods=2, candidate_pods=1)) == 1.0
    made.pods = {"s1": [400, 20, 40], "s2": [400, 60, 40]}
    expected = math.exp(2.33 * math.sqrt((1_600 - 72) / (0.01 * 2 * 160_000)) * math.sqrt(1 + 1 / 2))
    assert made._luck(0, stratum(stable_pods=2, candidate_pods=1)) == pytest.approx(expected)
    assert made._luck(1, stratum(stable_pods=2, candidate_pods=1)) == 1.0
    assert made._luck(0, stratum()) == 1.0
    made.started = 0
    made._weigh(stratum(candidate_events=5, stable_events=5, stable_pods=2, candidate_pods=1))
    twin = release()
    _, weight = twin.spending.advance(5.0, 100, 10_000.0)
    guardrail.observe(twin.evidence[0], TWO.guardrails[0], 0.01, expected, Cell(0.5, 50, 50, 5, 5), weight)
    assert made.evidence[0] == twin.evidence[0]


def test_doubt_lasts_a_minute_from_the_newest_and_while_a_twentieth_is_doubtful() -> None:
    doubt = Doubt(rows=100)
    assert not doubt.withholds(10.0, 10)
    doubt.note(Fault.LATE, 0)
    assert doubt.withholds(60.0, 60)
    assert not doubt.withholds(61.0, 61)
    doubt.note(Fault.LATE, 50, 4)
    assert not doubt.withholds(111.0, 111)
    doubt.refuse(Fault.NEGATIVE, 20)
    assert (doubt.newest, doubt.rows) == (50, 101)
    assert doubt.withholds(111.0, 111)
    doubt.rows = 120
    assert not doubt.withholds(111.0, 111)
    doubt.rows = 119
    assert doubt.withholds(111.0, 111)


def test_harmless_faults_are_named_and_no_doubt() -> None:
    doubt = Doubt(rows=10)
    for fault in (Fault.DUPLICATE, Fault.RESET, Fault.GAP, Fault.CLOCK_SKEW):
        doubt.note(fault, 10, 5)
    assert not doubt.withholds(10.0, 10)
    assert doubt.named(10.0) == (("ClockSkew", 5), ("Duplicate", 5), ("Gap", 5), ("RouterReset", 5))


def test_a_fault_is_counted_when_its_second_closes_and_seen_from_that_second_on() -> None:
    doubt = Doubt(rows=100)
    doubt.refuse_later(Fault.NEGATIVE, 7, {"failed": -1})
    doubt.refuse_later(Fault.NEGATIVE, 7, {"failed": -2})
    doubt.refuse_later(Fault.LATE, 9, {"failed": -1})
    assert doubt.faults == {}
    assert (doubt.withholds(6.9, 6), doubt.withholds(7.0, 6)) == (False, True)
    assert (doubt.named(6.9), doubt.named(7.0)) == ((), (("Negative", 2),))
    assert doubt.named(9.0) == (("Late", 1), ("Negative", 2))
    doubt.settle(6)
    assert doubt.faults == {}
    doubt.settle(7)
    assert (doubt.faults, doubt.newest, doubt.rows) == ({"Negative": 2}, 7, 102)
    assert doubt.named(9.0) == (("Late", 1), ("Negative", 2))
    doubt.refuse_later(Fault.NEGATIVE, 9, {})
    assert doubt.named(9.0) == (("Late", 1), ("Negative", 3))


def test_a_refused_row_delivered_twice_is_one() -> None:
    doubt = Doubt()
    for fields in ({"a": 1, "b": "\ud800"}, {"b": "\ud800", "a": 1}, {"a": float("nan")}, {"a": float("nan")}):
        doubt.refuse_later(Fault.NEGATIVE, 7, fields)
    doubt.settle(7)
    assert (doubt.faults, doubt.rows) == ({"Negative": 2}, 2)


def test_the_oldest_are_counted_at_once_when_too_many_await_their_second() -> None:
    doubt = Doubt()
    for second in range(257):
        doubt.refuse_later(Fault.LATE, second, {})
    assert (doubt.faults, len(doubt.awaiting)) == ({"Late": 1}, 256)


@pytest.mark.parametrize("rows", [0, 1])
def test_before_anything_is_doubtful_there_is_no_doubt(rows: int) -> None:
    assert Doubt() == Doubt({}, {}, -1, 0)
    assert not Doubt(rows=rows).withholds(0.0, 0)


def second(t: int = 0, router: str = "a", version: str = "1", weight: float | None = 0.5, **more: Any) -> Second:
    facts: dict[str, Any] = {"stable": Side(6, (1, 2)), "candidate": Side(3, (0, 1)), "spoilt": (False, False)}
    return Second(t, router, version, weight, **(facts | more))


def test_a_stratum_gathers_both_arms_requests_events_and_users() -> None:
    strata = Strata(2)
    side = Side(3, (1, 0), 4, (2, 1))
    assert strata.add(second(candidate=side)) == (None, None)
    pods = ((Arm.STABLE, "s", 1, ()), (Arm.STABLE, "t", 1, ()), (Arm.STABLE, "s", 1, ()), (Arm.CANDIDATE, "c", 1, ()))
    closed, fault = strata.add(second(1, stable=Side(2, (0, 1), 5, (1, 3)), candidate=Side(1, (1, 0)), pods=pods))
    assert fault is None
    assert closed == Stratum(
        1, "a", "1", 0.5, 12, (Cell(0.5, 8, 4, 1, 2), Cell(0.5, 8, 4, 3, 0)),
        (Cell(0.5, 5, 4, 1, 2), Cell(0.5, 5, 4, 3, 1)), frozenset(), 2, 1,
    )  # fmt: skip
    assert strata.open["a"] == Open("1", 0.5, tallies=[Tally(), Tally()], users=[Tally(), Tally()])
    assert strata.shares == {"a": (4, 12)}


def test_a_guardrail_whose_counts_cannot_be_used_is_left_out_and_the_others_go_on() -> None:
    strata = Strata(2)
    closed, _ = strata.add(second(stable=Side(6, (1, 2), 3, (1, 1)), candidate=Side(6, (2, 2)), spoilt=(True, False)))
    assert closed is not None
    assert closed.cells == (Cell(0.5, 0, 0, 0, 0), Cell(0.5, 6, 6, 2, 2))
    assert closed.user_cells == (Cell(0.5, 0, 0, 0, 0), Cell(0.5, 3, 0, 1, 0))


def test_a_second_that_cannot_be_used_still_begins_a_version() -> None:
    strata = Strata(2)
    strata.add(second(0))
    assert strata.add(second(1, version="0", spoilt=(True, True))) == (None, Fault.RESET)
    assert (strata.open["a"].version, strata.open["a"].requests) == ("0", 0)
    closed, fault = strata.add(second(2, version="0", stable=Side(9, (0, 0)), candidate=Side(1, (0, 0))))
    assert closed is not None
    assert (closed.requests, fault) == (10, None)


@pytest.mark.parametrize(
    ("version", "weight", "fault", "gathered"),
    [("1", 0.5, None, 18), ("2", 0.5, None, 9), ("0", 0.5, Fault.RESET, 9), ("1", 0.25, None, 9), ("1", None, None, 9)],
)
def test_a_new_version_or_weight_drops_what_is_half_gathered(
    version: str, weight: float | None, fault: Fault | None, gathered: int
) -> None:
    strata = Strata(2)
    strata.add(second(0, weight=0.5))
    strata.shares["a"] = (50, 100)
    closed, found = strata.add(second(1, version=version, weight=weight))
    assert found is fault
    assert (closed.requests if closed is not None else strata.open["a"].requests) == gathered
    if closed is None:
        assert "a" not in strata.shares


def test_without_a_weight_the_share_seen_before_stands_in() -> None:
    strata = Strata(2)
    strata.add(second(0, weight=None))
    strata.shares["a"] = (9, 98)
    assert strata.add(second(1, weight=None)) == (None, None)
    closed, _ = strata.add(second(2, weight=None))
    assert closed is not None
    assert (closed.weight, closed.requests) == (0.1, 27)
    assert (closed.stable_pods, closed.candidate_pods) == (0, 0)
    assert strata.shares["a"] == (18, 125)


OUTAGES = [
    (["x"], ["x"], {"x"}),
    (["x"], ["y"], {"x", "y"}),
    (["x"], [], set()),
    ([], ["x"], set()),
    (["x"], None, {"x"}),
    (None, ["x"], {"x"}),
    (None, None, set()),
]


@pytest.mark.parametrize(("first", "then", "expected"), OUTAGES)
def test_an_outage_is_a_stratums_when_all_its_failures_are_of_it(
    first: list[str] | None, then: list[str] | None, expected: set[str]
) -> None:
    strata, closed = Strata(2), None
    for t, names in enumerate((first, then)):
        failing = Side(3, (0, 0) if names is None else (0, 1))
        closed, _ = strata.add(second(t, candidate=failing, outages=frozenset(names or ())))
    assert closed is not None
    assert closed.outages == expected


def test_the_router_longest_not_heard_is_displaced() -> None:
    strata = Strata(2)
    for i in range(64):
        strata.add(second(0, router=f"r{i}"))
    strata.shares |= {"r0": (1, 2), "r1": (1, 2)}
    strata.add(second(1, router="r0", stable=Side(0, (0, 0)), candidate=Side(0, (0, 0))))
    assert len(strata.open) == 64
    strata.add(second(1, router="new"))
    assert len(strata.open) == 64
    assert ("r0" in strata.open, "r1" in strata.open, "r2" in strata.open) == (True, False, True)
    assert strata.shares == {"r0": (1, 2)}


def test_pods_that_are_not_told_are_none() -> None:
    told = Stratum(1, "a", "1", 0.5, 10, (), (), frozenset())
    assert (told.stable_pods, told.candidate_pods) == (0, 0)


@pytest.mark.parametrize(("weight", "requests"), [(0.15, 2 / 0.15), (0.19, 2 / 0.19), (0.21, 10.0), (1e-4, 20_000.0)])
def test_a_stratum_holds_two_of_the_candidates_requests_or_ten_in_all(weight: float, requests: float) -> None:
    assert enough(weight) == pytest.approx(requests)


def test_the_guardrail_that_a_rollback_is_laid_to_is_the_worst() -> None:
    made = release()
    harmed(made, 9.0, 4.0)
    made.rolled_back = True
    assert made.decide(1e9) == (Decision.ROLLBACK, Reason.WORSE, "failed")


def test_the_promotion_line_is_beta_and_the_sign_of_harm_a_tenth() -> None:
    assert TWO.promotion_threshold == pytest.approx(LINE)
    assert math.exp(forecast.SIGN) == pytest.approx(10)
    assert Criteria(missed_regression=0.05).promotion_threshold == pytest.approx(math.log(20))
