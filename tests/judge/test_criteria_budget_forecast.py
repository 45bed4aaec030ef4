"""The contract, its budget, and what is still needed."""

import math

import numpy as np
import pytest
from penstock.judge import budget, forecast
from penstock.judge.criteria import Criteria, Guardrail, Tolerance
from penstock.judge.interval import Difference


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Tolerance(0.5), "ratio"),
        (lambda: Tolerance(float("nan")), "ratio"),
        (lambda: Tolerance(1.5, 1.0), "points"),
        (lambda: Tolerance(1.5, -0.1), "points"),
        (lambda: Criteria(()), "guardrails"),
        (lambda: Criteria((Guardrail("a"), Guardrail("a"))), "guardrails"),
        (lambda: Criteria(false_rollback=0.0), "falseRollback"),
        (lambda: Criteria(missed_regression=0.7), "missedRegression"),
        (lambda: Criteria(share=0.0), "share"),
        (lambda: Criteria(deadline=0.0), "deadline"),
    ],
)
def test_impossible_contracts_are_refused(make: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()  # type: ignore[operator]


def test_kinds_of_evidence_that_are_not_in_play_leave_their_share() -> None:
    assert budget.request_share(()) == 1.0
    assert budget.request_share(("brake",)) == pytest.approx(0.9)
    assert budget.request_share(("brake", "labels", "others")) == pytest.approx(0.7)
    assert sum(budget.SHARES.values()) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="unknown kind"):
        budget.request_share(("hunch",))


def test_the_brake_shares_among_routers() -> None:
    assert budget.brake_threshold(0.01, 10) == pytest.approx(math.log(10_000))


def test_the_mean_of_evalues() -> None:
    assert budget.combined([0.0, math.log(3)]) == pytest.approx(math.log(2))
    assert budget.combined([-math.inf, -math.inf]) == -math.inf
    assert budget.combined([1e5, 0.0]) == pytest.approx(1e5 - math.log(2))


def test_a_fleet_and_its_limits() -> None:
    assert budget.false_rollbacks_a_year(500, 52, 0.01) == pytest.approx(260)
    limit = budget.ActionLimit(2, 100.0)
    assert limit.allows([0.0, 50.0], 101.0)
    assert not limit.allows([10.0, 50.0], 101.0)
    assert limit.next_allowed([10.0, 50.0], 101.0) == 110.0
    assert limit.next_allowed([10.0], 101.0) == 101.0


def test_what_is_needed_for_a_promotion() -> None:
    needed = forecast.requests_to_promotion(0.0, math.log(100), 1.5, 0.01, 0.01, 0.5)
    assert needed is not None
    assert 2_000 < needed < 12_000
    assert forecast.requests_to_promotion(9.0, math.log(100), 1.5, 0.01, 0.01, 0.5) == 0
    assert forecast.requests_to_promotion(0.0, math.log(100), 1.0, 0.0, 0.01, 0.5) is None


def test_what_is_needed_for_a_rollback() -> None:
    always = forecast.requests_to_rollback(0.0, math.log(100), 0.01, 0.005, 0.05, 1.0)
    tenth = forecast.requests_to_rollback(0.0, math.log(100), 0.01, 0.005, 0.05, 0.1)
    assert always is not None
    assert tenth is not None
    assert always < 6 < tenth < 80
    assert forecast.requests_to_rollback(0.0, 4.6, 0.01, 0.0, 0.05, 1.0) is not None
    assert forecast.requests_to_rollback(0.0, 4.6, 0.01, 0.05, 0.05, 0.06) is None
    assert forecast.requests_to_rollback(0.0, 4.6, 0.0, 0.05, 1.0, 0.5) is None
    assert forecast.requests_to_rollback(0.0, 4.6, 0.0, 0.0, 0.5, 1e-12) is not None


def test_points_auto_takes_the_tightest_that_fits() -> None:
    chosen = [forecast.auto_points(0.005, traffic, 86_400.0, 0.5, 0.01) for traffic in (0.01, 1.0, 1_000.0)]
    assert chosen[0] == forecast.AUTO_POINTS[-1]
    assert chosen == sorted(chosen, reverse=True)
    assert chosen[-1] == forecast.AUTO_POINTS[0]


def test_a_step_waits_for_requests_signs_and_exposure() -> None:
    step = forecast.Step(weight=0.25, min_requests=100)
    assert forecast.step_allowed(step, 100, 0.0, 0.1)
    assert not forecast.step_allowed(step, 99, 0.0, 0.1)
    assert not forecast.step_allowed(step, 100, forecast.SIGN, 0.1)
    assert not forecast.step_allowed(step, 100, 0.0, 0.3)
    assert forecast.step_allowed(step, 100, 0.0, -0.1)


def test_the_interval_covers_the_stratified_difference_at_every_look() -> None:
    rng = np.random.default_rng(4)
    missed = 0
    for _ in range(300):
        difference = Difference()
        for look in range(60):
            weight = 0.05 if look < 30 else 0.5
            base = 0.02 if look < 30 else 0.08
            candidate = int(rng.binomial(400, weight))
            x, y = int(rng.binomial(candidate, base + 0.01)), int(rng.binomial(400 - candidate, base))
            difference = difference.after(candidate, 400 - candidate, x, y)
            low, high = difference.interval(0.05)
            if not low <= 0.01 <= high:
                missed += 1
                break
    assert missed <= 15
    assert Difference().interval(0.05) == (-1.0, 1.0)
