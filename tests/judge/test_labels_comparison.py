"""Two arms in cohorts: e-values whose mean is computed exactly, and what happens to them over a whole release."""

import itertools
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock.judge.labels.comparison import Comparison
from penstock.judge.labels.difference import StratifiedDifference
from penstock.judge.labels.moments import Moments
from scipy.stats import binom

SHARE = st.floats(0, 1)


def wrong(count: int, of: int) -> Moments:
    return Moments.of(of, count, count)


def probability(count: int, of: int, mean: float) -> float:
    return math.comb(of, count) * mean**count * (1 - mean) ** (of - count)


def outcomes(n: int, mean: float, middle: float):
    """All samples of n losses 0, ½, 1 with this mean, `middle` of it on ½, as sums with their probabilities."""
    half = 2 * middle * min(mean, 1 - mean)
    law = [1 - mean - half / 2, half, mean - half / 2]
    for ones in range(n + 1):
        for halves in range(n + 1 - ones):
            counts = (n - ones - halves, halves, ones)
            ways = math.factorial(n) // math.prod(map(math.factorial, counts))
            chance = ways * math.prod(p**k for p, k in zip(law, counts, strict=True))
            yield Moments.of(n, ones + halves / 2, ones + halves / 4), chance


@settings(max_examples=20, deadline=None)
@given(SHARE, SHARE, SHARE, st.sampled_from([(2, 8), (5, 5), (9, 1)]), st.sampled_from([0.0, 0.02, 0.3]))
def test_evidence_of_a_cohort_has_mean_at_most_one_for_every_pair_of_means(stable, position, middle, sizes, tolerated):
    """Harm's null is everything up to stable + tolerated; health's everything from there on."""
    edge = min(stable + tolerated, 1.0)
    for candidate, side in ((position * edge, "worse"), (edge + position * (1 - edge), "within")):
        if side == "within" and edge < stable + tolerated:
            continue
        expected = 0.0
        arms = (outcomes(sizes[0], candidate, middle), outcomes(sizes[1], stable, middle))
        for (left, p), (right, q) in itertools.product(*map(list, arms)):
            state = Comparison().after(left, right, tolerated, 0.1)
            expected += p * q * math.exp(state.log_worse if side == "worse" else state.log_within)
        assert expected <= 1 + 1e-7


@settings(max_examples=6, deadline=None)
@given(SHARE, SHARE, SHARE, SHARE)
def test_evidence_of_two_cohorts_has_mean_at_most_one_whatever_the_base_does(first, second, one, two):
    """The bets of the second cohort follow the first; base rates are free in each."""
    tolerated, expected = 0.05, 0.0
    stable = (first * 0.9, second * 0.9)
    candidate = (one * (stable[0] + tolerated), two * (stable[1] + tolerated))
    for a, b in itertools.product(range(5), range(7)):
        p = probability(a, 4, candidate[0]) * probability(b, 6, stable[0])
        state = Comparison().after(wrong(a, 4), wrong(b, 6), tolerated, 0.2)
        for c, d in itertools.product(range(7), range(5)):
            q = probability(c, 6, candidate[1]) * probability(d, 4, stable[1])
            expected += p * q * math.exp(state.after(wrong(c, 6), wrong(d, 4), tolerated, 0.2).log_worse)
    assert expected <= 1 + 1e-7


@settings(max_examples=20, deadline=None)
@given(SHARE, SHARE, SHARE, st.sampled_from([(2, 8), (5, 5), (9, 1)]), st.floats(0, 1))
def test_the_interval_rests_on_e_values_of_mean_at_most_one(candidate, stable, middle, sizes, expected_loss):
    expected = 0.0
    arms = (outcomes(sizes[0], candidate, middle), outcomes(sizes[1], stable, middle))
    for (left, p), (right, q) in itertools.product(*map(list, arms)):
        difference = StratifiedDifference().after(left, right, expected_loss)
        expected += p * q * math.exp(difference.log_evidence_above(candidate - stable))
    assert expected <= 1 + 1e-7


def test_a_cohort_without_one_of_the_arms_or_with_a_handful_of_rows_changes_nothing():
    state = Comparison().after(wrong(3, 20), wrong(2, 30), 0.02, 0.1)
    assert state.after(Moments(), wrong(4, 9), 0.02, 0.1) is state
    assert state.after(wrong(4, 9), Moments(), 0.02, 0.1) is state
    assert state.after(wrong(4, 4), wrong(0, 5), 0.02, 0.1) is state
    assert state.difference.after(Moments(), wrong(1, 20), 0.1) is state.difference
    assert state.difference.after(wrong(1, 1), wrong(1, 8), 0.1) is state.difference


def test_before_any_cohort_nothing_is_known():
    state = Comparison()
    assert state.log_worse == pytest.approx(math.log(0.75))
    assert state.log_within == 0
    assert state.difference.interval(0.05) == (-1.0, 1.0)


def test_the_state_is_small_and_survives_its_serialisation_to_the_last_bit():
    state = Comparison()
    for j in range(200):
        state = state.after(wrong(j % 7, 50), wrong(j % 11, 900), 0.02, 0.1)
    text = json.dumps(asdict(state))
    assert len(text) < 1800
    raw = json.loads(text)
    inner = raw.pop("difference")
    arms = {arm: Moments(**inner.pop(arm)) for arm in ("candidate", "stable")}
    difference = StratifiedDifference(inner["total"], inner["weight"], tuple(inner["variance"]), **arms)
    rebuilt = Comparison(
        tuple(raw["worse"]), tuple(raw["worse_late"]), tuple(raw["within"]), raw["cohorts"], difference
    )
    assert rebuilt == state
    more = (wrong(9, 40), wrong(30, 800), 0.02, 0.1)
    assert rebuilt.after(*more) == state.after(*more)


def test_the_difference_is_that_of_the_cohorts_and_not_of_the_pooled_arms():
    """Simpson: the candidate is better in both cohorts and worse when they are pooled, because its share moved."""
    easy, hard = (wrong(1, 100), wrong(30, 2000)), (wrong(760, 2000), wrong(40, 100))
    state = StratifiedDifference().after(*easy, 0.1).after(*hard, 0.1)
    assert state.candidate.mean > state.stable.mean
    assert state.estimate == pytest.approx((100 * (0.01 - 0.015) + 100 * (0.38 - 0.40)) / 200)


@pytest.mark.parametrize("expected", [0.02, 0.5, 0.98])
def test_a_wrong_expectation_costs_power_only(expected):
    state = Comparison()
    for _ in range(40):
        state = state.after(wrong(20, 200), wrong(10, 200), 0.01, expected)
    assert state.log_worse > math.log(1000)
    low, high = state.difference.interval(0.01)
    assert 0.01 < low < 0.05 < high < 0.09


def play(seed: int, extra: float, tolerated: float, onset: int, cohorts: int):
    """Ten cohorts at 5 %, ten at 25 %, the rest at 50 %; the base swings by ± 80 % around 10 %."""
    generator, state = np.random.default_rng(seed), Comparison()
    for j in range(cohorts):
        base = 0.1 * (1 + 0.8 * math.sin(j / 3))
        candidates = int(generator.binomial(200, (0.05, 0.25, 0.5)[min(2, j // 10)]))
        risen = base + (extra if j >= onset else 0.0)
        state = state.after(
            wrong(int(generator.binomial(candidates, risen)), candidates),
            wrong(int(generator.binomial(200 - candidates, base)), 200 - candidates),
            tolerated,
            0.1,
        )
        yield state


def test_on_the_edge_of_the_tolerance_each_error_keeps_its_rate_under_drift_and_changing_shares():
    alpha, releases, truth = 0.2, 300, 0.03
    worse = within = missed = 0
    for seed in range(releases):
        states = list(play(seed, truth, truth, 0, 40))
        worse += any(state.log_worse >= math.log(1 / alpha) for state in states)
        within += any(state.log_within >= math.log(1 / alpha) for state in states)
        missed += any(state.difference.log_evidence_above(truth) >= math.log(2 / alpha) for state in states)
        low, high = states[-1].difference.interval(alpha)
        missed += not low <= truth <= high
    for errors in (worse, within, missed):
        assert errors <= binom.ppf(0.9999, releases, alpha)
    assert worse >= 1
    assert within >= 1


def test_harm_is_found_from_the_start_and_when_it_begins_late():
    """Loss 0.1 → 0.25 with 0.02 tolerated. Late: after 40 healthy cohorts."""

    def cohorts_needed(seed: int, onset: int) -> int:
        states = play(seed, 0.15, 0.02, onset, onset + 40)
        return next((j for j, state in enumerate(states) if state.log_worse >= math.log(1000)), 999) - onset

    assert np.median([cohorts_needed(seed, 0) for seed in range(15)]) <= 16
    assert np.median([cohorts_needed(seed, 40) for seed in range(15)]) <= 14


def test_a_candidate_that_is_always_wrong_is_found_in_its_first_cohort():
    state = Comparison().after(wrong(20, 20), wrong(40, 400), 0.02, 0.1)
    assert state.log_worse > math.log(1000)


def test_rows_taken_as_given_and_only_their_assignment_as_chance_are_judged_right_from_ten_rows_on():
    """Half of every cohort's rows are wrong, whichever arm they fall to."""
    alpha, releases, alarms = 0.1, 200, 0
    for seed in range(releases):
        generator, state = np.random.default_rng(seed), Comparison()
        for _ in range(150):
            count = int(generator.hypergeometric(5, 5, 5))
            state = state.after(wrong(count, 5), wrong(5 - count, 5), 0.0, 0.5)
            if state.log_worse >= math.log(1 / alpha):
                alarms += 1
                break
    assert 1 <= alarms <= binom.ppf(0.9999, releases, alpha)
