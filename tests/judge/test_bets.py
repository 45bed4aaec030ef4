"""Bets on a straight boundary: valid on the whole null whatever was guessed, strong where the guess is right."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.judge.bets import HARM, Bet, Expected, Line, growth, harm_bets, health_bets, log_factors

rates = st.floats(0.0005, 0.97)
shares = st.floats(0.005, 0.95)
lines = st.sampled_from([Line(1.0, 0.01), Line(1.5, 0.0), Line(1.0, 0.2), Line(3.0, 0.0), Line(1.0, 0.001)])


def mean_factor(
    bet: Bet, slope: float, candidate: int, stable: int, stable_rate: float, candidate_rate: float
) -> float:
    """The factor's exact mean: a product over independent requests."""

    def one(candidate_event: int, stable_event: int) -> float:
        counts = (candidate, stable, candidate_event * candidate, stable_event * stable)
        return log_factors((bet,), slope, counts)[0]

    # all requests of an arm alike: the log factor is additive, so each request's two outcomes follow from the extremes
    good = one(0, 0)
    stable_bad, candidate_bad = one(0, 1) - good, one(1, 0) - good
    per_stable = 1 - stable_rate + stable_rate * math.exp(stable_bad / stable)
    per_candidate = 1 - candidate_rate + candidate_rate * math.exp(candidate_bad / candidate)
    return math.exp(good + stable * math.log(per_stable) + candidate * math.log(per_candidate))


@given(line=lines, base=rates, guess=rates, share=shares, candidate=st.integers(1, 60), stable=st.integers(1, 60))
def test_the_mean_is_at_most_one_everywhere_on_the_null_of_harm(
    line: Line, base: float, guess: float, share: float, candidate: int, stable: int
) -> None:
    edge = min(1.0, line.slope * base + line.points)
    for bet in harm_bets(line, Expected.of(guess, share)):
        for rate in (edge, 0.7 * edge, 0.0):
            assert mean_factor(bet, line.slope, candidate, stable, base, rate) <= 1.0 + 1e-9


@given(line=lines, base=rates, guess=rates, share=shares, candidate=st.integers(1, 60), stable=st.integers(1, 60))
def test_the_mean_is_at_most_one_everywhere_on_the_null_of_health(
    line: Line, base: float, guess: float, share: float, candidate: int, stable: int
) -> None:
    edge = line.slope * base + line.points
    if edge > 1.0:
        return
    for bet in health_bets(line, Expected.of(guess, share)):
        for rate in (edge, 0.5 * (edge + 1.0), 1.0):
            assert mean_factor(bet, line.slope, candidate, stable, base, rate) <= 1.0 + 1e-9


def test_with_the_truth_guessed_the_growth_is_the_divergence_from_the_line() -> None:
    line, base, share = Line(1.0, 0.01), 0.01, 0.5
    odds = HARM[2] * 0.02 / 0.98
    truth = odds / (1 + odds)
    best = max(growth(bet, line.slope, share, base, truth) for bet in harm_bets(line, Expected.of(base, share)))

    def divergence(p: float, q: float) -> float:
        return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))

    least = min(0.5 * divergence(base, t / 1e5) + 0.5 * divergence(truth, t / 1e5 + 0.01) for t in range(1, 60_000))
    assert best == pytest.approx(least, rel=0.02)


def test_an_equal_candidate_earns_evidence_of_health_and_a_bad_one_loses_it() -> None:
    bets = health_bets(Line(1.0, 0.01), Expected.of(0.01, 0.5))
    healthy = max(growth(bet, 1.0, 0.5, 0.01, 0.01) for bet in bets)
    harmful = max(growth(bet, 1.0, 0.5, 0.01, 0.03) for bet in bets)
    assert healthy > 0.0 > harmful


@given(candidate=st.integers(1, 1000), stable=st.integers(1, 5))
def test_a_hedge_never_stakes_more_than_there_is(candidate: int, stable: int) -> None:
    for bets in (
        harm_bets(Line(1.0, 0.01), Expected.of(0.3, 0.05)),
        health_bets(Line(1.5, 0.0), Expected.of(0.3, 0.05)),
    ):
        for events in ((0, 0), (candidate, stable), (candidate, 0), (0, stable)):
            assert all(math.isfinite(log) for log in log_factors(bets, 1.5, (candidate, stable, *events)))


def test_growth_caps_the_hedge_as_the_factor_does() -> None:
    for bet in harm_bets(Line(1.0, 0.01), Expected.of(0.3, 0.05)):
        per_request = growth(bet, 1.0, 0.99, 0.3, 0.9)
        sure = log_factors((bet,), 1.0, (9_900, 100, 8_910, 30))[0] / 10_000
        assert per_request == pytest.approx(sure, abs=1e-9)
