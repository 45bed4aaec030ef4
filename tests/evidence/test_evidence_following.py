"""However ledgers come in, in whatever pages, late, twice, cut by restarts: the judge sees the same rows in order."""

import json
import math
import random
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from penstock.evidence.agents import Page
from penstock.evidence.following import PATIENCE, Following, ReleaseName, whole
from penstock.evidence.memory import resumed, write
from penstock.evidence.summary import evidence_of
from penstock.judge.criteria import Criteria, Guardrail, Tolerance
from penstock.judge.release import Release
from penstock.judge.state import UnreadableState, dump
from penstock.judge.verdict import Decision
from penstock.world import Decision as Word

RECORDED = Path(__file__).parent / "recorded"
MARK = "fraud-2@20261124T060000Z"
START = datetime(2026, 11, 24, 6, 0, 0, tzinfo=UTC)
NAME = ReleaseName("fraud", "fraud-2", START, MARK)
CRITERIA = Criteria()
PODS = ("a", "b")


def recording(behaviour: str, weight: int, pod: str, start: float, epoch: int) -> list[dict]:
    """A recorded ledger as the ledger of this pod, from this time on."""
    rows = [json.loads(line) for line in (RECORDED / f"{behaviour}-{weight}.jsonl").read_text().splitlines()]
    shift = start - rows[0]["t"]
    return [
        {**row, "t": round(row["t"] + shift, 3), "router": f"{pod}/boot", "release": MARK, "version": epoch}
        for row in rows
    ]


def ledgers(behaviour: str = "failing") -> dict[str, list[dict]]:
    """Two pods' ledgers of one release: 10 %, then 50 %; the pods' rows fall between one another."""
    start = START.timestamp()
    return {
        pod: recording(behaviour, 10, pod, start + offset, 4) + recording(behaviour, 50, pod, start + offset + 9, 5)
        for pod, offset in (("a", 1.0), ("b", 1.1))
    }


def in_order(rows: list[dict]) -> list[dict]:
    return sorted(rows, key=lambda row: (row["t"], row["router"], row["arm"]))


def shown_at_once(rows: list[dict]) -> Release:
    judge = Release(CRITERIA)
    for row in in_order(rows):
        judge.feed(whole(row, CRITERIA))
    return judge


def weighed(judge: Release) -> list:
    """Everything that decides, without what only tells how far the clock is."""
    return [(e.split_harm, e.ratio_harm, e.points_harm, e.points_health, e.stable, e.candidate) for e in judge.evidence]


class Ledger:
    """One pod's ledger, served as the agent does: ticks in pages behind a cursor."""

    def __init__(self, rows: list[dict]) -> None:
        self.ticks = [list(tick) for _, tick in groupby(rows, key=lambda row: row["t"])]

    def page(self, since: str, until: float, most: int) -> Page:
        after = int(since or 0)
        there = [tick for tick in self.ticks[after:] if tick[0]["t"] <= until]
        taken = there[:most]
        complete = until if len(taken) == len(there) else taken[-1][0]["t"]
        return Page(tuple(row for tick in taken for row in tick), str(after + len(taken)), complete, gap=False)


def pulled(following: Following, served: dict[str, Ledger], now: float, most: int = 10_000, pods=PODS) -> None:
    following.attend(PODS, now)
    for pod in pods:
        since = following.since(pod, now)
        following.take(pod, served[pod].page("0" if since == "now" else since, now, most), now)
    while following.advance(now, 50):
        pass


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), behaviour=st.sampled_from(["failing", "healthy", "refusing"]))
@example(seed=152, behaviour="failing").via("a restart while a router's first page was shown in part")
def test_pages_delays_and_restarts_change_nothing(seed: int, behaviour: str) -> None:
    chance = random.Random(seed)
    rows = ledgers(behaviour)
    served = {pod: Ledger(rows[pod]) for pod in PODS}
    following = Following(NAME, CRITERIA, Release(CRITERIA))
    now, end = START.timestamp(), START.timestamp() + 20.0
    answered = now
    while now < end:
        now += chance.uniform(0.05, 0.9)
        pods = PODS if now - answered > PATIENCE / 2 else chance.choice([PODS, ("a",), ("b",)])
        answered = now if pods == PODS else answered
        pulled(following, served, now, chance.randint(1, 12), pods)
        if chance.random() < 0.3:
            cursors = {pod: stream.kept for pod, stream in following.streams.items() if stream.kept}
            following = resumed(NAME, CRITERIA, cursors, write(following))
    for _ in range(100):
        now += 0.25
        pulled(following, served, now)
    reference = shown_at_once(rows["a"] + rows["b"])
    for pod in PODS:
        reference.feed(
            {"t": now + 9.0, "router": f"{pod}/boot", "version": 5, "weight": 50, "arm": "stable", "requests": 0}
        )
    assert weighed(following.judge) == weighed(reference)
    assert following.judge.faults == {}
    assert following.judge.seen == reference.seen


def test_a_failing_candidate_is_known_within_two_seconds_of_its_first_failure() -> None:
    rows = ledgers("failing")
    served = {pod: Ledger(rows[pod]) for pod in PODS}
    following = Following(NAME, CRITERIA, Release(CRITERIA))
    first = min(row["t"] for pod in PODS for row in rows[pod] if row.get("failed"))
    now = START.timestamp()
    while following.decision()[0] is not Decision.ROLLBACK:
        now += 0.25
        pulled(following, served, now)
        assert now < first + 2.0
    assert now > first
    evidence = evidence_of(following, now)
    assert evidence is not None
    assert (evidence.judgement.decision, evidence.revision, evidence.epoch) == (Word.ROLLBACK, "fraud-2", 4)


def test_a_router_without_requests_is_not_waited_for_once_it_says_that_all_is_told() -> None:
    rows = ledgers("failing")
    served = {"a": Ledger(rows["a"]), "b": Ledger(rows["b"][:2])}
    following = Following(NAME, CRITERIA, Release(CRITERIA))
    now = START.timestamp()
    while following.decision()[0] is not Decision.ROLLBACK:
        now += 0.25
        pulled(following, served, now)
        assert now < START.timestamp() + 1.0 + 2.5


def test_a_router_that_does_not_answer_is_waited_for_a_little_and_named() -> None:
    rows = ledgers("failing")
    served = {pod: Ledger(rows[pod]) for pod in PODS}
    following = Following(NAME, CRITERIA, Release(CRITERIA))
    now = START.timestamp()
    pulled(following, served, now)
    reached = following.until
    while now < START.timestamp() + PATIENCE:
        now += 0.25
        pulled(following, served, now, pods=("a",))
        assert following.until == reached
        assert following.unreachable(now) == ()
    for _ in range(12):
        now += 0.25
        pulled(following, served, now, pods=("a",))
    assert following.unreachable(now) == ("b",)
    assert following.decision()[0] is Decision.ROLLBACK
    evidence = evidence_of(following, now)
    assert evidence is not None
    assert evidence.unreachable == ("b",)
    assert now - evidence.as_of.timestamp() > PATIENCE


def test_rows_that_come_after_all_are_late_and_only_withhold() -> None:
    rows = ledgers("healthy")
    served = {pod: Ledger(rows[pod]) for pod in PODS}
    following = Following(NAME, CRITERIA, Release(CRITERIA))
    now = START.timestamp() + 1.0
    for _ in range(4):
        now += 0.25
        pulled(following, served, now)
    for _ in range(32):
        now += 0.25
        pulled(following, served, now, pods=("a",))
    pulled(following, served, now + 0.25)
    assert "Late" in following.judge.faults
    assert following.decision()[0] is Decision.HOLD


def test_a_pod_that_is_gone_is_not_missed_but_what_it_told_is_shown() -> None:
    rows = ledgers("healthy")
    served = {pod: Ledger(rows[pod]) for pod in PODS}
    following = Following(NAME, CRITERIA, Release(CRITERIA))
    now = START.timestamp() + 4.0
    following.attend(PODS, now)
    for pod in PODS:
        following.take(pod, served[pod].page("0", now, 1_000), now)
    following.attend(("a",), now)
    following.advance(now, 10_000)
    following.attend(("a",), now)
    assert set(following.streams) == {"a"}
    counted = sum(following.judge.seen) + sum(row.requests for row in following.judge.watermark.waiting)
    assert counted == sum(row["requests"] for pod in PODS for row in rows[pod] if row["t"] <= now)


def test_requests_are_counted_for_the_newest_epoch_alone() -> None:
    rows = ledgers("healthy")
    served = {pod: Ledger(rows[pod]) for pod in PODS}
    following = Following(NAME, CRITERIA, Release(CRITERIA))
    now = START.timestamp() + 12.0
    pulled(following, served, now)
    evidence = evidence_of(following, now)
    assert evidence is not None
    shown = [r for pod in PODS for r in rows[pod] if r["t"] <= following.until and r["arm"] == "candidate"]
    assert evidence.epoch == 5
    assert evidence.requests == sum(row["requests"] for row in shown if row["version"] == 5)


def test_rows_of_other_releases_are_not_evidence() -> None:
    rows = [{**row, "release": "fraud-2@20260101T000000Z"} for row in ledgers("failing")["a"]]
    following = Following(NAME, CRITERIA, Release(CRITERIA))
    now = START.timestamp() + 30.0
    pulled(following, {"a": Ledger(rows), "b": Ledger([])}, now)
    assert following.judge.watermark.heard == {}
    assert evidence_of(following, now) is None


def test_a_candidate_without_a_weight_yet_has_no_evidence_instead_of_too_little() -> None:
    rows = {pod: recording("healthy", 0, pod, START.timestamp() + 1.0, 3) for pod in PODS}
    following = Following(NAME, CRITERIA, Release(CRITERIA))
    now = START.timestamp() + 20.0
    pulled(following, {pod: Ledger(rows[pod]) for pod in PODS}, now)
    assert following.judge.latest > 0
    assert evidence_of(following, now) is None


def test_turning_requests_away_is_saturation_for_some_seconds() -> None:
    busy = [{**row, "saturated": row["requests"] // 10} for row in ledgers("healthy")["a"]]
    calm = [row for row in ledgers("healthy")["b"] if row["t"] > 0]
    following = Following(NAME, CRITERIA, Release(CRITERIA))
    now = START.timestamp() + 6.0
    pulled(following, {"a": Ledger(busy), "b": Ledger(calm)}, now)
    assert following.saturated
    quiet = Following(NAME, CRITERIA, Release(CRITERIA))
    pulled(quiet, {pod: Ledger(ledgers("healthy")[pod]) for pod in PODS}, now)
    assert not quiet.saturated


def test_where_to_begin_depends_on_how_old_the_release_is() -> None:
    following = Following(NAME, CRITERIA, Release(CRITERIA))
    assert following.since("a", START.timestamp() + 1.0) == "now"
    assert following.since("a", START.timestamp() + 60.0) == ""
    following.take("a", Page((), "j-7", START.timestamp(), gap=False), START.timestamp())
    assert following.since("a", START.timestamp() + 60.0) == "j-7"


def test_a_routers_clock_that_runs_ahead_makes_no_evidence_fresher() -> None:
    following = Following(NAME, CRITERIA, Release(CRITERIA))
    ahead = 40.0
    rows = [{**row, "t": row["t"] + ahead} for row in ledgers("healthy")["a"]]
    now = START.timestamp() + 5.0
    following.attend(("a",), now)
    following.take("a", Ledger(rows).page("0", now + ahead, 1_000), now)
    following.advance(now, 10_000)
    evidence = evidence_of(following, now)
    assert evidence is not None
    assert math.isclose(evidence.as_of.timestamp(), now, abs_tol=0.01)


@pytest.mark.parametrize("text", ["{", "{}", '{"v": 2}', '{"v": 1, "judge": "!", "until": 0}', "[1]"])
def test_a_memory_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(UnreadableState):
        resumed(NAME, CRITERIA, {}, text)


def test_a_memory_of_other_guardrails_is_refused() -> None:
    other = Criteria(guardrails=(Guardrail("failed", "failed", Tolerance(2.0, 0.02)),))
    with pytest.raises(UnreadableState):
        resumed(NAME, other, {}, write(Following(NAME, CRITERIA, Release(CRITERIA))))


def test_the_memory_stays_small_and_keeps_the_judge_to_the_last_bit() -> None:
    rows = ledgers("healthy")
    following = Following(NAME, CRITERIA, Release(CRITERIA))
    pulled(following, {pod: Ledger(rows[pod]) for pod in PODS}, START.timestamp() + 15.0)
    text = write(following)
    assert len(text) < 8_000
    assert dump(resumed(NAME, CRITERIA, {}, text).judge) == dump(following.judge)


def test_zeros_that_the_ledger_leaves_out_are_known_to_be_zeros() -> None:
    criteria = Criteria(guardrails=(Guardrail("failed", "failed"), Guardrail("p99", "slow")))
    row = {"t": 1.0, "arm": "stable", "requests": 5}
    assert whole(row, criteria) == {**row, "failed": 0, "refused": 0, "slow": {"p99": 0}}
    assert whole({**row, "slow": {"p99": 2}, "failed": 1}, criteria)["slow"] == {"p99": 2}
