"""Counts that are missing on one side, or that cannot be, never decide: neither way."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from penstock.judge.criteria import Criteria, Guardrail, Tolerance, Unit
from penstock.judge.doubt import MOST_AWAITING
from penstock.judge.release import Release
from penstock.judge.state import dump, resume
from penstock.judge.strata import MOST_ROUTERS
from penstock.judge.verdict import Decision, Reason
from penstock.judge.watermark import MOST_TAINTED

Fields = dict[str, Any]
FAILED = Criteria((Guardrail("failed", "failed"),))
STICKY = Criteria((Guardrail("failed", "failed", Tolerance(1.5, 0.01), Unit.USERS),))


def row(t: float, arm: str, requests: int = 50, failed: int = 0, **more: Any) -> Fields:
    return {
        "t": t,
        "router": "a",
        "version": 1,
        "arm": arm,
        "weight": 50,
        "requests": requests,
        "failed": failed,
        **more,
    }


def looks(criteria: Criteria, source: Iterable[Fields]) -> tuple[Release, list[tuple[Decision, Reason]]]:
    release, found = Release(criteria), []
    for fields in source:
        found += [release.decide(stratum.t)[:2] for stratum in release.looks(fields)]
    found += [release.decide(stratum.t)[:2] for stratum in release.finish()]
    return release, found


def decisions(criteria: Criteria, source: Iterable[Fields]) -> set[Decision]:
    release, found = looks(criteria, source)
    return {decision for decision, _ in found} | {release.decide(release.latest)[0]}


def seconds(count: int, stable: Callable[[int], Fields], candidate: Callable[[int], Fields]) -> list[Fields]:
    return [fields for t in range(count) for fields in (stable(t), candidate(t))]


USERS = {"new": 20, "failed": 1}


@pytest.mark.parametrize(
    ("stable", "candidate"),
    [
        (USERS, None),
        (USERS, {"new": 20}),
        (None, USERS),
        ({"new": 20}, USERS),
        (USERS, [1, 2]),
    ],
    ids=["candidate's absent", "candidate's harm absent", "stable's absent", "stable's harm absent", "no object"],
)
def test_users_told_of_one_arm_alone_are_no_evidence(stable: object, candidate: object) -> None:
    source = seconds(
        200, lambda t: row(t, "stable", users=stable), lambda t: row(t, "candidate", failed=40, users=candidate)
    )
    assert decisions(STICKY, source) == {Decision.HOLD}


def test_a_sticky_release_needs_no_counts_of_requests_that_failed() -> None:
    def told(t: float, arm: str, harmed: int) -> Fields:
        fields = row(t, arm, users={"new": 20, "failed": harmed})
        del fields["failed"]
        return fields

    healthy = seconds(300, lambda t: told(t, "stable", 0), lambda t: told(t, "candidate", 0))
    harmful = seconds(60, lambda t: told(t, "stable", 0), lambda t: told(t, "candidate", 9))
    assert Decision.PROMOTE in decisions(STICKY, healthy)
    assert Decision.ROLLBACK in decisions(STICKY, harmful)


@pytest.mark.parametrize(("stable", "candidate"), [(1, 5), (5, 1), (1, 1)])
def test_more_users_harmed_than_were_ever_seen_are_absurd(stable: int, candidate: int) -> None:
    source = seconds(
        60,
        lambda t: row(t, "stable", users={"new": stable, "failed": 5}),
        lambda t: row(t, "candidate", users={"new": candidate, "failed": 5}),
    )
    release, found = looks(STICKY, source)
    assert {decision for decision, _ in found} == {Decision.HOLD}
    assert release.decide(release.latest)[1] is Reason.DOUBTFUL_COUNTERS
    assert release.faults == {"Absurd": 60}


def test_a_burst_after_a_long_quiet_neither_ends_the_judge_nor_weighs_without_bounds() -> None:
    criteria = Criteria((Guardrail("slow", "slow", Tolerance(1.5, 0.0), Unit.STRATA),))
    release = Release(criteria)
    (evidence,) = release.evidence
    evidence.scale = 1e-155
    source = seconds(
        3,
        lambda t: row(t, "stable", slow={"slow": 0}),
        lambda t: row(t, "candidate", slow={"slow": 25 if t == 0 else 0}),
    )
    for fields in source:
        release.feed(fields)
    assert min(evidence.signs_health) > -60.0
    assert evidence.scale > 0.1


def test_seconds_whose_failures_are_not_told_are_no_sign_of_health() -> None:
    """A candidate that fails one request in twenty, told of only where it does not."""
    source = []
    for t in range(600):
        source.append(row(t, "stable"))
        candidate = row(t, "candidate", 5, int(t % 4 == 0))
        if candidate["failed"]:
            del candidate["failed"]
        source.append(candidate)
    release, found = looks(FAILED, source)
    assert {decision for decision, _ in found} == {Decision.HOLD}
    assert release.faults == {"MissingCount": 150}


@pytest.mark.parametrize("name", [None, 7, "r" * 200, "\ud800"], ids=["null", "number", "long", "half a pair"])
def test_a_refused_row_takes_the_other_arm_with_it_whatever_its_router_is_called(name: object) -> None:
    router = None if name is None else "a"
    source = []
    for t in range(40):
        source += [row(t, "stable", failed=1, router=router)]
        source += [row(t, "candidate", router=name, failed=-1) if t % 4 == 0 else row(t, "candidate", router=router)]
    release, _ = looks(FAILED, source)
    (evidence,) = release.evidence
    assert evidence.stable == (30 * 50, 30)
    assert evidence.candidate == (30 * 50, 0)


def test_a_row_is_only_as_late_in_naming_as_its_second() -> None:
    def course(position: int) -> list[tuple[Decision, Reason]]:
        source = []
        for t in range(140):
            group = [row(t, "stable"), row(t, "candidate")]
            if t == 50:
                group.insert(position, {"t": 50.0, "router": "a", "arm": "stable", "requests": "many"})
            source += group
        return looks(FAILED, source)[1]

    assert course(0) == course(1) == course(2)


def test_weights_that_contradict_each_other_are_named() -> None:
    source = seconds(60, lambda t: row(t, "stable"), lambda t: row(t, "candidate", failed=50) | {"weight": 25})
    release, found = looks(FAILED, source)
    assert found == []
    assert release.faults == {"ConflictingWeights": 120}
    assert release.decide(59.0)[1] is Reason.DOUBTFUL_COUNTERS


def test_a_pod_whose_counts_are_missing_does_not_look_lucky() -> None:
    source = []
    for t in range(100):
        for pod in range(4):
            fields = row(t + pod / 100, "stable", 30, 2, pod=f"s{pod}")
            if pod == 0 and t % 2:
                del fields["failed"]
            source.append(fields)
        source.append(row(t, "candidate", 30, 2, pod="c"))
    release, _ = looks(FAILED, source)
    assert release.pods == {f"s{pod}": [50 * 30, 50 * 2] for pod in range(4)}


AUTO = Criteria((Guardrail("failed", "failed", Tolerance(1.0, None)),))


def test_nothing_is_promoted_before_points_auto_is_measured_nor_by_what_was_wider_than_it() -> None:
    """At 4,000 requests a second 0.1 % is decidable; a candidate 0.4 % worse would be within 1 %."""
    source = seconds(75, lambda t: row(t, "stable", 2_000, 10), lambda t: row(t, "candidate", 2_000, 18))
    release, found = looks(AUTO, source)
    assert release.points == 0.001
    assert {decision for decision, _ in found} == {Decision.HOLD}
    healthy = seconds(200, lambda t: row(t, "stable", 2_000, 10), lambda t: row(t, "candidate", 2_000, 10))
    _, found = looks(AUTO, healthy)
    first = next(t for t, (decision, _) in enumerate(found) if decision is Decision.PROMOTE)
    assert first >= 60


def test_memory_stays_bounded_whatever_routers_call_themselves_and_whatever_is_refused() -> None:
    release = Release(FAILED)
    for i in range(2_000):
        release.feed(row(i // 10, "stable", router=f"r{i}"))
        release.feed(row(i // 10, "candidate", router=f"r{i}"))
        release.feed({"t": 1e6 + i, "router": "a", "arm": "stable", "requests": -1})
    assert len(release.strata.open) == len(release.strata.shares) <= MOST_ROUTERS
    assert len(release.watermark.tainted) <= MOST_TAINTED
    assert len(release.doubt.awaiting) <= MOST_AWAITING
    assert len(dump(release)) < 8_000


def test_a_sticky_release_is_restored_with_what_was_seen_before_it_had_a_weight() -> None:
    release = Release(STICKY)
    for t in range(30):
        release.feed(row(t, "stable", 1_000, 300, users={"new": 10, "failed": 1}) | {"weight": 0})
    for t in range(30, 60):
        for arm in ("stable", "candidate"):
            release.feed(row(t, arm, users={"new": 10, "failed": 0}) | {"version": 2})
    assert resume(STICKY, dump(release)).verdict() == release.verdict()


def test_what_awaits_its_second_is_restored() -> None:
    release = Release(FAILED)
    release.feed(row(1.0, "stable"))
    release.feed(row(3.0, "candidate", failed=-1))
    again = resume(FAILED, dump(release))
    assert dump(again) == dump(release)
    assert again.decide(2.0)[1] is Reason.NO_EVIDENCE
    assert again.decide(3.0)[1] is Reason.DOUBTFUL_COUNTERS
    assert again.verdict(now=3.0).faults == (("Negative", 1),)
