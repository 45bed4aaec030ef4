"""The normaliser of the noncentral hypergeometric law, against SciPy and brute force."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.judge.hypergeometric import log_normalisers, slack, smallest_count
from scipy.special import gammaln, logsumexp
from scipy.stats import nchypergeom_fisher


def exact(candidate: int, stable: int, events: int, psi: float) -> float:
    low, high = smallest_count(stable, events), min(candidate, events)
    x = np.arange(low, high + 1)
    logs = -(gammaln(x + 1) + gammaln(candidate - x + 1) + gammaln(events - x + 1) + gammaln(stable - events + x + 1))
    return float(logsumexp(logs - logs[0] + (x - low) * math.log(psi)))


@given(
    candidate=st.integers(0, 30_000),
    stable=st.integers(0, 30_000),
    part=st.floats(0, 1),
    psi=st.floats(0.05, 2_000),
)
def test_every_route_agrees_with_the_sum_over_all_terms(candidate: int, stable: int, part: float, psi: float) -> None:
    events = int(part * (candidate + stable))
    found = log_normalisers(candidate, stable, events, (psi, 1.0))
    assert found[0] == pytest.approx(exact(candidate, stable, events, psi), abs=slack(candidate + stable + 2))
    assert found[1] == pytest.approx(exact(candidate, stable, events, 1.0), abs=slack(candidate + stable + 2))


@pytest.mark.parametrize(
    ("candidate", "stable", "events"),
    [
        (3, 3, 3),
        (50, 950, 40),
        (600, 400, 70),
        (1_000, 1_000, 900),
        (5_000, 5_000, 5_000),
        (60_000, 60_000, 4_500),
        (5_000, 95_000, 50_000),
        (1_000_000, 1_000_000, 400_000),
        (9, 1_000_000, 100_000),
        (89_892, 21, 743),
        (1_000_000_000, 30, 24),
        (270, 1_000, 300),
        (300, 200_000, 400),
        (100_000, 100_000, 70_000),
    ],
)
def test_small_and_very_large_strata(candidate: int, stable: int, events: int) -> None:
    psis = (0.5, 1.0, 1.7, 25.0, 400.0)
    for psi, found in zip(psis, log_normalisers(candidate, stable, events, psis), strict=True):
        assert found == pytest.approx(exact(candidate, stable, events, psi), abs=5 * slack(candidate + stable))


def test_the_law_that_it_normalises_is_fishers() -> None:
    candidate, stable, events, psi = 40, 60, 30, 2.5
    (log_z,) = log_normalisers(candidate, stable, events, (psi,))
    law = nchypergeom_fisher(candidate + stable, candidate, events, psi)
    assert -log_z == pytest.approx(float(law.logpmf(0)), abs=1e-9)


def test_a_stratum_without_choice_has_a_single_term() -> None:
    assert log_normalisers(10, 0, 4, (7.0, 1.0)) == [0.0, 0.0]
    assert log_normalisers(10, 5, 0, (7.0,)) == [0.0]
