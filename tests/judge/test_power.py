"""How soon the judge decides: near the least that any test needs when something is wrong, in time when nothing is."""

import math

import numpy as np
import pytest
from penstock.judge.criteria import Criteria, Guardrail
from penstock.judge.release import Release
from penstock.judge.verdict import Decision
from scipy.stats import binom

from benchmarks.judge.power import DEFAULTS, STRICT, Case, bound, mean, until_rollback
from benchmarks.judge.scenarios import Scenario, flat, judge, rows

FAILED = Criteria((Guardrail("failed"),))
"""The default tolerance."""

pytestmark = [pytest.mark.level, pytest.mark.xdist_group("level"), pytest.mark.timeout(1800)]


def test_a_rollback_needs_little_more_than_the_information_bound() -> None:
    ratios = []
    for weight, traffic in ((0.05, 40), (0.5, 10)):
        for worse, releases in ((1.5, 30), (2.0, 80), (5.0, 250)):
            case = Case(STRICT, 0.01, 0.01 * worse, weight, traffic)
            ratios.append(mean(case, releases).requests / bound(case))
    assert np.mean(ratios) <= 1.5, ratios
    # single cells are measured to about a tenth
    assert max(ratios) <= 1.75, ratios


@pytest.mark.parametrize(
    ("criteria", "routers", "weight", "rate", "most"),
    [
        (STRICT, 1, 0.05, 1.0, 5),
        (STRICT, 1, 0.1, 1.0, 5),
        (STRICT, 1, 0.5, 1.0, 12),
        (STRICT, 1, 0.05, 0.1, 60),
        (DEFAULTS, 2, 0.05, 1.0, 8),
        (DEFAULTS, 2, 0.1, 1.0, 8),
        (DEFAULTS, 2, 0.5, 1.0, 18),
        (DEFAULTS, 2, 0.05, 0.1, 100),
    ],
)
def test_gross_failures_are_out_after_a_few_own_requests(
    criteria: Criteria, routers: int, weight: float, rate: float, most: float
) -> None:
    case = Case(criteria, 0.005, rate, weight, max(4, round(1 / weight)), routers)
    assert mean(case, 200).own <= most


@pytest.mark.parametrize(("weight", "traffic", "most"), [(0.5, 10, 35), (0.05, 40, 12)])
@pytest.mark.parametrize("healthy", [2_000, 50_000])
@pytest.mark.parametrize("criteria", [STRICT, DEFAULTS], ids=["strict", "defaults"])
def test_harm_that_begins_late_is_found_as_well(
    criteria: Criteria, healthy: int, weight: float, traffic: int, most: float
) -> None:
    case = Case(criteria, 0.01, 1.0, weight, traffic, healthy=healthy)
    assert np.median([until_rollback(case, seed).own for seed in range(9)]) <= most


@pytest.mark.parametrize("base", [0.0, 0.005, 0.01])
@pytest.mark.parametrize(("traffic", "seconds", "releases"), [(1.0, 86_400, 12), (100.0, 1_800, 40)])
def test_a_healthy_candidate_is_promoted_in_time(base: float, traffic: float, seconds: int, releases: int) -> None:
    scenario = Scenario("healthy", flat(base), flat(traffic), looks=seconds, weight=0.5)
    outcomes = [
        judge(Release(FAILED), rows(scenario, np.random.default_rng([3, i])), _promotes) for i in range(releases)
    ]
    promoted = sum(outcome.promoted_at is not None for outcome in outcomes)
    assert promoted >= binom.ppf(0.001, releases, 0.95), outcomes


@pytest.mark.parametrize("base", [0.001, 0.01, 0.05])
def test_a_candidate_exactly_on_the_boundary_is_seldom_promoted(base: float) -> None:
    scenario = Scenario("boundary", flat(base), flat(150.0), looks=150, weight=0.5, ratio=1.5, points=0.01)
    outcomes = [judge(Release(FAILED), rows(scenario, np.random.default_rng([4, i])), _promotes) for i in range(400)]
    promoted = sum(outcome.promoted_at is not None for outcome in outcomes)
    assert promoted <= binom.ppf(0.999, 400, FAILED.missed_regression)


def _promotes(release: Release) -> bool:
    return release.decide(float(release.latest))[0] is Decision.PROMOTE


def test_the_bound_is_walds() -> None:
    case = Case(STRICT, 0.01, 0.05, 0.05, 40)
    assert bound(case) == pytest.approx(1_632 * math.log(100) / math.log(20), rel=0.01)
