"""Page's charts on several scales, their design from a run length, and counts."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.judge.change import cusum, poisson
from penstock.judge.change.cusum import Bank, Chart, Excursion
from penstock.judge.change.poisson import CountChart
from penstock.judge.change.runlength import normal_cusum, two_sided_normal_cusum
from penstock.judge.change.side import Side

BOTH = tuple(Side)
UP = (Side.ABOVE,)


@pytest.mark.parametrize("allowance", cusum.SCALES)
@pytest.mark.parametrize("arl", [50.0, 1000.0, 129_600.0])
@pytest.mark.parametrize("headstart", [0.0, 0.5])
def test_a_threshold_gives_exactly_the_run_length_asked_for(allowance: float, arl: float, headstart: float) -> None:
    both = cusum.threshold_for(arl, allowance, BOTH, headstart)
    one = cusum.threshold_for(arl, allowance, UP, headstart)
    assert two_sided_normal_cusum(allowance, both, 0.0, headstart * both) == pytest.approx(arl, rel=1e-6)
    assert normal_cusum(allowance, one, 0.0, headstart * one) == pytest.approx(arl, rel=1e-6)
    assert one < both


def test_the_textbook_design_is_found_from_its_run_length() -> None:
    assert cusum.threshold_for(465.44, 0.5, BOTH, headstart=0.0) == pytest.approx(5.0, abs=1e-4)


@pytest.mark.parametrize("arl", [0.0, -5.0, 1.0, float("nan"), float("inf"), 1e10])
def test_a_run_length_out_of_reach_is_refused(arl: float) -> None:
    with pytest.raises(ValueError, match="out of reach"):
        cusum.threshold_for(arl, 0.5, BOTH)


@pytest.mark.parametrize("headstart", [-0.1, 0.6, float("nan")])
def test_a_headstart_is_a_share_of_at_most_half(headstart: float) -> None:
    with pytest.raises(ValueError, match="headstart"):
        cusum.threshold_for(500.0, 0.5, BOTH, headstart)


@pytest.mark.parametrize(("slope", "published"), [(0.001, 187), (0.005, 76.3), (0.01, 52.0), (0.1, 15.0), (1.0, 5.16)])
def test_delay_under_linear_drift_of_gan_1992(slope: float, published: float) -> None:
    chart = Chart(Side.ABOVE, 0.25, 8.0, 0.0)
    rng = np.random.default_rng(1992)
    runs = [_steps_to_alarm(Bank((chart,)), lambda step: slope * step + rng.standard_normal()) for _ in range(500)]
    assert np.mean(runs) == pytest.approx(published, abs=3.5 * np.std(runs) / np.sqrt(len(runs)) + 0.012 * published)


def test_a_bank_of_three_scales_keeps_the_run_length_it_was_designed_for() -> None:
    bank = cusum.design(150.0)
    rng = np.random.default_rng(7)
    runs = [_steps_to_alarm(bank, lambda step: rng.standard_normal()) for _ in range(300)]
    error = np.std(runs) / np.sqrt(len(runs))
    assert np.mean(runs) - 2 * error > 150.0
    assert np.mean(runs) < 2 * 150.0


def test_a_mean_on_the_edge_of_the_tolerated_band_counts_as_no_change() -> None:
    bank = cusum.design(100.0, sides=UP, tolerated=0.4)
    rng = np.random.default_rng(8)
    runs = [_steps_to_alarm(bank, lambda step: 0.4 + rng.standard_normal()) for _ in range(300)]
    assert np.mean(runs) - 2 * np.std(runs) / np.sqrt(len(runs)) > 100.0
    assert _steps_to_alarm(bank, lambda step: 2.0) < 10


def test_small_scales_find_slow_drift_and_large_scales_find_jumps() -> None:
    bank = cusum.design(1000.0, headstart=0.0)

    def first_scale(residual: float) -> float:
        state, crossings = cusum.begin(bank), ()
        while not crossings:
            state, crossings = cusum.advance(bank, state, residual)
        return min(crossing.chart.allowance for crossing in crossings)

    assert first_scale(0.4) == 0.25
    assert first_scale(4.0) > 0.25


def test_an_alarm_tells_side_and_onset_and_restarts_the_bank() -> None:
    bank = cusum.design(1000.0, scales=(0.5,), headstart=0.5)
    state = cusum.begin(bank)
    for _ in range(50):
        state, crossings = cusum.advance(bank, state, 0.0)
        assert crossings == ()
    assert state == (Excursion(0.0, 0), Excursion(0.0, 0))
    steps = 0
    while not crossings:
        state, crossings = cusum.advance(bank, state, -2.0)
        steps += 1
    (crossing,) = crossings
    assert crossing.chart.side is Side.BELOW
    assert crossing.age == steps
    assert state == cusum.begin(bank)
    assert [at.sum for at in state] == [chart.start for chart in bank.charts]


@pytest.mark.parametrize("residual", [float("nan"), float("inf")])
def test_a_residual_that_is_no_number_is_refused(residual: float) -> None:
    bank = cusum.design(100.0)
    with pytest.raises(ValueError, match="not a finite number"):
        cusum.advance(bank, cusum.begin(bank), residual)


@given(st.lists(st.floats(-5, 5), max_size=60))
def test_looking_up_at_a_stream_is_looking_down_at_its_mirror_image(residuals: list[float]) -> None:
    bank = BANK
    state = mirrored = cusum.begin(bank)
    for residual in residuals:
        state, crossings = cusum.advance(bank, state, residual)
        mirrored, reflected = cusum.advance(bank, mirrored, -residual)
        assert [at.sum for at in state[::2]] == [at.sum for at in mirrored[1::2]]
        assert len(crossings) == len(reflected)


BANK = cusum.design(300.0)


def _steps_to_alarm(bank: Bank, residual) -> int:  # type: ignore[no-untyped-def]
    state, crossings, step = cusum.begin(bank), (), 0
    while not crossings:
        state, crossings = cusum.advance(bank, state, float(residual(step)))
        step += 1
    return step


@pytest.mark.parametrize(("start", "published"), [(0, 438), (5, 333)])
def test_poisson_run_lengths_of_lucas_1985(start: int, published: float) -> None:
    chart = CountChart(Fraction(1, 4), Fraction(10), Fraction(start))
    assert poisson.run_length(chart, 0.25) == pytest.approx(published, abs=0.5)


def test_a_poisson_run_length_agrees_with_running_the_chart() -> None:
    chart = CountChart(Fraction(3, 2), Fraction(4), Fraction(1))
    rng = np.random.default_rng(3)
    runs = []
    for _ in range(2000):
        at, alarm, steps = chart.start, False, 0
        while not alarm:
            at, alarm = poisson.advance(chart, at, int(rng.poisson(1.6)))
            steps += 1
        assert at == chart.start
        runs.append(steps)
    assert poisson.run_length(chart, 1.6) == pytest.approx(np.mean(runs), abs=3.5 * np.std(runs) / np.sqrt(2000))


def test_a_designed_count_chart_is_the_smallest_that_runs_long_enough() -> None:
    chart = poisson.design(1000.0, Fraction(3, 8), usual=0.2)
    smaller = CountChart(chart.allowance, chart.threshold - Fraction(1, 8))
    assert poisson.run_length(chart, 0.2) >= 1000.0 > poisson.run_length(smaller, 0.2)


@pytest.mark.parametrize(
    ("usual", "raised", "allowance"),
    [(3.0, 4.0, Fraction(7, 2)), (0.25, 1.0, Fraction(1, 2)), (0.01, 0.02, Fraction(1, 8))],
)
def test_the_allowance_lies_between_the_usual_and_the_raised_mean(
    usual: float, raised: float, allowance: Fraction
) -> None:
    assert poisson.allowance_between(usual, raised) == allowance


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: CountChart(Fraction(0), Fraction(4)), "allowance"),
        (lambda: CountChart(Fraction(1), Fraction(4), Fraction(4)), "start"),
        (lambda: CountChart(Fraction(1), Fraction(4), Fraction(-1)), "start"),
        (lambda: poisson.allowance_between(0.0, 1.0), "usual"),
        (lambda: poisson.allowance_between(2.0, 1.0), "raised"),
        (lambda: poisson.run_length(CountChart(Fraction(1), Fraction(4)), 0.0), "mean"),
        (lambda: poisson.run_length(CountChart(Fraction(1, 1000), Fraction(4)), 0.1), "coarser"),
        (lambda: poisson.advance(CountChart(Fraction(1), Fraction(4)), Fraction(0), -1), "negative"),
    ],
)
def test_impossible_counts_and_charts_are_refused_by_name(call, problem: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=problem):
        call()
