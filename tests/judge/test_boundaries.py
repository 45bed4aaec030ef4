"""The boundaries against published vectors, against a reference implementation, and against their own promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.judge.boundaries import distribution_band, double_stitching, poly_stitching, proportion_interval
from penstock.judge.mixtures import (
    GammaExponential,
    GammaPoisson,
    OneSidedBetaBinomial,
    OneSidedNormal,
    TwoSidedBetaBinomial,
    TwoSidedNormal,
    one_sided_precision,
    two_sided_precision,
)
from scipy.stats import binom

# Published: the unit tests of confseq 0.0.11 (their tolerance 1e-5), whose targets come from the authors' R code.
PUBLISHED = {
    "two-sided normal": (TwoSidedNormal.tuned(100, 0.05), -0.6510052, 30.35209),
    "one-sided normal": (OneSidedNormal.tuned(100, 0.05), -0.06502391, 27.66071),
    "gamma-exponential": (GammaExponential.tuned(100, 0.05, 2), -0.2490165, 33.02017),
    "gamma-Poisson": (GammaPoisson.tuned(100, 0.05, 2), -0.06991219, 30.1949),
    "two-sided beta-binomial": (TwoSidedBetaBinomial.tuned(100, 0.05, 0.2, 0.8), -0.6941012, 31.4308),
    "one-sided beta-binomial": (OneSidedBetaBinomial.tuned(100, 0.05, 0.2, 0.8), -0.07134019, 28.41238),
}

# Frozen from confseq's own C++ (commit of 2024-10-27, compiled with Boost 1.74): v_opt 250, alpha_opt 0.01, c 0.7, range
# [−0.3, 0.6]; bounds at alpha 0.001.
MIXTURES = {
    "norm1": OneSidedNormal.tuned(250, 0.01),
    "norm2": TwoSidedNormal.tuned(250, 0.01),
    "gexp": GammaExponential.tuned(250, 0.01, 0.7),
    "gpoi": GammaPoisson.tuned(250, 0.01, 0.7),
    "bb1": OneSidedBetaBinomial.tuned(250, 0.01, 0.3, 0.6),
    "bb2": TwoSidedBetaBinomial.tuned(250, 0.01, 0.3, 0.6),
}
FROZEN_VALUES = [
    ("bb1", -3, 30, -0.684461893229),
    ("bb1", 20, 30, 3.80199223869),
    ("bb1", 60, 30, 30.8871259205),
    ("bb1", 0, 100, -0.800372737794),
    ("bb1", 60, 100, 13.7111905521),
    ("bb1", 5, 1000, -1.7200389164),
    ("bb1", 60, 20000, -2.95957175125),
    ("bb2", -3, 30, -0.34118785464),
    ("bb2", 20, 30, 3.27558382366),
    ("bb2", 60, 30, 32.0468515038),
    ("bb2", 0, 100, -0.868026365951),
    ("bb2", 60, 100, 13.3089247009),
    ("bb2", 5, 1000, -1.92148049364),
    ("bb2", 60, 20000, -3.33137002466),
    ("gexp", -3, 30, -0.696945809474),
    ("gexp", 20, 30, 3.37313263609),
    ("gexp", 60, 30, 22.2914909088),
    ("gexp", 0, 100, -0.826136214424),
    ("gexp", 60, 100, 11.6670998454),
    ("gexp", 5, 1000, -1.76089552588),
    ("gexp", 60, 20000, -3.00669813788),
    ("gpoi", -3, 30, -0.669489014435),
    ("gpoi", 20, 30, 3.57938827698),
    ("gpoi", 60, 30, 26.6568003258),
    ("gpoi", 0, 100, -0.784927044357),
    ("gpoi", 60, 100, 12.7938606277),
    ("gpoi", 5, 1000, -1.69822026824),
    ("gpoi", 60, 20000, -2.9348945166),
    ("norm1", -3, 30, -0.689586356935),
    ("norm1", 20, 30, 3.93198717538),
    ("norm1", 60, 30, 33.0284202453),
    ("norm1", 0, 100, -0.804780012772),
    ("norm1", 60, 100, 14.288806708),
    ("norm1", 5, 1000, -1.72767889804),
    ("norm1", 60, 20000, -2.96911853813),
    ("norm2", -3, 30, -0.347318314057),
    ("norm2", 20, 30, 3.43590337158),
    ("norm2", 60, 30, 34.3983314893),
    ("norm2", 0, 100, -0.862586896942),
    ("norm2", 60, 100, 13.9308554997),
    ("norm2", 5, 1000, -1.91427274091),
    ("norm2", 60, 20000, -3.32429073112),
]
FROZEN_BOUNDS = [
    ("bb1", 1, 3.33333333333),
    ("bb1", 30, 27.5540944808),
    ("bb1", 100, 42.571638619),
    ("bb1", 1000, 129.449924532),
    ("bb1", 20000, 619.445853385),
    ("bb2", 1, 3.33333333333),
    ("bb2", 30, 28.2182326417),
    ("bb2", 100, 44.2745494519),
    ("bb2", 1000, 135.3780319),
    ("bb2", 20000, 644.27587234),
    ("gexp", 1, 21.0943360927),
    ("gexp", 30, 30.2247462102),
    ("gexp", 100, 45.3593330389),
    ("gexp", 1000, 132.748871723),
    ("gexp", 20000, 624.415454022),
    ("gpoi", 1, 19.6966838711),
    ("gpoi", 30, 28.7317331967),
    ("gpoi", 100, 43.7318955116),
    ("gpoi", 1000, 130.555153601),
    ("gpoi", 20000, 620.08537318),
    ("norm1", 1, 18.0039633086),
    ("norm1", 30, 26.9618515672),
    ("norm1", 100, 41.8905221186),
    ("norm1", 1000, 128.633235276),
    ("norm1", 20000, 618.694307454),
    ("norm2", 1, 17.7284177806),
    ("norm2", 30, 27.5466803992),
    ("norm2", 100, 43.4847221879),
    ("norm2", 1000, 134.355872117),
    ("norm2", 20000, 642.903889024),
]


def test_the_precision_tuned_at_100_is_the_published_one():
    assert two_sided_precision(100, 0.05) == pytest.approx(12.60056, abs=1e-5)
    assert one_sided_precision(100, 0.05) == two_sided_precision(100, 0.1)


@pytest.mark.parametrize("name", PUBLISHED)
def test_mixtures_reach_the_published_values_and_bounds(name):
    mixture, value, bound = PUBLISHED[name]
    assert mixture.log_value(10, 100) == pytest.approx(value, abs=1e-5)
    assert mixture.bound(100, 0.05) == pytest.approx(bound, abs=1e-5)


@pytest.mark.parametrize(("name", "s", "v", "expected"), FROZEN_VALUES)
def test_mixtures_agree_with_the_reference_implementation(name, s, v, expected):
    assert MIXTURES[name].log_value(s, v) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("name", "v", "expected"), FROZEN_BOUNDS)
def test_bounds_agree_with_the_reference_implementation(name, v, expected):
    assert MIXTURES[name].bound(v, 0.001) == pytest.approx(expected, rel=1e-9)


@given(
    name=st.sampled_from(sorted(MIXTURES)), v=st.floats(0.5, 1e6), alpha=st.floats(1e-8, 0.4), share=st.floats(0, 0.999)
)
def test_evidence_reaches_its_threshold_at_the_bound_and_not_before(name, v, alpha, share):
    mixture = MIXTURES[name]
    bound = mixture.bound(v, alpha)
    assert mixture.log_value(share * bound, v) <= math.log(1 / alpha) * (1 + 1e-9)
    if bound < v / 0.3 or not name.startswith("bb"):
        assert mixture.log_value(bound, v) == pytest.approx(math.log(1 / alpha), rel=1e-6)


def test_a_bounded_sum_cannot_pass_its_range():
    assert OneSidedBetaBinomial.tuned(100, 0.05, 0.2, 0.8).bound(2 * 0.2 * 0.8, 0.05) == pytest.approx(1.6, abs=1e-5)
    for mixture in (MIXTURES["bb1"], MIXTURES["bb2"]):
        for impossible in (40.0, -20.0):
            with pytest.raises(ValueError, match="cannot sum to"):
                mixture.log_value(impossible, 9.0)


@pytest.mark.parametrize("name", ["norm1", "gexp", "gpoi", "bb1"])
def test_a_sum_far_on_the_wrong_side_is_never_evidence(name):
    v = 1e5
    lowest = {"norm1": -1e6, "gexp": -2e5, "gpoi": -2e5, "bb1": -v / 0.6}[name]
    values = [MIXTURES[name].log_value(lowest * share, v) for share in (1, 0.7, 0.1, 0.01)]
    assert all(value < -3 for value in values)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TwoSidedNormal.tuned(0, 0.05),
        lambda: TwoSidedNormal.tuned(10, 1.0),
        lambda: OneSidedNormal.tuned(10, 0.6),
        lambda: GammaExponential.tuned(10, 0.05, 0),
        lambda: GammaPoisson.tuned(10, 0.05, -1),
        lambda: TwoSidedBetaBinomial.tuned(10, 0.05, 0, 1),
        lambda: OneSidedBetaBinomial.tuned(10, 0.05, 1, math.nan),
    ],
)
def test_senseless_settings_are_refused(make):
    with pytest.raises(ValueError, match=r"must be positive|tuned for"):
        make()


def test_mixed_over_effects_the_two_sided_normal_is_the_msprt():
    """Johari, Koomen, Pekelis, Walsh 2022: n pairs, variance σ², prior variance τ² of the effect."""
    n, variance, prior, difference = 400, 2.5, 0.04, 0.31
    together = 2 * variance + n * prior
    msprt = 0.5 * math.log(2 * variance / together) + (n * prior * n * difference**2) / (4 * variance * together)
    mixture = TwoSidedNormal(2 * variance / prior)
    standardised = n * difference / math.sqrt(2 * variance)
    assert mixture.log_value(standardised, n) == pytest.approx(msprt, rel=1e-12)


@pytest.mark.parametrize(("c", "expected"), [(3, 64.48755), (-1, 28.99389)])
def test_poly_stitching_reaches_the_published_bounds(c, expected):
    assert poly_stitching(100, 0.05, 10, c) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("quantile", "expected"), [(0.5, 68.62803), (0.9, 43.72119), (0.1, 59.96521)])
def test_double_stitching_reaches_the_published_bounds(quantile, expected):
    assert double_stitching(quantile, 1000, 0.05, 100) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("quantile", "t", "expected"),
    [
        (0.02, 1, 16.1458131117),
        (0.5, 100, 25.029959477),
        (0.97, 100, 5.47377468172),
        (0.02, 20000, 141.475021621),
        (0.97, 20000, 149.347556712),
    ],
)
def test_double_stitching_agrees_with_the_reference_implementation(quantile, t, expected):
    assert double_stitching(quantile, t, 0.001, 50) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("v", "expected"), [(1, 36.3688202916), (100, 51.3740696284), (20000, 689.362264742)])
def test_poly_stitching_agrees_with_the_reference_implementation(v, expected):
    assert poly_stitching(v, 0.001, 50, 0.7) == pytest.approx(expected, rel=1e-9)


def test_the_distribution_band_reaches_the_published_width():
    assert distribution_band(1000, 0.05, 100, 0.85) == pytest.approx(0.08204769, abs=1e-5)


@pytest.mark.parametrize(("t", "expected"), [(19.9, math.inf), (30, 0.515269428059), (20000, 0.0216383141671)])
def test_the_distribution_band_agrees_with_the_reference_implementation(t, expected):
    assert distribution_band(t, 0.001, 20, 0.9) == pytest.approx(expected, rel=1e-6)


def test_the_distribution_band_from_the_first_value_spends_alpha_as_the_paper_prints_it():
    """0.85·sqrt((log log(e·t) + 0.8·log(1612/α))/t) is the paper's rounded form; ours solves for C."""
    for alpha in (0.01, 0.05):
        printed = 0.85 * math.sqrt((math.log(math.log(math.e * 5000)) + 0.8 * math.log(1612 / alpha)) / 5000)
        assert printed * 0.97 < distribution_band(5000, alpha) <= printed * 1.001


@pytest.mark.parametrize(("alpha", "scale"), [(0.05, 0.7), (0.0, 0.85), (1.0, 0.85)])
def test_a_band_that_cannot_exist_is_refused(alpha, scale):
    with pytest.raises(ValueError, match="a band needs"):
        distribution_band(100, alpha, 1, scale)


@pytest.mark.parametrize(
    ("successes", "trials", "t_opt", "low", "high"),
    [
        (700, 1000, 100, 0.651629, 0.745949),
        (15, 50, 50, 0.129556, 0.511896),
        (5, 50, 50, 0.013021, 0.269264),
        (1, 50, 50, 0.0, 0.13489),
        (1, 2, 50, 0.0, 1.0),
        (100, 200, 1, 0.328923, 0.671076),
        (0, 1, 50, 0.0, 1.0),
        (1, 1, 50, 0.0, 1.0),
        (0, 0, 50, 0.0, 1.0),
    ],
)
def test_proportion_intervals_reach_the_published_limits(successes, trials, t_opt, low, high):
    assert proportion_interval(successes, trials, 0.05, t_opt) == pytest.approx((low, high), abs=1e-5)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.757507173147),
        (3, 1000, 1.78470662992e-05, 0.0139132236122),
        (250, 300, 0.748086858542, 0.901541852638),
        (300, 300, 0.981848759202, 1.0),
        (5000, 100000, 0.0471144707861, 0.0529835678588),
    ],
)
def test_proportion_intervals_agree_with_the_reference_implementation(successes, trials, low, high):
    assert proportion_interval(successes, trials, 0.01, 200, 0.01) == pytest.approx((low, high), rel=1e-8)


@given(st.integers(1, 5000), st.floats(0, 1), st.floats(1e-4, 0.2))
def test_a_proportion_interval_holds_its_mean_and_mirrors(trials, share, alpha):
    successes = round(share * trials)
    low, high = proportion_interval(successes, trials, alpha, 300)
    assert 0 <= low <= successes / trials <= high <= 1
    assert proportion_interval(trials - successes, trials, alpha, 300) == pytest.approx((1 - high, 1 - low), abs=1e-12)


ALPHA = 0.1
STREAMS = 2000
LENGTH = 600
RNG_SEED = 20261124

# Sums of which each mixture is exactly a martingale (or nearly): increments, mixture, intrinsic time per observation.
NULLS = {
    "two-sided normal": (lambda g, size: g.standard_normal(size), TwoSidedNormal.tuned(100, ALPHA), 1.0),
    "one-sided normal": (lambda g, size: g.standard_normal(size), OneSidedNormal.tuned(100, ALPHA), 1.0),
    "gamma-exponential": (lambda g, size: g.exponential(size=size) - 1, GammaExponential.tuned(100, ALPHA, 1), 1.0),
    "gamma-Poisson": (lambda g, size: g.poisson(1, size) - 1.0, GammaPoisson.tuned(100, ALPHA, 1), 1.0),
    "one-sided beta-binomial": (
        lambda g, size: (g.random(size) < 0.2) - 0.2,
        OneSidedBetaBinomial.tuned(30, ALPHA, 0.2, 0.8),
        0.16,
    ),
    "two-sided beta-binomial": (
        lambda g, size: (g.random(size) < 0.2) - 0.2,
        TwoSidedBetaBinomial.tuned(30, ALPHA, 0.2, 0.8),
        0.16,
    ),
}


def assert_level(crossings: int, streams: int, alpha: float, least: float) -> None:
    """Not more crossings than alpha allows (nor so few that the check were empty)."""
    assert crossings <= binom.ppf(0.9999, streams, alpha)
    assert crossings >= least * alpha * streams


@pytest.mark.parametrize("name", NULLS)
def test_looking_at_every_observation_crosses_the_bound_with_at_most_alpha(name):
    draw, mixture, time = NULLS[name]
    sums = np.cumsum(draw(np.random.default_rng(RNG_SEED), (STREAMS, LENGTH)), axis=1)
    bounds = np.array([mixture.bound(time * (t + 1), ALPHA) for t in range(LENGTH)])
    sides = np.abs(sums) if isinstance(mixture, TwoSidedNormal) else sums
    crossed = sides > bounds + 1e-9
    if isinstance(mixture, TwoSidedBetaBinomial):
        mirrored = TwoSidedBetaBinomial.tuned(30, ALPHA, 0.8, 0.2)
        crossed |= -sums > np.array([mirrored.bound(time * (t + 1), ALPHA) for t in range(LENGTH)]) + 1e-9
    assert_level(int(crossed.any(axis=1).sum()), STREAMS, ALPHA, least=0.3)


def test_stitched_bounds_hold_at_every_observation():
    sums = np.cumsum(np.random.default_rng(RNG_SEED).standard_normal((STREAMS, LENGTH)), axis=1)
    bounds = np.array([poly_stitching(t + 1, ALPHA, 5) for t in range(LENGTH)])
    assert_level(int((sums > bounds).any(axis=1).sum()), STREAMS, ALPHA, least=0.05)


def test_proportion_intervals_cover_at_every_tenth_look():
    looks = np.arange(10, 401, 10)
    counts = np.cumsum(np.random.default_rng(RNG_SEED).random((1000, 400)) < 0.2, axis=1)[:, looks - 1]
    limits = {(k, n): proportion_interval(k, n, ALPHA, 100, ALPHA) for n in looks for k in set(counts[:, n // 10 - 1])}
    missed = [
        any(not limits[k, n][0] <= 0.2 <= limits[k, n][1] for k, n in zip(stream, looks, strict=True))
        for stream in counts
    ]
    assert_level(sum(missed), 1000, ALPHA, least=0.2)


def test_bands_hold_for_all_quantiles_and_times_at_once():
    """Both bands are wide for what 400 values can do, so hardly a stream leaves them; a third of their width fails."""
    streams, edges, times = 300, np.linspace(0.02, 0.98, 25), np.arange(1, 401)
    values = np.random.default_rng(RNG_SEED).random((streams, len(times)))
    above = np.cumsum(values[:, :, None] <= edges, axis=1) - edges * times[:, None]
    flat = np.array([[distribution_band(t, ALPHA) * t] * len(edges) for t in times])
    stitched = np.array([[double_stitching(q, t, ALPHA, 10) for q in edges] for t in times])
    late = times >= 10
    for bound in (flat, stitched):
        for width, holds in ((1.0, True), (1 / 3, False)):
            left = (above > width * bound) | (-above > width * bound[:, ::-1])
            outside = int(left[:, late].any(axis=(1, 2)).sum())
            assert bool(outside <= binom.ppf(0.9999, streams, ALPHA)) is holds
