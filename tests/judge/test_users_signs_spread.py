"""Other units of evidence: users, strata, pods."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.judge import signs, spread, users
from penstock.judge.ratio import ALTERNATIVES


@given(weight=st.floats(0.01, 0.9), ratio=st.floats(1, 4), events=st.integers(1, 12))
def test_first_failures_split_by_the_weight_have_mean_factor_one_at_the_tolerated_ratio(
    weight: float, ratio: float, events: int
) -> None:
    q = ratio * weight / (1 - weight + ratio * weight)
    means = [0.0] * len(ALTERNATIVES)
    for x in range(events + 1):
        probability = math.comb(events, x) * q**x * (1 - q) ** (events - x)
        for j, log in enumerate(users.log_factors(weight, x, events - x, ratio)):
            means[j] += probability * math.exp(log)
    assert means == pytest.approx([1.0] * len(ALTERNATIVES))


@pytest.mark.parametrize(("weight", "events"), [(0.0, 3), (1.0, 3), (0.5, 0)])
def test_without_two_arms_or_failures_users_say_nothing(weight: float, events: int) -> None:
    assert users.log_factors(weight, events, 0, 1.5) == [0.0] * len(ALTERNATIVES)


def test_the_share_of_users_harmed_is_judged_against_the_points() -> None:
    assert users.log_evidence_beyond(0.01, (10_000, 100), (1_000, 60)) > math.log(100)
    assert users.log_evidence_beyond(0.01, (10_000, 100), (1_000, 12)) < 0.0
    assert users.log_evidence_within(0.01, (10_000, 100), (10_000, 100)) > math.log(100)
    assert users.log_evidence_within(0.01, (10_000, 100), (1_000, 60)) < 0.0
    assert users.log_evidence_within(0.01, (10_000, 0), (2_000, 0)) > math.log(100)
    assert users.log_evidence_beyond(0.01, (0, 0), (0, 0)) == pytest.approx(0.0)


def test_universal_evidence_keeps_its_level_on_the_edge() -> None:
    rng = np.random.default_rng(0)
    crossed = 0
    for _ in range(300):
        stable, candidate = rng.random(2_000) < 0.05, rng.random(2_000) < 0.06
        for n in range(100, 2_001, 100):
            arms = (n, int(stable[:n].sum())), (n, int(candidate[:n].sum()))
            if users.log_evidence_beyond(0.01, *arms) >= math.log(20):
                crossed += 1
                break
    assert crossed <= 25


@given(st.floats(-3, 3), st.floats(0.001, 10))
def test_a_difference_and_its_mirror_image_average_to_at_most_one(difference: float, scale: float) -> None:
    up, down = signs.log_factors(difference, scale), signs.log_factors(-difference, scale)
    assert all(0.5 * (math.exp(a) + math.exp(b)) <= 1.0 + 1e-12 for a, b in zip(up, down, strict=True))


def test_signs_learn_their_scale_before_they_bet() -> None:
    assert signs.log_factors(5.0, 0.0) == [0.0] * len(signs.BETS)
    scale = signs.next_scale(0.0, -2.0)
    assert scale == 2.0
    assert signs.next_scale(scale, 0.0) < scale


def test_counting_noise_alone_is_no_spread_between_pods() -> None:
    rng = np.random.default_rng(1)
    found = [spread.between_pods([(5_000, int(rng.binomial(5_000, 0.05))) for _ in range(10)]) for _ in range(40)]
    assert np.median(found) < 0.04


def test_the_spread_between_pods_is_found() -> None:
    rng = np.random.default_rng(2)
    found = [
        spread.between_pods(
            [(20_000, int(rng.binomial(20_000, min(1, 0.05 * rate)))) for rate in rng.lognormal(0, 0.25, 12)]
        )
        for _ in range(40)
    ]
    assert np.median(found) == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize("pods", [[], [(100, 50)], [(100, 10), (100, 12)], [(0, 0), (1_000, 90)]])
def test_too_few_pods_or_events_tell_no_spread(pods: list[tuple[int, int]]) -> None:
    assert spread.between_pods(pods) == 0.0


def test_margins_widen_with_the_spread_and_with_fewer_pods() -> None:
    assert spread.widening(0.25, 10, 1) == pytest.approx(math.exp(2.33 * 0.25 * math.sqrt(1.1)))
    assert spread.widening(0.25, 10, 5) < spread.widening(0.25, 10, 1)
    assert spread.widening(0.0, 10, 1) == spread.widening(0.3, 0, 1) == spread.widening(0.3, 3, 0) == 1.0
    assert spread.widening(50.0, 1, 1) == 10.0
