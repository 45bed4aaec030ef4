"""What a plan tells is what happens: the same releases, row by row, through the judge that the operator runs."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from penstock.api.rollout import Rollout
from penstock.cli.planning.arrivals import Arrivals
from penstock.cli.planning.cohort import Rail
from penstock.cli.planning.course import Contract, Courses, Ending, Scenario, harmed, healthy
from penstock.cli.planning.schedule import Stage, stages_of
from penstock.judge import forecast
from penstock.judge.criteria import Criteria, Guardrail, Tolerance, Unit
from penstock.judge.release import Release

DEFAULT = stages_of(Rollout())
HALF = (Stage(0.5, 50, named=False, pause=0.0),)
ROUTERS = 2
GOOD = Rail("g1", 1.5, 0.01, Unit.REQUESTS, 0.01, 0.01)


@dataclass(frozen=True)
class Ended:
    """How one release ended, after how many seconds and requests of the candidate."""

    how: Ending
    seconds: float
    requests: int


def follow(
    criteria: Criteria, stages: tuple[Stage, ...], traffic: float, base: float, rates: dict[str, float], seed: int
) -> Ended:
    """One release second by second; the weight rises as `forecast.step_allowed` lets it."""
    draw, release = np.random.default_rng(seed), Release(criteria)
    stage = here = requests = t = 0
    full: int | None = None
    while True:
        weight = stages[stage].weight
        for router in range(ROUTERS):
            both = int(draw.poisson(traffic / ROUTERS))
            given = int(draw.binomial(both, weight))
            here, requests = here + given, requests + given
            for arm, count in (("candidate", given), ("stable", both - given)):
                row: dict[str, object] = {
                    "t": t, "router": f"r{router}", "version": stage, "arm": arm, "weight": 100.0 * weight,
                    "requests": count,
                }  # fmt: skip
                events = {
                    rail.name: int(draw.binomial(count, rates[rail.name] if arm == "candidate" else base))
                    for rail in criteria.guardrails
                }
                row |= {rail.metric: events[rail.name] for rail in criteria.guardrails if rail.metric != "slow"}
                row["slow"] = {rail.name: events[rail.name] for rail in criteria.guardrails if rail.metric == "slow"}
                for _ in release.feed(row):
                    pass
        t += 1
        if release.rolled_back:
            return Ended(Ending.ROLLED_BACK, t, requests)
        if release.started >= 0 and t - release.started > criteria.deadline:
            return Ended(Ending.UNDECIDED, t, requests)
        if here < stages[stage].min_requests:
            continue
        full = t if full is None else full
        if t - full < stages[stage].pause:
            continue
        metrics, harm = release.metrics(), release.log_harm()
        if stage == len(stages) - 1:
            if harm < forecast.SIGN and all(m.log_evalue_promotion >= m.threshold_promotion for m in metrics):
                return Ended(Ending.PROMOTED, t, requests)
            continue
        step = forecast.Step(stages[stage + 1].weight, stages[stage].min_requests)
        if forecast.step_allowed(step, here, harm, max(m.interval[1] for m in metrics)):
            stage, here, full = stage + 1, 0, None


def guarded(unit: Unit = Unit.REQUESTS, deadline: float = 86_400.0) -> Criteria:
    """Two guardrails that are alike."""
    metrics = ("failed", "refused") if unit is Unit.REQUESTS else ("slow", "slow")
    rails = tuple(Guardrail(f"g{i}", metric, Tolerance(), unit) for i, metric in enumerate(metrics))
    return Criteria(rails, deadline=deadline)


def scenario(criteria: Criteria, stages: tuple[Stage, ...], traffic: float, base: float, rate: float) -> Scenario:
    """The same release as a plan simulates it: one guardrail where the candidate is worse, else all of them."""
    rails = tuple(
        Rail(rail.name, rail.tolerance.ratio, rail.tolerance.points or 0.0, rail.unit, base, rate)
        for rail in (criteria.guardrails if rate == base else criteria.guardrails[:1])
    )
    contract = Contract(
        criteria.rollback_threshold,
        criteria.promotion_threshold,
        criteria.false_rollback,
        criteria.deadline,
        others=len(criteria.guardrails) - len(rails),
    )
    return Scenario(rails, stages, Arrivals(traffic, ROUTERS), contract)


def planned(criteria: Criteria, stages: tuple[Stage, ...], traffic: float, base: float, rate: float) -> Courses:
    """As the plan has it."""
    of = scenario(criteria, stages, traffic, base, rate)
    *_, course = healthy(of, 200, 1) if rate == base else harmed(of, 100, 1)
    return course.courses()


def happened(
    criteria: Criteria, stages: tuple[Stage, ...], traffic: float, base: float, rate: float, releases: int
) -> list[Ended]:
    """As the judge has it."""
    worse = {rail.name: rate if i == 0 else base for i, rail in enumerate(criteria.guardrails)}
    return [follow(criteria, stages, traffic, base, worse, seed) for seed in range(releases)]


REGRESSIONS = [
    # stages, traffic, base, candidate's rate, unit, releases; how far medians may lie apart (sampling error included)
    (DEFAULT, 50.0, 0.005, 1.0, Unit.REQUESTS, 60, 1.25),
    (DEFAULT, 50.0, 0.005, 0.1, Unit.REQUESTS, 30, 1.4),
    (DEFAULT, 1_000.0, 0.005, 0.1, Unit.REQUESTS, 60, 1.35),
    (DEFAULT, 1_000.0, 0.005, 0.025, Unit.REQUESTS, 30, 1.35),
    (HALF, 50.0, 0.005, 1.0, Unit.REQUESTS, 40, 1.25),
    (HALF, 50.0, 0.005, 0.1, Unit.REQUESTS, 60, 1.35),
    (HALF, 50.0, 0.05, 0.25, Unit.REQUESTS, 60, 1.35),
    (HALF, 5.0, 0.0, 0.1, Unit.REQUESTS, 30, 1.4),
    (DEFAULT, 50.0, 0.005, 1.0, Unit.STRATA, 30, 1.25),
    (HALF, 50.0, 0.05, 0.15, Unit.STRATA, 40, 1.35),
]


@pytest.mark.parametrize(("stages", "traffic", "base", "rate", "unit", "releases", "apart"), REGRESSIONS)
def test_a_regression_is_found_when_the_plan_says(
    stages: tuple[Stage, ...], traffic: float, base: float, rate: float, unit: Unit, releases: int, apart: float
) -> None:
    plan = planned(guarded(unit), stages, traffic, base, rate)
    ends = happened(guarded(unit), stages, traffic, base, rate, releases)
    assert (plan.ending == Ending.ROLLED_BACK).mean() >= 0.97
    assert all(end.how is Ending.ROLLED_BACK for end in ends)
    seconds, requests = np.median([end.seconds for end in ends]), np.median([end.requests for end in ends])
    assert seconds / apart <= np.median(plan.seconds) <= seconds * apart
    assert requests / apart - 1 <= np.median(plan.requests) <= requests * apart + 1


PROMOTIONS = [
    (HALF, 50.0, 0.005, Unit.REQUESTS, 24),
    (HALF, 50.0, 0.0, Unit.REQUESTS, 20),
    (HALF, 100.0, 0.05, Unit.STRATA, 12),
    (DEFAULT, 1_000.0, 0.01, Unit.REQUESTS, 3),
]


@pytest.mark.parametrize(("stages", "traffic", "base", "unit", "releases"), PROMOTIONS)
def test_a_candidate_as_good_as_stable_is_promoted_when_the_plan_says(
    stages: tuple[Stage, ...], traffic: float, base: float, unit: Unit, releases: int
) -> None:
    plan = planned(guarded(unit), stages, traffic, base, base)
    ends = happened(guarded(unit), stages, traffic, base, base, releases)
    assert (plan.ending == Ending.PROMOTED).all()
    assert all(end.how is Ending.PROMOTED for end in ends)
    seconds = np.array([end.seconds for end in ends])
    assert np.median(seconds) / 1.4 <= np.median(plan.seconds) <= np.median(seconds) * 1.4
    assert (seconds <= np.quantile(plan.seconds, 0.95) * 1.05).mean() >= 0.8


def test_the_share_that_is_promoted_before_the_deadline_is_the_plans() -> None:
    criteria = guarded(deadline=75.0)
    plan = planned(criteria, HALF, 50.0, 0.005, 0.005)
    ends = happened(criteria, HALF, 50.0, 0.005, 0.005, 30)
    share = (plan.ending == Ending.PROMOTED).mean()
    assert 0.3 < share < 0.7
    assert share == pytest.approx(np.mean([end.how is Ending.PROMOTED for end in ends]), abs=0.25)


def test_what_becomes_of_a_tolerated_regression_is_what_the_plan_says() -> None:
    criteria = guarded(deadline=140.0)
    of = replace(
        scenario(criteria, HALF, 50.0, 0.01, 0.01), rails=(Rail("g0", 1.5, 0.01, Unit.REQUESTS, 0.01, 0.0125), GOOD)
    )
    *_, course = healthy(of, 150, 3)
    ends = happened(criteria, HALF, 50.0, 0.01, 0.0125, 24)
    share = (course.ending == Ending.PROMOTED).mean()
    assert 0.15 < share < 0.8
    assert share == pytest.approx(np.mean([end.how is Ending.PROMOTED for end in ends]), abs=0.28)


def test_a_candidate_on_the_tolerance_is_rolled_back_no_more_often_than_promised() -> None:
    *_, course = harmed(scenario(guarded(deadline=600.0), HALF, 50.0, 0.01, 0.02), 100, 3)
    assert (course.ending == Ending.ROLLED_BACK).mean() <= 0.01 + 3 * (0.01 / 100) ** 0.5


def test_each_step_lasts_as_long_as_the_plan_says() -> None:
    *_, course = healthy(scenario(guarded(), DEFAULT, 50.0, 0.005, 0.005), 100, 1)
    lasts = np.diff(np.nanmedian(course.reached, axis=0), prepend=0.0)
    # 50 requests at 1 % of 50/s, 500 at 5 %, a pause of 10 minutes
    assert lasts[0] == pytest.approx(100.0, rel=0.1)
    assert lasts[1] == pytest.approx(200.0, rel=0.05)
    assert lasts[2] == pytest.approx(600.0 + 50 / 12.5, rel=0.02)
