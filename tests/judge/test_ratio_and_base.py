"""The ratio test: exact given the failures, shifted from rates to odds by a bound known beforehand."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.judge.base import BaseRate
from penstock.judge.ratio import ALTERNATIVES, PRIOR, log_factors, tolerated_odds_ratio


@given(
    candidate=st.integers(1, 40),
    stable=st.integers(1, 40),
    part=st.floats(0.01, 0.99),
    psi=st.sampled_from([1.0, 1.5, 3.0]),
    truth=st.floats(0.1, 1.0),
)
def test_the_mean_factor_given_the_failures_is_at_most_one_up_to_the_tolerated_odds_ratio(
    candidate: int, stable: int, part: float, psi: float, truth: float
) -> None:
    events = max(1, int(part * (candidate + stable)))
    counts = range(max(0, events - stable), min(candidate, events) + 1)
    law = [math.comb(candidate, x) * math.comb(stable, events - x) * (psi * truth) ** x for x in counts]
    means = [0.0] * len(ALTERNATIVES)
    for x, term in zip(counts, law, strict=True):
        probability = term / sum(law)
        for j, log in enumerate(log_factors(candidate, stable, x, events - x, psi)):
            means[j] += probability * math.exp(log)
    assert max(means) <= 1.0 + 1e-7


@pytest.mark.parametrize("psi", [1.0, 1.5])
@pytest.mark.parametrize(("candidate", "stable", "events"), [(600, 900, 64), (600, 900, 65), (2_000, 40_000, 1_000)])
def test_of_many_failures_too_the_mean_factor_is_at_most_one(
    candidate: int, stable: int, events: int, psi: float
) -> None:
    counts = range(max(0, events - stable), min(candidate, events) + 1)
    law = [
        -sum(math.lgamma(n + 1) for n in (x, candidate - x, events - x, stable - events + x)) + x * math.log(psi)
        for x in counts
    ]
    total = math.log(sum(math.exp(term - max(law)) for term in law)) + max(law)
    factors = [log_factors(candidate, stable, x, events - x, psi) for x in counts]
    for j in range(len(ALTERNATIVES)):
        mean = sum(math.exp(term - total + logs[j]) for term, logs in zip(law, factors, strict=True))
        assert mean == pytest.approx(1.0, abs=1e-7)
        assert mean <= 1.0 + 1e-9
    bets = {round(math.exp(after[0] - before[0]), 6) for before, after in itertools.pairwise(factors)}
    assert bets == {1.5}
    last = {round(math.exp(after[4] - before[4]), 4) for before, after in itertools.pairwise(factors)}
    assert last == ({200.0} if events <= 64 else {4.5})


@pytest.mark.parametrize(
    ("candidate", "stable", "x", "y", "psi"),
    [(10, 10, 0, 0, 1.5), (0, 10, 0, 3, 1.5), (10, 0, 3, 0, 1.5), (10, 10, 3, 1, None)],
    ids=["no failures", "no candidate", "no stable", "nothing could be harmful"],
)
def test_some_strata_carry_no_evidence(candidate: int, stable: int, x: int, y: int, psi: float | None) -> None:
    assert log_factors(candidate, stable, x, y, psi) == [0.0] * len(ALTERNATIVES)


@given(ratio=st.floats(1.01, 5), base=st.floats(0.0001, 0.9))
def test_the_tolerated_odds_ratio_is_that_of_the_tolerated_rates(ratio: float, base: float) -> None:
    psi = tolerated_odds_ratio(ratio, base)
    if psi is None:
        assert ratio * base >= 0.95
    else:
        rate = ratio * base
        assert psi == pytest.approx(rate / (1 - rate) / (base / (1 - base)))


def test_a_ratio_of_one_needs_no_shift_whatever_the_base() -> None:
    assert tolerated_odds_ratio(1.0, 1.0) == 1.0


def test_priors_sum_to_one() -> None:
    assert sum(PRIOR) == pytest.approx(1.0)


@given(base=st.floats(0.001, 0.9), requests=st.integers(200, 5_000))
def test_the_bound_on_the_base_rate_lies_above_a_steady_rate(base: float, requests: int) -> None:
    known = BaseRate().after(requests, round(base * requests))
    assert known.upper >= min(1.0, base * 0.95)
    assert known.estimate == pytest.approx(base, abs=0.25)


def test_an_incident_lifts_the_bound_within_a_few_hundred_requests() -> None:
    known = BaseRate().after(200_000, 200)
    assert known.upper < 0.004
    for _ in range(10):
        known = known.after(60, 30)
    assert known.upper > 0.1


def test_an_empty_stratum_changes_nothing() -> None:
    known = BaseRate().after(100, 3)
    assert known.after(0, 0) is known
