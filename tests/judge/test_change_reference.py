"""The reference: what is usual at this hour, how sure that is, and what is then found within a day."""

from collections.abc import Callable
from math import log

import numpy as np
import pytest
from penstock.judge.change import reference
from penstock.judge.change.reference import Baseline, Hour, Stage
from penstock.judge.change.tolerance import (
    FLOOR,
    PROVISIONAL,
    WIDE,
    Cause,
    in_standard_deviations,
    residual_swing,
    smallest_shift,
    tolerance,
    widened,
)

DAY = 86_400
MONDAY = 1_699_833_600  # a Monday, 00:00 UTC
LINE = log(129_600)
Mean = Callable[[int], float]


def daily(amplitude: float) -> Mean:
    return lambda time: 0.5 + amplitude * np.sin(2 * np.pi * time / DAY)


def weekly(time: int) -> float:
    return daily(0.05)(time) + (0.06 if (time // DAY + 3) % 7 >= 5 else 0.0)


def learned(
    mean: Mean, days: float, *, noise: float = 0.005, step: int = 600, start: int = MONDAY, seed: int = 0
) -> Baseline:
    rng = np.random.default_rng(seed)
    baseline = Baseline.from_training(0.3, start)
    for time in range(start + step, start + int(days * DAY) + 1, step):
        score = float(np.clip(mean(time) + noise * rng.standard_normal(), 0, 1))
        baseline = reference.advance(baseline, time, time - step, score, LINE)
    return baseline


@pytest.mark.parametrize(
    ("days", "stage", "tolerated"),
    [
        (0.9, Stage.TRAINING, WIDE),
        (1.5, Stage.FIRST_WEEK, WIDE),
        (6.5, Stage.FIRST_WEEK, WIDE),
        (7.5, Stage.SECOND_WEEK, FLOOR),
        (13.5, Stage.SECOND_WEEK, FLOOR),
        (14.5, Stage.LEARNED, FLOOR),
    ],
)
def test_the_reference_grows_from_training_to_learned(days: float, stage: Stage, tolerated: float) -> None:
    found = learned(daily(0.07), days).reference
    assert (found.stage, found.tolerance.value) == (stage, tolerated)


def test_the_first_day_trusts_training_the_second_what_it_saw() -> None:
    assert learned(daily(0.0), 0.9).reference.at(MONDAY) == 0.3
    second = learned(daily(0.0), 1.5).reference
    assert second.at(MONDAY) == pytest.approx(0.5, abs=0.003)
    assert second.tolerance == PROVISIONAL


@pytest.mark.parametrize(("mean", "period"), [(daily(0.0), 1), (daily(0.07), 24), (weekly, 168)])
def test_the_period_is_as_long_as_the_traffic_needs(mean: Mean, period: int) -> None:
    found = learned(mean, 14.1).reference
    assert len(found.means) == period
    assert found.tolerance.value == FLOOR
    hours = range(MONDAY + 21 * DAY + 1800, MONDAY + 28 * DAY, 3600)
    assert max(abs(found.at(time) - mean(time)) for time in hours) < 0.012


def test_a_week_that_was_seen_too_thinly_to_know_its_hours_costs_tolerance_and_says_why() -> None:
    found = learned(weekly, 14.1, noise=0.08, step=1200).reference
    assert found.tolerance.value > FLOOR
    assert found.tolerance.cause in (Cause.SWING, Cause.REFERENCE_ERROR)


def test_swing_that_no_hour_explains_widens_the_tolerance() -> None:
    """A mean that wanders from day to day by ± 0.05, on no schedule."""
    days = np.random.default_rng(3).choice([-0.05, 0.05], 40)
    found = learned(lambda time: 0.5 + days[(time - MONDAY) // DAY % 40], 14.1).reference
    assert found.tolerance.value > 0.05
    assert found.tolerance.cause is Cause.SWING or found.tolerance.cause is Cause.REFERENCE_ERROR


def test_the_noise_is_the_long_run_variance_of_a_step() -> None:
    independent = learned(daily(0.0), 14.1, noise=0.05).reference
    assert independent.noise == pytest.approx(0.05**2, rel=0.15)
    wandering = np.random.default_rng(5).normal(0, 0.05, 24 * 40)
    hourly = learned(lambda time: 0.5 + wandering[(time - MONDAY) // 3600 % 960], 14.1, noise=0.01).reference
    assert hourly.noise == pytest.approx(6 * 0.05**2, rel=0.25)


def test_what_is_learned_stays() -> None:
    baseline = learned(daily(0.0), 14.1)
    assert (baseline.closed, baseline.current) == ((), None)
    assert reference.advance(baseline, MONDAY + 20 * DAY, MONDAY + 15 * DAY, 0.9, LINE) is baseline


def test_a_reference_never_knows_the_hour_it_is_used_in() -> None:
    """At the turn of a day only closed hours count: the very step that triggers learning leaves no trace in it."""
    before, previous = learned(daily(0.0), 2.9), MONDAY + int(2.9 * DAY)
    calm = reference.advance(before, MONDAY + 3 * DAY, previous, 0.5, LINE)
    wild = reference.advance(before, MONDAY + 3 * DAY, previous, 1.0, LINE)
    assert calm.reference == wild.reference != before.reference


def test_steps_without_observation_teach_nothing() -> None:
    baseline = Baseline.from_training(0.3, MONDAY)
    for time in range(MONDAY + 600, MONDAY + 20 * DAY, 600):
        baseline = reference.advance(baseline, time, time - 600, None, LINE)
    assert baseline.reference == Baseline.from_training(0.3, MONDAY).reference
    assert baseline.closed == ()


def test_a_service_that_runs_only_by_day_falls_back_to_what_it_knows_at_night() -> None:
    rng = np.random.default_rng(1)
    baseline = Baseline.from_training(0.3, MONDAY)
    for time in range(MONDAY + 600, MONDAY + 16 * DAY, 600):
        open_ = 8 <= time // 3600 % 24 < 22
        score = weekly(time) + 0.005 * rng.standard_normal() if open_ else None
        baseline = reference.advance(baseline, time, time - 600, score, LINE)
    found = baseline.reference
    assert found.stage is Stage.LEARNED
    assert len(found.means) == 168
    assert found.at(MONDAY + 3 * 3600) == pytest.approx(np.mean(found.means), abs=0.03)


def test_learning_goes_on_past_two_weeks_until_something_was_learned() -> None:
    rng = np.random.default_rng(2)

    def seen(time: int) -> float | None:
        return 0.5 + 0.005 * rng.standard_normal() if time - MONDAY > 20 * DAY else None

    baseline = Baseline.from_training(0.3, MONDAY)
    stages = {}
    for time in range(MONDAY + 600, MONDAY + 24 * DAY, 600):
        baseline = reference.advance(baseline, time, time - 600, seen(time), LINE)
        stages[(time - MONDAY) // DAY] = baseline.reference.stage
    assert stages[20] is Stage.TRAINING
    assert stages[21] is Stage.FIRST_WEEK
    assert stages[23] is Stage.LEARNED
    assert baseline.reference.at(MONDAY) == pytest.approx(0.5, abs=0.005)


def test_a_period_needs_its_cells_seen_twice_and_thin_hours_do_not_count() -> None:
    full = [Hour(index, 60, 30.0, 15.1) for index in range(20)]
    thin = [Hour(index, 3, 3.0, 3.0) for index in range(20, 36)]
    found = reference.learn((*full, *thin), 8, LINE)
    assert found is not None
    assert found.stage is Stage.FIRST_WEEK
    assert found.means == (0.5,)
    assert found.tolerance == PROVISIONAL


def test_too_few_hours_teach_nothing() -> None:
    assert reference.learn(tuple(Hour(index, 60, 30.0, 15.1) for index in range(11)), 8, LINE) is None
    assert reference.learn((), 1, LINE) is None


@pytest.mark.parametrize("mean", [-0.1, 1.1, float("nan")])
def test_a_training_mean_is_a_score(mean: float) -> None:
    with pytest.raises(ValueError, match="training mean"):
        Baseline.from_training(mean, MONDAY)


@pytest.mark.parametrize(
    ("three_errors", "swing", "value", "cause"),
    [
        (0.0, 0.0, 0.02, Cause.FLOOR),
        (0.03, 0.01, 0.03, Cause.REFERENCE_ERROR),
        (0.03, 0.05, 0.05, Cause.SWING),
    ],
)
def test_the_tolerance_is_the_largest_of_its_three_parts(
    three_errors: float, swing: float, value: float, cause: Cause
) -> None:
    found = tolerance(three_errors, swing)
    assert (found.value, found.cause, found.three_errors, found.swing) == (value, cause, three_errors, swing)


def test_before_a_week_was_seen_the_tolerance_is_wide_at_least() -> None:
    assert (widened(tolerance(0.0, 0.03)).value, widened(tolerance(0.0, 0.03)).cause) == (WIDE, Cause.PROVISIONAL)
    assert widened(tolerance(0.0, 0.3)) == tolerance(0.0, 0.3)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_lasting_excess_in_the_past_sets_the_swing_to_about_itself(sign: int) -> None:
    hourly = np.zeros(336)
    hourly[100:148] = sign * 0.06
    assert residual_swing(hourly, np.full(336, 0.5), 0.0, 60, LINE / 2) == pytest.approx(0.06, abs=0.003)
    assert residual_swing(np.zeros(336), np.full(336, 0.5), 0.0, 60, LINE / 2) < 1e-4


def test_noise_alone_is_no_swing() -> None:
    rng = np.random.default_rng(0)
    hourly = rng.normal(0, 0.29 / 60**0.5, 336)
    assert residual_swing(hourly, np.full(336, 0.5), 0.29**2, 60, LINE / 2) < FLOOR


def test_the_smallest_shift_grows_with_tolerance_noise_streams_and_shrinks_with_steps() -> None:
    def shift(tolerated: float = 0.02, noise: float = 0.01, steps: float = 1440, streams: int = 1) -> float:
        found = smallest_shift(0.5, tolerated, noise, steps, 129_600, streams)
        assert found is not None
        return found

    assert shift() == pytest.approx(0.0235, abs=0.0005)
    assert in_standard_deviations(shift()) < 0.1
    assert shift() < min(shift(tolerated=0.04), shift(noise=0.2), shift(streams=100), shift(steps=144))


def test_a_shift_that_no_day_can_show_is_said_to_be_none() -> None:
    assert smallest_shift(0.5, 0.02, 0.3, 5, 129_600, 1) is None
    assert smallest_shift(0.99, 0.02, 0.001, 1440, 129_600, 1) is None
    assert smallest_shift(0.01, 0.02, 0.001, 1440, 129_600, 1) is None
