"""The recursion over the onset of harm, and what it spends."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.judge.restarts import CAP, START, Spending, mean, restart


@given(st.lists(st.tuples(st.floats(0, 4_000), st.integers(0, 2_000_000)), max_size=60), st.floats(1, 1e5))
def test_no_more_than_all_of_the_weight_is_ever_spent(steps: list[tuple[float, int]], deadline: float) -> None:
    spending, total, elapsed, requests = Spending(), 0.0, 0.0, 0
    for seconds, count in steps:
        elapsed, requests = elapsed + seconds, requests + count
        spending, weight = spending.advance(elapsed, requests, deadline)
        assert weight >= 0.0
        total += weight
    assert total <= 1.0 + 1e-12 or START * sum(count == 0 for _, count in steps) > 0


def test_the_first_stratum_gets_the_largest_share_and_later_ones_something_for_ever() -> None:
    spending, first = Spending().advance(1.0, 100, 86_400.0)
    assert first >= START
    for i in range(2, 2_000):
        spending, weight = spending.advance(float(i), 100 * i, 86_400.0)
    assert weight > 1e-7


def test_a_clock_that_runs_backwards_spends_nothing() -> None:
    spending, _ = Spending().advance(100.0, 100, 1_000.0)
    _, weight = spending.advance(50.0, 100, 1_000.0)
    assert weight == 0.0


def test_the_recursion_equals_the_mixture_of_starts_written_out() -> None:
    weights, logs = [0.7, 0.05, 0.01, 0.2], [0.3, -1.0, 2.0, 0.4]
    values = [0.0]
    for weight, log in zip(weights, logs, strict=True):
        values = restart(values, weight, [log])
    written_out = sum(weights[i] * math.exp(sum(logs[i:])) for i in range(4))
    assert values[0] == pytest.approx(written_out)


def test_values_stay_finite() -> None:
    assert restart([1e200], 0.5, [5_000.0]) == [CAP]
    assert restart([1e-300], 0.0, [-5_000.0]) == [0.0]
    assert mean([2.0, 4.0], (0.25, 0.75)) == pytest.approx(3.5)
