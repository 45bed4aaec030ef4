"""Counts that are missing on one side, or that cannot be, never decide: neither way."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from penstock.judge.criteria import Criteria, Guardrail, Tolerance, Unit
from penstock.judge.release import Release
from penstock.judge.verdict import Decision, Reason

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
