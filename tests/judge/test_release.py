"""The judge of one release: verdicts, reasons, order, doubt, memory."""

import dataclasses
import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock.judge.criteria import Criteria, Guardrail, Tolerance, Unit
from penstock.judge.doubt import LASTS
from penstock.judge.release import STALE, Release
from penstock.judge.rows import Fault, parse
from penstock.judge.state import UnreadableState, dump, resume
from penstock.judge.verdict import Decision, Reason, Verdict, sentence

Fields = dict[str, Any]
FAILED = Criteria((Guardrail("failed", "failed"),))


def rows(
    seconds: Iterable[int],
    stable: float = 0.005,
    candidate: float = 0.005,
    *,
    weight: float = 50,
    traffic: int = 100,
    routers: tuple[str, ...] = ("a",),
    seed: int = 0,
    **more: Any,
) -> list[Fields]:
    rng = np.random.default_rng(seed)
    found: list[Fields] = []
    for t in seconds:
        for router in routers:
            total = int(rng.poisson(traffic))
            mine = int(rng.binomial(total, weight / 100))
            for arm, count, rate in (("stable", total - mine, stable), ("candidate", mine, candidate)):
                found.append(
                    {
                        "t": float(t),
                        "router": router,
                        "version": 1,
                        "arm": arm,
                        "weight": weight,
                        "requests": count,
                        "failed": int(rng.binomial(count, rate)),
                        "refused": 0,
                        "slow": {"slow": int(rng.binomial(count, 0.05))},
                        **more,
                    }
                )
    return found


def judged(criteria: Criteria, *sources: list[Fields]) -> tuple[Release, list[Verdict]]:
    release, verdicts = Release(criteria), []
    for source in sources:
        for fields in source:
            verdicts += [release.verdict() for _ in release.looks(fields)]
    verdicts += [release.verdict() for _ in release.finish()]
    return release, verdicts


def final(criteria: Criteria, *sources: list[Fields]) -> Verdict:
    return judged(criteria, *sources)[0].verdict()


def test_a_healthy_candidate_is_promoted() -> None:
    verdict = final(FAILED, rows(range(120)))
    assert (verdict.decision, verdict.reason) == (Decision.PROMOTE, Reason.HARM_EXCLUDED)
    assert verdict.decisive
    (metric,) = verdict.metrics
    assert metric.log_evalue_promotion >= metric.threshold_promotion
    assert metric.interval[0] < 0 < metric.interval[1] < 0.02


def test_a_bad_candidate_is_rolled_back_and_stays_so() -> None:
    release, verdicts = judged(FAILED, rows(range(30), candidate=0.3))
    assert verdicts[-1].decision is Decision.ROLLBACK
    assert verdicts[-1].reason is Reason.WORSE
    assert verdicts[-1].metric == "failed"
    frozen = release.verdict()
    assert release.feed(rows([1_000])[0]) == []
    assert list(release.finish()) == []
    assert list(release.take(parse(rows([1_000])[0], FAILED))) == []
    assert release.verdict(now=5_000.0) == frozen


def test_the_rollback_is_decided_by_the_mean_over_guardrails() -> None:
    criteria = Criteria(
        tuple(Guardrail(name, "failed" if name == "failed" else "refused") for name in ("failed", "b", "c"))
    )
    verdict = final(criteria, rows(range(30), candidate=0.5))
    assert verdict.decision is Decision.ROLLBACK
    assert verdict.metrics[0].threshold == pytest.approx(criteria.rollback_threshold + np.log(3))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ([], Reason.NO_EVIDENCE),
        (rows(range(20), weight=0), Reason.NO_CANDIDATE_TRAFFIC),
        (rows(range(20), weight=100), Reason.NO_STABLE_TRAFFIC),
        (rows(range(20), weight=5, traffic=20), Reason.COLLECTING),
        ([{k: v for k, v in row.items() if k != "failed"} for row in rows(range(90))], Reason.MISSING_COUNT),
        ([{**row, "failed": float("nan")} for row in rows(range(90))], Reason.DOUBTFUL_COUNTERS),
        ([{**row, "failed": -1} for row in rows(range(90), candidate=0.9)], Reason.DOUBTFUL_COUNTERS),
        ([{**row, "failed": 10**9} for row in rows(range(90), candidate=0.9)], Reason.DOUBTFUL_COUNTERS),
    ],
    ids=["nothing", "no candidate", "no stable", "little", "no counts", "NaN", "negative", "absurd"],
)
def test_without_good_evidence_it_holds_and_says_why(source: list[Fields], reason: Reason) -> None:
    verdict = final(FAILED, source)
    assert (verdict.decision, verdict.reason) == (Decision.HOLD, reason)
    assert sentence(verdict, FAILED)


def test_bad_rows_of_one_arm_never_tilt_the_comparison() -> None:
    hidden = [
        {**row, "failed": None if row["arm"] == "candidate" and row["failed"] else row["failed"]}
        for row in rows(range(120), candidate=0.1)
    ]
    assert final(FAILED, hidden).decision is not Decision.PROMOTE


def test_promotion_waits_until_doubt_is_over() -> None:
    release = Release(FAILED)
    for fields in [*rows(range(100)), {"t": 100, "arm": "stable", "requests": "many"}]:
        release.feed(fields)
    assert release.verdict(now=100.0).reason is Reason.DOUBTFUL_COUNTERS
    for fields in rows(range(101, 101 + LASTS + 10)):
        release.feed(fields)
    assert release.verdict().decision is Decision.PROMOTE
    assert dict(release.verdict().faults) == {"Malformed": 1}


def test_too_many_doubtful_rows_withhold_promotion_for_good() -> None:
    source = rows(range(100))
    doubtful = [{"t": float(t), "arm": "stable", "requests": -1, "router": "z"} for t in range(30)]
    mixed = sorted([*source, *doubtful], key=lambda fields: fields["t"])
    assert final(FAILED, mixed, rows(range(100, 200))).reason is Reason.DOUBTFUL_COUNTERS


def test_stale_evidence_holds() -> None:
    release, _ = judged(FAILED, rows(range(120)))
    assert release.verdict(now=119.0 + STALE).decision is Decision.PROMOTE
    assert release.verdict(now=120.0 + STALE).reason is Reason.STALE_EVIDENCE


def test_signs_of_harm_are_told_before_the_line() -> None:
    _, verdicts = judged(FAILED, rows(range(600), stable=0.01, candidate=0.032, traffic=40))
    reasons = [verdict.reason for verdict in verdicts]
    assert Reason.SIGNS_OF_HARM in reasons
    told = verdicts[reasons.index(Reason.SIGNS_OF_HARM)]
    assert "looks worse" in sentence(told, FAILED)
    assert reasons[-1] is Reason.WORSE


def test_an_arm_that_is_cut_off_is_named_and_nothing_is_promoted_meanwhile() -> None:
    for arm, reason in (("candidate", Reason.NO_CANDIDATE_TRAFFIC), ("stable", Reason.NO_STABLE_TRAFFIC)):
        cut = [row for row in rows(range(30, 60), seed=2) if row["arm"] != arm]
        assert final(FAILED, rows(range(30)), cut).reason is reason
        assert final(FAILED, rows(range(30)), cut, rows(range(60, 120), seed=3)).decision is Decision.PROMOTE


def test_a_change_of_weight_is_a_change_of_version_even_unsaid() -> None:
    def source(weight: float, seconds: range) -> list[Fields]:
        return [{key: row[key] for key in row if key != "version"} for row in rows(seconds, weight=weight, traffic=20)]

    release = Release(FAILED)
    closed = [stratum for fields in source(5, range(1)) + source(50, range(1, 3)) for stratum in release.looks(fields)]
    assert [stratum.weight for stratum in [*closed, *release.finish()]] == [0.5, 0.5]


def test_a_row_without_a_usable_time_spoils_nothing_else() -> None:
    source = rows(range(120))
    for t in (None, "soon", -5, 1e20, float("nan")):
        source.insert(10, {**source[0], "t": t})
    release, _ = judged(FAILED, source)
    assert sum(release.faults.values()) == 5
    assert release.seen[0] == sum(row["requests"] for row in rows(range(120)) if row["arm"] == "stable")


def test_a_router_that_starts_anew_is_named_and_harmless() -> None:
    again = [{**row, "version": 0} for row in rows(range(60, 160), seed=1)]
    verdict = final(FAILED, rows(range(60)), again)
    assert verdict.decision is Decision.PROMOTE
    assert dict(verdict.faults) == {"RouterReset": 1}


def test_rows_without_a_weight_are_judged_by_the_share_they_show() -> None:
    bare = [{key: row[key] for key in ("t", "arm", "requests", "failed")} for row in rows(range(120))]
    assert final(FAILED, bare).decision is Decision.PROMOTE


def test_a_ratio_of_one_needs_no_base_rate() -> None:
    equal = Criteria((Guardrail("failed", "failed", Tolerance(1.0, 0.0)),))
    assert final(equal, rows(range(60), candidate=0.2)).decision is Decision.ROLLBACK


def test_the_deadline_ends_a_release_without_a_verdict_but_not_its_rollback() -> None:
    criteria = dataclasses.replace(FAILED, deadline=50.0)
    verdict = final(criteria, rows(range(60), weight=5, traffic=20))
    assert (verdict.decision, verdict.reason) == (Decision.INCONCLUSIVE, Reason.DEADLINE_EXCEEDED)
    late = final(criteria, rows(range(60), weight=5, traffic=20), rows(range(60, 90), candidate=1.0))
    assert late.decision is Decision.ROLLBACK


def test_a_ratio_alone_never_promotes_a_service_without_errors_and_points_do() -> None:
    strict = Criteria((Guardrail("failed", "failed", Tolerance(1.5, 0.0)),))
    verdict = final(strict, rows(range(300), stable=0.0, candidate=0.0))
    assert verdict.decision is Decision.HOLD
    assert final(FAILED, rows(range(300), stable=0.0, candidate=0.0)).decision is Decision.PROMOTE


def test_latency_is_judged_between_strata_and_promoted_from_equal_shares_only() -> None:
    criteria = Criteria((Guardrail("slow", "slow", Tolerance(1.5, 0.01), Unit.STRATA),))
    assert final(criteria, rows(range(900))).decision is Decision.PROMOTE
    assert final(criteria, rows(range(300), weight=20)).decision is Decision.HOLD
    slow = [
        {**row, "slow": {"slow": row["requests"] // 2}} if row["arm"] == "candidate" else row
        for row in rows(range(300))
    ]
    assert final(criteria, slow).decision is Decision.ROLLBACK


def sticky(users_per_second: int, harmed: float, seconds: int, base: float = 0.0) -> list[Fields]:
    rng = np.random.default_rng(3)
    source = rows(range(seconds))
    for row in source:
        new = int(rng.poisson(users_per_second / 2))
        rate = harmed if row["arm"] == "candidate" else base
        row["users"] = {"new": new, "failed": int(rng.binomial(new, rate))}
    return source


STICKY = Criteria((Guardrail("failed", "failed", Tolerance(1.5, 0.01), Unit.USERS),))


def test_a_sticky_release_is_judged_by_users() -> None:
    assert final(STICKY, sticky(40, 0.5, 60)).decision is Decision.ROLLBACK
    assert final(STICKY, sticky(40, 0.0, 200)).decision is Decision.PROMOTE
    ratio_only = Criteria((Guardrail("failed", "failed", Tolerance(1.5, 0.0), Unit.USERS),))
    assert final(ratio_only, sticky(40, 0.5, 60, base=0.1)).decision is Decision.ROLLBACK


def test_a_sticky_release_without_users_or_with_few_holds_by_name() -> None:
    assert final(STICKY, rows(range(60))).reason is Reason.NO_USER_COUNTS
    assert final(STICKY, sticky(1, 0.0, 200)).reason is Reason.FEW_USERS


def outage(names: Iterable[str], seconds: Iterable[int]) -> list[Fields]:
    found = []
    for t, name in zip(seconds, names, strict=False):
        for arm, requests, failed in (("stable", 50, 0), ("candidate", 50, 50)):
            found.append(
                {"t": float(t), "router": "a", "version": 1, "arm": arm, "weight": 50, "requests": requests,
                 "failed": failed, "outage": name if failed else ""}
            )  # fmt: skip
    return found


def test_a_short_outage_is_weighed_as_it_is() -> None:
    verdict = final(FAILED, [{**row, "failed": min(row["failed"], 1)} for row in outage(["pod-1/1"], [0])])
    assert verdict.reason is Reason.COLLECTING


def test_one_outage_of_one_pod_alone_never_takes_a_release_back() -> None:
    verdict = final(FAILED, outage(["pod-1/1"] * 40, range(40)))
    assert (verdict.decision, verdict.reason) == (Decision.HOLD, Reason.ONE_OUTAGE)
    assert verdict.log_evalue < verdict.threshold


@pytest.mark.parametrize(
    "second", ["pod-2/1", "pod-1/2", ""], ids=["another pod", "another outage", "answered failures"]
)
def test_a_second_cause_does(second: str) -> None:
    verdict = final(FAILED, outage([*["pod-1/1"] * 10, second], range(11)))
    assert verdict.decision is Decision.ROLLBACK


def test_pods_of_unequal_luck_widen_the_margins() -> None:
    rng = np.random.default_rng(5)
    luck = {"stable": 0.05 * rng.lognormal(0, 0.6, 6), "candidate": np.array([0.13])}

    def source(*, named: bool) -> list[Fields]:
        found = []
        for t in range(400):
            for arm, rates in luck.items():
                for pod, rate in enumerate(rates):
                    count = 0 if t < 120 and arm == "candidate" else 30
                    row = {"t": float(t), "router": "a", "version": 0 if t < 120 else 1, "arm": arm,
                           "weight": 0 if t < 120 else 15, "requests": count,
                           "failed": int(np.random.default_rng([t, pod]).binomial(count, rate))}  # fmt: skip
                    row["pod" if named else "note"] = f"{arm}-{pod}"
                    row["t"] += pod / 100
                    found.append(row)
        return found

    assert final(FAILED, source(named=False)).decision is Decision.ROLLBACK
    assert final(FAILED, source(named=True)).decision is not Decision.ROLLBACK


def test_points_auto_is_measured_first_and_then_fixed() -> None:
    criteria = Criteria((Guardrail("failed", "failed", Tolerance(1.5, None)),))
    busy, _ = judged(criteria, rows(range(90), weight=0, traffic=400))
    assert busy.points == 0.001
    short = dataclasses.replace(criteria, deadline=3_600.0)
    quiet, _ = judged(short, rows(range(90), 0.0, 0.0, weight=0, traffic=1))
    assert quiet.points == 0.01
    assert busy.verdict().metrics[0].tolerated_points == 0.001


mixed = rows(range(40), candidate=0.02, routers=("a", "b"), traffic=40)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), split=st.booleans(), twice=st.booleans(), resumed=st.booleans())
def test_order_splits_repeats_and_restarts_change_no_verdict(
    *, seed: int, split: bool, twice: bool, resumed: bool
) -> None:
    shuffler = random.Random(seed)
    _, reference = judged(FAILED, mixed)
    other, verdicts = Release(FAILED), []
    by_second: dict[float, list[Fields]] = {}
    for row in mixed:
        by_second.setdefault(row["t"], []).append(row)
    for group in by_second.values():
        batch = [part for row in group for part in (parts(row, shuffler) if split else [row])]
        if twice:
            batch += shuffler.choices(batch, k=5)
        shuffler.shuffle(batch)
        for fields in batch:
            verdicts += [other.verdict() for _ in other.looks(fields)]
            if resumed and shuffler.random() < 0.3:
                other = resume(FAILED, dump(other))
    verdicts += [other.verdict() for _ in other.finish()]
    assert [dataclasses.replace(v, faults=()) for v in verdicts] == [
        dataclasses.replace(v, faults=()) for v in reference
    ]
    assert set(other.faults) <= {Fault.DUPLICATE}


def parts(row: Fields, shuffler: random.Random) -> list[Fields]:
    requests = shuffler.randint(0, row["requests"])
    failed = min(requests, shuffler.randint(0, row["failed"]))
    failed = max(failed, row["failed"] - (row["requests"] - requests))
    slow = row["slow"]["slow"]
    first = min(requests, slow)
    return [
        {**row, "requests": requests, "failed": failed, "slow": {"slow": first}, "t": row["t"] + 0.25},
        {
            **row,
            "requests": row["requests"] - requests,
            "failed": row["failed"] - failed,
            "slow": {"slow": slow - first},
        },
    ]


def test_a_late_row_is_named_and_changes_no_count() -> None:
    release, _ = judged(FAILED, rows(range(20)))
    seen = release.seen
    release.feed({**rows([3], candidate=1.0)[1], "requests": 5_000})
    assert release.seen == seen
    assert release.verdict().reason is Reason.DOUBTFUL_COUNTERS
    assert release.faults == {Fault.LATE: 1}


five = Criteria(
    tuple(
        Guardrail(name, metric, Tolerance(), unit)
        for name, metric, unit in (
            ("failed", "failed", Unit.REQUESTS),
            ("refused", "refused", Unit.REQUESTS),
            ("slow", "slow", Unit.STRATA),
            ("failed-too", "failed", Unit.STRATA),
            ("users", "failed", Unit.USERS),
        )
    )
)


def test_the_state_is_small_and_resumes_to_the_same_bytes() -> None:
    source = rows(
        range(200), candidate=0.006, weight=10, routers=("router-7d9f-x1", "router-7d9f-x2", "router-7d9f-x3")
    )
    for row in source:
        row["users"] = {"new": 3, "failed": 0}
    whole, other = Release(five), Release(five)
    sizes = []
    for i, fields in enumerate(source):
        whole.feed(fields)
        other.feed(fields)
        if i % 11 == 0:
            stored = dump(other)
            sizes.append(len(stored))
            other = resume(five, stored)
    assert dump(whole) == dump(other)
    assert whole.verdict() == other.verdict()
    assert max(sizes) < 2_000


def test_the_state_of_outages_taints_and_rollbacks_resumes_too() -> None:
    release, _ = judged(FAILED, outage(["pod-1/1"] * 5, range(5)))
    release.feed({"t": 6.0, "arm": "stable", "requests": -1, "router": "a"})
    release.feed(
        {"t": 6.0, "arm": "candidate", "requests": 4, "failed": 4, "router": "a", "outage": "pod-1/1", "weight": 50}
    )
    assert dump(resume(FAILED, dump(release))) == dump(release)
    over, _ = judged(FAILED, rows(range(30), candidate=0.4))
    assert resume(FAILED, dump(over)).verdict() == over.verdict()


@pytest.mark.parametrize(
    "damage",
    [
        lambda stored: b"",
        lambda stored: b"XYZ" + stored[3:],
        lambda stored: stored[:3] + b"\x09" + stored[4:],
        lambda stored: stored[:-8],
        lambda stored: stored + b"\x00" * 8,
        lambda stored: stored[:30] + b"\xff" * 10 + stored[40:],
    ],
    ids=["empty", "other magic", "other version", "too short", "too long", "garbled"],
)
def test_damaged_state_is_refused(damage: Any) -> None:
    release, _ = judged(FAILED, rows(range(10)))
    with pytest.raises(UnreadableState):
        resume(FAILED, damage(dump(release)))


def test_state_of_other_criteria_is_refused() -> None:
    release, _ = judged(FAILED, rows(range(10)))
    with pytest.raises(UnreadableState, match="other guardrails"):
        resume(dataclasses.replace(FAILED, false_rollback=0.02), dump(release))


def test_every_reason_has_a_sentence() -> None:
    verdict = final(FAILED, rows(range(20), weight=5, traffic=20))
    for reason in Reason:
        for metric in ("failed", ""):
            text = sentence(dataclasses.replace(verdict, reason=reason, metric=metric), FAILED)
            assert text.endswith(".")
    empty = final(FAILED, rows(range(20), weight=0))
    assert "0 of 0" in sentence(dataclasses.replace(empty, reason=Reason.WORSE, metric="failed"), FAILED)
    strict = final(Criteria((Guardrail("failed", "failed", Tolerance(2.0, 0.0)),)), rows(range(30), candidate=0.4))
    assert "tolerated 2 × stable;" in sentence(strict, FAILED)
