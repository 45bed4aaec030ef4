"""Sequential tests of experiments against published vectors, other implementations, and by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.judge.experiments import anytime
from penstock.judge.experiments.discoveries import discoveries
from penstock.judge.experiments.multinomial import (
    log_evidence,
    log_evidence_some_arm_beats,
    log_ratio_interval,
    share_interval,
)
from penstock.judge.experiments.sample_ratio import SampleRatio
from scipy.stats import binom, multinomial


def intersected(intervals):
    lows, highs = zip(*intervals, strict=True)
    return max(lows), min(highs)


# Counts among arms ---------------------------------------------------------------------------------------------------


def stop(stream, shares, concentration, alpha):
    """Counts at every look up to the first at which the null is rejected, with the state there."""
    state, history = SampleRatio.declared(shares, (concentration,)), []
    for one in stream:
        state = state.after(one.tolist())
        history.append(state.counts)
        if state.p_value <= alpha:
            break
    return state, history


def test_sample_ratio_reaches_the_published_stop():
    """savvi's example: numpy seed 1, θ = (.1, .3, .6) held against (.1, .4, .5), k = 100; limits intersected over looks."""
    stream = np.random.RandomState(1).multinomial(1, [0.1, 0.3, 0.6], size=1000)
    state, history = stop(stream, (0.1, 0.4, 0.5), 100, 0.05)
    assert len(history) == 402
    assert state.p_value == pytest.approx(0.04845591105969517, rel=1e-9)
    published = [
        (0.056684768115202705, 0.1493967591525672),
        (0.2608987241982874, 0.4028302603098119),
        (0.4971209299792429, 0.6517617329309116),
    ]
    for arm, limits in enumerate(published):
        found = intersected(share_interval(arm, counts, state.shares, 100, 0.05) for counts in history)
        assert found == pytest.approx(limits, abs=1e-6)


def test_failures_of_a_canary_reach_the_published_stop():
    """savvi's example: Poisson processes with shares (.8, .2) and log rates (1.5, 2)."""
    theta = np.array([0.8, 0.2]) * np.exp([1.5, 2])
    stream = np.random.RandomState(1).multinomial(1, theta / theta.sum(), size=1000)
    state, history = stop(stream, (0.8, 0.2), 100, 0.05)
    assert len(history) == 210
    assert state.p_value == pytest.approx(0.045579631759249686, rel=1e-9)
    found = intersected(log_ratio_interval(1, 0, counts, state.shares, 100, 0.05) for counts in history)
    assert found == pytest.approx((0.00464625, 0.75493987), abs=1e-6)


def test_conversions_of_three_arms_reach_the_published_stop():
    """savvi's example: is some arm better than the control? Shares (.1, .3, .6), conversion ∝ (.2, .3, .4)."""
    shares = (0.1, 0.3, 0.6)
    theta = np.array(shares) * [0.2, 0.3, 0.4]
    stream = np.random.RandomState(1).multinomial(1, theta / theta.sum(), size=4000)
    history = [tuple(map(int, counts)) for counts in np.cumsum(stream, axis=0)]
    evidence = [log_evidence_some_arm_beats(0, counts, shares, 100) for counts in history[:302]]
    first = next(n for n, value in enumerate(evidence, start=1) if value >= math.log(20))
    assert first == 302
    assert math.exp(-evidence[-1]) == pytest.approx(0.0492354656, abs=1e-7)
    for (arm, against), limits in {(2, 0): (9.38644932e-04, 1.77164771), (2, 1): (-0.157653154, 0.647239250)}.items():
        found = intersected(log_ratio_interval(arm, against, counts, shares, 100, 0.05) for counts in history[:302])
        assert found == pytest.approx(limits, abs=2e-6)


def test_sample_ratio_reaches_the_published_bayes_factor():
    """ssrm's regression test: seed 0, (.1, .49, .41) held against (.1, .5, .4), ten users."""
    stream = multinomial.rvs(1, [0.1, 0.49, 0.41], size=10, random_state=np.random.RandomState(0))
    state = SampleRatio.declared((0.1, 0.5, 0.4), (10_000.0,))
    for one in stream:
        state = state.after(one.tolist())
    factor = math.exp(state.log_evidence)
    assert state.p_value == pytest.approx(0.9980534145723241, rel=1e-12)
    assert factor == pytest.approx(1.0017496120131435, rel=1e-12)
    assert factor / (1 + factor) == pytest.approx(0.5004370206949569, rel=1e-12)


def test_sequential_posteriors_reach_the_published_marginals():
    """ssrm's tests: Dirichlet(1, 1, 1)-like prior is not ours, so its null part is checked: batches equal single users."""
    batches = [(20, 17, 9), (18, 21, 8), (4, 6, 4), (18, 19, 11)]
    state = SampleRatio.declared((0.4, 0.4, 0.2), (5.0,))
    for batch in batches:
        state = state.after(batch)
    total = tuple(map(sum, zip(*batches, strict=True)))
    assert state.counts == total
    assert state.log_evidence == pytest.approx(log_evidence(total, (0.4, 0.4, 0.2), 5.0))


def test_one_user_at_a_time_or_all_at_once_is_the_same_evidence():
    """The mixture is a product of predictive probabilities over the declared ones."""
    shares, concentration = (0.2, 0.3, 0.5), 7.0
    counts, product = [0, 0, 0], 0.0
    for arm in (0, 2, 1, 2, 2, 0, 1, 1):
        predictive = (concentration * shares[arm] + counts[arm]) / (concentration + sum(counts))
        product += math.log(predictive / shares[arm])
        counts[arm] += 1
    assert log_evidence(counts, shares, concentration) == pytest.approx(product, rel=1e-12)


@pytest.mark.parametrize("shares", [(1.0,), (0.5, 0.6), (0.0, 1.0), (0.5, 0.4999)])
def test_shares_that_cannot_be_are_refused(shares):
    with pytest.raises(ValueError, match="shares must be"):
        SampleRatio.declared(shares)


@pytest.mark.parametrize("users", [(1,), (1, 2, 3), (-1, 2)])
def test_counts_that_cannot_be_are_refused(users):
    with pytest.raises(ValueError, match="one count of new users per arm"):
        SampleRatio.declared((0.5, 0.5)).after(users)


def test_a_mismatch_stays_shown_and_shares_may_change():
    state = SampleRatio.declared((0.5, 0.5)).after((600, 400))
    shown = state.peak
    assert shown > math.log(100)
    healed = state.after((400, 600))
    assert healed.log_evidence < 0
    assert healed.peak == shown
    balanced = SampleRatio.declared((0.5, 0.5), (1e4,)).after((5000, 5000))
    changed = balanced.reshared((0.9, 0.1)).after((9000, 1000))
    assert changed.p_value > 0.5
    assert changed.counts == (9000, 1000)
    pooled = SampleRatio.declared((0.5, 0.5)).after((14_000, 6000))
    assert pooled.p_value < 1e-9
    assert changed.log_evidence == pytest.approx(
        log_evidence((5000, 5000), (0.5, 0.5), 1e4) + log_evidence((9000, 1000), (0.9, 0.1), 1e4)
    )


def test_sample_ratio_raises_false_alarms_with_at_most_alpha_and_finds_a_mismatch():
    alpha, experiments, looks, batch = 0.1, 600, 100, 40
    alarms, shares = {(0.2, 0.3, 0.5): 0, (0.2, 0.25, 0.55): 0}, (0.2, 0.3, 0.5)
    for truth in alarms:
        generator = np.random.default_rng(9)
        for _ in range(experiments if truth == shares else 60):
            counts = np.cumsum(generator.multinomial(batch, truth, size=looks), axis=0)
            alarms[truth] += any(
                log_evidence(row, shares, 100.0) >= math.log(1 / alpha) for row in counts[::2].tolist()
            )
    assert 0.1 * alpha * experiments <= alarms[shares] <= binom.ppf(0.9999, experiments, alpha)
    assert alarms[0.2, 0.25, 0.55] >= 55


def test_intervals_of_counts_hold_nothing_before_the_first_and_something_of_one_arm():
    assert share_interval(0, (0, 0), (0.5, 0.5), 100, 0.05) == (0.0, 1.0)
    assert log_ratio_interval(0, 1, (0, 0, 0), (0.5, 0.3, 0.2), 100, 0.05) == (-math.inf, math.inf)
    low, high = log_ratio_interval(0, 1, (200, 0, 7), (0.5, 0.3, 0.2), 100, 0.05)
    assert low > 0
    assert high == math.inf
    assert share_interval(0, (200, 0), (0.5, 0.5), 100, 0.05)[1] == 1.0


@given(st.lists(st.integers(0, 300), min_size=3, max_size=3), st.integers(0, 2))
def test_no_member_of_the_null_explains_the_counts_better_than_the_one_used(counts, control):
    """Against 2,000 random members: control at least as good as every arm."""
    shares = np.array([0.2, 0.3, 0.5])
    rates = np.random.default_rng(0).random((2000, 3))
    best = rates.max(axis=1)
    rates[:, control] = best
    theta = rates * shares
    theta /= theta.sum(axis=1, keepdims=True)
    null = (np.array(counts) * np.log(theta)).sum(axis=1).max()
    simple = (np.array(counts) * np.log(shares)).sum()
    ours = log_evidence_some_arm_beats(control, counts, shares, 50) - log_evidence(counts, shares, 50)
    assert ours <= simple - null + 1e-9


# Normal mixtures -----------------------------------------------------------------------------------------------------


def test_the_anytime_t_reaches_the_published_intervals():
    """avlm's README: 100 rows, 8 coefficients, alpha 0.05, g tuned at 100."""
    g = anytime.tuned_g(100, 92, 0.05)
    assert g == pytest.approx(11.58, abs=0.01)
    assert anytime.t_radius(1.0, 100, 92, 0.05, g) == pytest.approx(3.1039, abs=1e-4)
    published = {
        (0.91630, 0.15864): (0.4238730, 1.4087195),
        (-0.12768, 0.18087): (-0.6890957, 0.4337358),
        (1.30556, 0.15941): (0.8107460, 1.8003705),
        (2.32245, 0.21566): (1.6530529, 2.9918408),
        (2.29985, 0.24141): (1.5505190, 3.0491788),
        (0.08015, 0.21122): (-0.5754734, 0.7357662),
        (2.32245, 0.20302): (1.6922727, 2.9526209),
        (3.31166, 0.20403): (2.6783800, 3.9449474),
    }
    for (estimate, error), (low, high) in published.items():
        radius = anytime.t_radius(error, 100, 92, 0.05, g)
        assert (estimate - radius, estimate + radius) == pytest.approx((low, high), abs=3e-5)


@pytest.mark.parametrize(
    ("t", "p"), [(5.776, 9.77e-06), (8.190, 8.07e-10), (10.769, 3.19e-14), (9.527, 3.98e-12), (6.015, 4.00e-06)]
)
def test_the_anytime_t_reaches_the_published_p_values(t, p):
    found = math.exp(-anytime.t_log_evidence(t, 1.0, 100, 92, anytime.tuned_g(100, 92, 0.05)))
    assert found == pytest.approx(p, rel=5e-3)


# Frozen from savvi 0.3.1 (LinearRegression, phi 3, numpy seed 4, 120 rows): estimate, error, z², ν, p, limits at 0.05.
REGRESSION = [
    (
        0.6122101923065256,
        0.09376282799512091,
        119.86959092658553,
        1.1801663306711402e-07,
        (0.31126912808, 0.91315125653),
    ),
    (0.1297166758538607, 0.09552706916889604, 115.48285486441603, 2.5575119886559614, (-0.17644116856, 0.43587452027)),
]


@pytest.mark.parametrize(("estimate", "error", "information", "p", "limits"), REGRESSION)
def test_the_anytime_t_agrees_with_another_implementation(estimate, error, information, p, limits):
    assert math.exp(-anytime.t_log_evidence(estimate, error, information, 117, 3.0)) == pytest.approx(p, rel=1e-9)
    radius = anytime.t_radius(error, information, 117, 0.05, 3.0)
    assert (estimate - radius, estimate + radius) == pytest.approx(limits, abs=1e-9)


def test_with_many_degrees_of_freedom_the_t_form_is_the_asymptotic_one():
    alpha, users = 0.01, 12_000
    rho = anytime.tuned_rho(8000, alpha)
    t = anytime.t_radius(0.3, users, 1e9, alpha, rho**-2)
    assert t == pytest.approx(anytime.radius(0.3, users, alpha, rho), rel=1e-6)
    assert anytime.t_log_evidence(1.1, 0.3, users, 1e9, rho**-2) == pytest.approx(
        anytime.log_evidence(1.1, 0.3, users, rho), rel=1e-6
    )


@given(st.floats(10, 1e6), st.floats(0.001, 0.2), st.floats(1, 1e6))
def test_evidence_reaches_its_threshold_at_the_radius(users, alpha, planned):
    rho = anytime.tuned_rho(planned, alpha)
    edge = anytime.radius(1.0, users, alpha, rho)
    assert anytime.log_evidence(edge, 1.0, users, rho) == pytest.approx(math.log(1 / alpha), rel=1e-9)
    edge = anytime.t_radius(1.0, users, users - 1, alpha, rho**-2)
    if edge < math.inf:
        reached = anytime.t_log_evidence(edge, 1.0, users, users - 1, rho**-2)
        assert reached == pytest.approx(math.log(1 / alpha), rel=1e-5)


def test_too_few_users_for_a_t_interval_have_an_infinite_one():
    assert anytime.t_radius(1.0, 3, 1, 0.01, 2.0) == math.inf


@pytest.mark.parametrize(("planned", "freedom", "alpha"), [(10_000, 9995, 0.05), (300, 250, 0.01), (50, 40, 0.2)])
def test_the_tuned_g_is_the_best_at_the_planned_size(planned, freedom, alpha):
    g = anytime.tuned_g(planned, freedom, alpha)
    best = anytime.t_radius(1.0, planned, freedom, alpha, g)
    grid = [anytime.t_radius(1.0, planned, freedom, alpha, g * factor) for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2)]
    assert min(grid) >= best
    assert g >= 1


def test_the_tuned_rho_is_nearly_the_best_at_the_planned_size():
    rho = anytime.tuned_rho(4000, 0.05)
    best = min(anytime.radius(1.0, 4000, 0.05, rho * factor) for factor in np.geomspace(0.2, 5, 400))
    assert anytime.radius(1.0, 4000, 0.05, rho) <= best * 1.001


@pytest.mark.parametrize(("planned", "alpha"), [(0, 0.05), (100, 0), (100, 1)])
def test_plans_that_make_no_sense_are_refused(planned, alpha):
    with pytest.raises(ValueError, match="planned users"):
        anytime.tuned_rho(planned, alpha)


# Many metrics --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evalues", "expected"),
    [
        ([], ()),
        ([1.0, 1.0], ()),
        ([200.0, 1.0], (0,)),
        ([39.0, 1.0], ()),
        ([20.0, 20.0], (0, 1)),
        ([19.9, 40.0], (1,)),
        ([1.0, 90.0, 30.0, 33.0, 0.2], (1, 3)),
        ([1.0, 90.0, 33.4, 33.4, 0.2], (1, 2, 3)),
    ],
)
def test_discoveries_at_a_rate_of_one_in_twenty(evalues, expected):
    if expected == (1, 3):
        evalues[3] = 50.0
    assert discoveries([math.log(value) for value in evalues], 0.05) == expected


def test_false_discoveries_keep_their_rate_even_among_copies_of_one_metric():
    """Ten null metrics that are all the same, five real ones."""
    generator, shares = np.random.default_rng(1), []
    for _ in range(3000):
        null = generator.standard_normal()
        real = generator.standard_normal(5) + 4
        evidence = [3 * value - 4.5 for value in [null] * 10 + real.tolist()]
        found = discoveries(evidence, 0.2)
        shares.append(sum(position < 10 for position in found) / max(len(found), 1))
    assert 0 < np.mean(shares) <= 0.2


# The other implementation itself, where it is installed -------------------------------------------------------------


def test_savvi_stops_where_we_do():
    savvi = pytest.importorskip("savvi.multinomial", reason="an oracle that the extra `oracles` installs")
    theirs = savvi.Multinomial(0.05, np.array([0.25, 0.25, 0.5]), k=60)
    ours = SampleRatio.declared((0.25, 0.25, 0.5), (60.0,))
    for one in np.random.RandomState(3).multinomial(1, [0.2, 0.2, 0.6], size=300):
        theirs.update(one)
        ours = ours.after(one.tolist())
        assert ours.log_evidence == pytest.approx(math.log(theirs.odds), abs=1e-8)


def test_savvi_regresses_as_we_do():
    savvi = pytest.importorskip("savvi.linear_regression", reason="an oracle that the extra `oracles` installs")
    generator = np.random.default_rng(5)
    model = savvi.LinearRegression(0.05, 2, phi=2.0)
    for _ in range(80):
        x = generator.standard_normal()
        model.update(np.array([1 + 0.5 * x + generator.standard_normal(), 1.0, x]))
    limits = model.calculate_conf_int()
    for place in range(2):
        radius = anytime.t_radius(model.standard_errors()[place], model.z2()[place], model.nu(), 0.05, 2.0)
        assert model.beta[place] - radius == pytest.approx(limits[place, 0], abs=1e-9)
