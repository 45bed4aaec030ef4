"""Plans weigh evidence for many releases at once; here every number is held against the judge's own, one by one."""

import numpy as np
import pytest
from penstock.cli.planning.arrivals import Arrivals, Source
from penstock.cli.planning.cohort import Cohort, Counts, Rail
from penstock.cli.planning.course import Contract, Course, Scenario
from penstock.cli.planning.schedule import Stage
from penstock.judge import guardrail
from penstock.judge.criteria import Guardrail, Tolerance, Unit
from penstock.judge.guardrail import Cell, Evidence
from penstock.judge.restarts import Spending

RELEASES, STRATA = 6, 120

CASES = [
    # unit, ratio, points, stable, candidate, requests, weight
    (Unit.REQUESTS, 1.5, 0.01, 0.005, 0.03, 50, 0.5),
    (Unit.REQUESTS, 1.5, 0.01, 0.005, 0.005, 200, 0.01),
    (Unit.REQUESTS, 1.5, 0.0, 0.05, 0.05, 30, 0.25),
    (Unit.REQUESTS, 1.0, 0.02, 0.0, 1.0, 20, 0.05),
    (Unit.REQUESTS, 1.0, 0.0, 0.2, 0.4, 500, 0.5),
    (Unit.REQUESTS, 3.0, 0.01, 0.6, 0.9, 40, 0.5),
    (Unit.STRATA, 1.5, 0.01, 0.05, 0.2, 50, 0.5),
    (Unit.STRATA, 1.5, 0.01, 0.05, 0.05, 200, 0.01),
    (Unit.STRATA, 1.5, 0.0, 0.002, 0.002, 20, 0.5),
]


@pytest.mark.parametrize(("unit", "ratio", "points", "stable", "candidate", "requests", "weight"), CASES)
def test_the_evidence_of_a_cohort_is_the_judges_evidence(
    unit: Unit, ratio: float, points: float, stable: float, candidate: float, requests: int, weight: float
) -> None:
    draw = np.random.default_rng(7)
    spec = Guardrail("g", "failed", Tolerance(ratio, points), unit)
    cohort = Cohort(Rail("g", ratio, points, unit, stable, candidate), RELEASES)
    alone = [Evidence() for _ in range(RELEASES)]
    spending, onsets = Spending(), []
    for stratum in range(STRATA):
        spending, onset = spending.advance(float(stratum), spending.requests + requests, 10_000.0)
        onsets.append(onset)
        given = draw.binomial(requests, weight, RELEASES)
        counts = Counts(
            given, requests - given, draw.binomial(given, candidate), draw.binomial(requests - given, stable)
        )
        both = (counts.candidate > 0) & (counts.stable > 0)
        weights = np.full(RELEASES, onset)
        cohort.observe_harm(counts, both, weights)
        cohort.observe_health(counts, both)
        if unit is Unit.STRATA:
            rate, least = counts.candidate_events / np.maximum(1, given), counts.stable_events / (requests - given)
            excess = np.where(both, rate - np.maximum(ratio * least, least + points), np.nan)
            cohort.observe_signs(excess[:, None], np.full(RELEASES, weight == 0.5), weights)
        cohort.observe_stable(counts.stable, counts.stable_events)
        for i, evidence in enumerate(alone):
            candidates, stables, candidate_events, stable_events = (int(column[i]) for column in counts)
            cell = Cell(weight, stables, candidates, stable_events, candidate_events)
            guardrail.observe(evidence, spec, points, 1.0, cell, onset)
    assert cohort.log_harm() == pytest.approx([e.log_harm(spec, points) for e in alone], rel=1e-9, abs=1e-9)
    assert cohort.log_health() == pytest.approx([e.log_health(spec, points) for e in alone], rel=1e-9, abs=1e-9)
    assert cohort.base == [e.base for e in alone]
    assert cohort.difference == [e.difference for e in alone]
    assert cohort.scale == pytest.approx([e.scale for e in alone], rel=1e-9)


def test_differences_weighed_together_count_as_much_as_one_by_one() -> None:
    draw = np.random.default_rng(11)
    differences = draw.normal(-0.02, 0.1, (RELEASES, 700))
    differences[draw.random(differences.shape) < 0.1] = np.nan
    differences[0, :5] = 0.0
    rail = Rail("slow", 1.5, 0.01, Unit.STRATA, 0.05, 0.05)
    together, alone = Cohort(rail, RELEASES), Cohort(rail, RELEASES)
    nothing, halved = np.zeros(RELEASES), np.ones(RELEASES, np.bool_)
    together.observe_signs(differences, halved, nothing)
    for column in differences.T:
        alone.observe_signs(column[:, None], halved, nothing)
    assert together.signs_health == pytest.approx(alone.signs_health, rel=1e-9)
    assert together.scale == pytest.approx(alone.scale, rel=1e-9)


def test_the_weight_of_late_harm_is_spent_as_the_judge_spends_it() -> None:
    scenario = Scenario(
        (Rail("failed", 1.5, 0.01, Unit.REQUESTS, 0.01, 0.01),),
        (Stage(0.5, 50, named=False, pause=0.0),),
        Arrivals(50.0),
        Contract(4.6, 4.6, 0.01, 300.0),
    )
    course = Course(scenario, 1, Source(np.random.default_rng(1), scenario.rails), (Cohort(scenario.rails[0], 1),), ())
    spending, course.started = Spending(), np.zeros(1)
    for t, requests in ((4.0, 60), (5.0, 40), (90.0, 12_000), (500.0, 900_000)):
        course.t = np.array([t])
        spending, weight = spending.advance(t, spending.requests + requests, 300.0)
        assert course._spend(np.array([requests]))[0] == pytest.approx(weight, rel=1e-12)
