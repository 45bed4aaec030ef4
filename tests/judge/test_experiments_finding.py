"""From users to a finding: summaries of arms, effects, burn-in, winners; and how often a finding is wrong."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from penstock.judge.experiments import anytime
from penstock.judge.experiments.arms import (
    BUCKETS,
    ArmEstimate,
    UserBuckets,
    UserMoments,
    adjusted,
    effective_events,
    standardised,
)
from penstock.judge.experiments.effects import Inference, Scale, effect
from penstock.judge.experiments.experiment import (
    Better,
    Discovery,
    ExperimentOutcome,
    ExperimentPlan,
    ExperimentReason,
    find,
    secondary,
)
from penstock.judge.experiments.sample_ratio import SampleRatio
from scipy.stats import binom

PLAN = ExperimentPlan(("control", "new"))
EVEN = SampleRatio.declared((0.5, 0.5))


def users(outcome, covariate=None) -> UserMoments:
    y = np.asarray(outcome, float)
    x = np.zeros_like(y) if covariate is None else np.asarray(covariate, float)
    sums = (y.sum(), (y**2).sum(), (y**3).sum(), x.sum(), (x**2).sum(), (x * y).sum())
    return UserMoments(len(y), *(float(value) for value in sums))


def conversions(count: int, of: int) -> UserMoments:
    return UserMoments(of, count, count, count)


# Published vectors ---------------------------------------------------------------------------------------------------

CONTROL = UserMoments(3000, 1396.87, 52377.9767)
TREATMENT = UserMoments(3461, 2422.7, 134698.29)


def test_sequential_intervals_of_means_reach_growthbooks():
    relative = effect(*adjusted([CONTROL.summary(), TREATMENT.summary()]), Scale.RELATIVE)
    assert relative.estimate == pytest.approx(0.50336, abs=5e-6)
    assert relative.standard_error == pytest.approx(0.33341, abs=5e-6)
    assert relative.interval(0.05, 1000, Inference.ASYMPTOTIC) == pytest.approx((-0.55844, 1.56516), abs=5e-6)
    # Frozen from gbstats 0.8.0.
    assert relative.interval(0.01, 20_000, Inference.ASYMPTOTIC) == pytest.approx(
        (-0.7285582579239644, 1.7352804296364361), rel=1e-9
    )
    p = math.exp(-relative.log_evidence(0.01, 20_000, Inference.ASYMPTOTIC))
    assert p == pytest.approx(0.8851871157268865, rel=1e-9)
    absolute = effect(*adjusted([CONTROL.summary(), TREATMENT.summary()]), Scale.ABSOLUTE)
    assert absolute.interval(0.05, 1000, Inference.ASYMPTOTIC) == pytest.approx(
        (-0.17908917909394972, 0.6478425124272831), rel=1e-9
    )


def test_one_sided_sequential_limits_reach_growthbooks():
    rho = anytime.tuned_rho(5000, 2 * 0.05)
    for scale, low, high in (
        (Scale.RELATIVE, -0.42356454602790883, 1.4302867177403806),
        (Scale.ABSOLUTE, -0.12656844172804982, 0.5953217750613832),
    ):
        found = effect(*adjusted([CONTROL.summary(), TREATMENT.summary()]), scale)
        radius = anytime.one_sided_radius(found.standard_error, found.users, 0.05, rho)
        assert found.estimate - radius == pytest.approx(low, rel=1e-9)
        assert found.estimate + radius == pytest.approx(high, rel=1e-9)


def test_sequential_intervals_of_proportions_reach_growthbooks():
    """There the variance of a proportion is p(1 − p) without the factor n/(n − 1)."""
    arms = [ArmEstimate(n, k / n, k / n * (1 - k / n) / n, n - 1) for k, n in ((1396, 3000), (2422, 3461))]
    assert effect(*arms, Scale.RELATIVE).interval(0.05, 5000, Inference.ASYMPTOTIC) == pytest.approx(
        (0.40098, 0.60675), abs=5e-6
    )
    ours = effect(*adjusted([conversions(1396, 3000).summary(), conversions(2422, 3461).summary()]), Scale.RELATIVE)
    assert ours.interval(0.05, 5000, Inference.ASYMPTOTIC) == pytest.approx((0.40098, 0.60675), abs=3e-5)


def test_regression_adjusted_sequential_intervals_reach_growthbooks():
    """Its slope is pooled over both arms as one sample, ours within arms; with this covariate they hardly differ."""
    control = replace(CONTROL, covariate=16.87, covariate_sq=527.9767, product=1.0)
    treatment = replace(TREATMENT, covariate=22.7, covariate_sq=1348.29, product=1.0)
    arms = adjusted([control.summary(), treatment.summary()])
    assert effect(*arms, Scale.RELATIVE).interval(0.05, 5000, Inference.ASYMPTOTIC) == pytest.approx(
        (-0.50969, 1.51646), abs=5e-5
    )
    assert effect(*arms, Scale.ABSOLUTE).interval(0.05, 5000, Inference.ASYMPTOTIC) == pytest.approx(
        (-0.1601055865189328, 0.6288802544766404), abs=1e-6
    )


# Summaries -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=2, max_size=40))
@example([(1e-161, 1e-161)] * 3)  # squares that underflow
def test_sums_over_users_give_the_moments_of_their_means(rows):
    y, x = np.array(rows).T
    found = users(y, x).summary()
    n = len(rows)
    assert found.outcome == pytest.approx(y.mean(), abs=1e-9)
    assert found.outcome_variance == pytest.approx(y.var(ddof=1) / n, abs=1e-6)
    assert found.covariate_variance == pytest.approx(x.var(ddof=1) / n, abs=1e-6)
    assert found.covariance == pytest.approx(np.cov(y, x)[0, 1] / n, abs=1e-6)
    assert found.skew == pytest.approx(((y - y.mean()) ** 3).sum(), abs=1e-4 * n)
    half = users(y[: n // 2], x[: n // 2]).plus(users(y[n // 2 :], x[n // 2 :]))
    assert half.summary().outcome_variance == pytest.approx(found.outcome_variance, abs=1e-6)


def test_summaries_need_two_users_or_two_buckets():
    assert users([1.0]).summary() is None
    assert UserBuckets(np.array([5, 0]), np.array([3.0, 0.0]), np.zeros(2)).summary() is None


def repeated(generator, count: int, effect_size: float = 0.0):
    """Users who come back: lognormal visits, each with a reward of the user's own mean, in buckets; and single sums."""
    visits = np.ceil(generator.lognormal(0.5, 1.0, count)).astype(int)
    taste = generator.normal(0.3 + effect_size, 0.2, count)
    reward = taste * visits + generator.normal(0, 0.3, count) * np.sqrt(visits)
    before = taste * np.ceil(generator.lognormal(0.5, 1.0, count)) + generator.normal(0, 0.2, count)
    home = generator.integers(0, BUCKETS, count)
    sums = [np.bincount(home, weights, BUCKETS) for weights in (reward, before)]
    return UserBuckets(np.bincount(home, minlength=BUCKETS), *sums), users(reward, before), int(visits.sum())


def test_buckets_know_the_variance_that_users_have():
    ratios = []
    for seed in range(60):
        buckets, single, _ = repeated(np.random.default_rng(seed), 3000)
        ours, truth = buckets.summary(), single.summary()
        assert ours.outcome == pytest.approx(truth.outcome)
        assert ours.freedom == BUCKETS - 1 - (buckets.users == 0).sum()
        ratios.append(ours.outcome_variance / truth.outcome_variance)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.04)
    assert np.std(ratios) < 0.2


def test_a_covariate_sharpens_the_effect_without_moving_it():
    plain, sharp = [], []
    for seed in range(120):
        generator = np.random.default_rng(seed)
        arms = []
        for shift in (0.0, 0.1):
            before = generator.normal(1.0, 1.0, 400)
            arms.append(users(before + generator.normal(shift, 0.5, 400), before).summary())
        sharp.append(effect(*adjusted(arms), Scale.ABSOLUTE))
        plain.append(
            effect(*adjusted([replace(arm, covariance=0.0, covariate_variance=0.0) for arm in arms]), Scale.ABSOLUTE)
        )
    assert np.mean([found.standard_error for found in sharp]) < 0.5 * np.mean([f.standard_error for f in plain])
    assert np.mean([found.estimate for found in sharp]) == pytest.approx(0.1, abs=0.015)
    spread = np.std([found.estimate for found in sharp])
    assert spread == pytest.approx(np.mean([found.standard_error for found in sharp]), rel=0.25)


def test_arms_are_compared_within_spans_of_constant_shares():
    """A slow and a busy week, 10 % and 90 % on the new arm; it is better in both and worse when users are pooled."""
    weeks = [
        (conversions(900, 9000), conversions(110, 1000)),
        (conversions(20, 1000), conversions(270, 9000)),
    ]
    pooled = [weeks[0][arm].plus(weeks[1][arm]) for arm in (0, 1)]
    assert effect(*adjusted([arm.summary() for arm in pooled]), Scale.ABSOLUTE).estimate < -0.04
    spans = standardised([adjusted([arm.summary() for arm in week]) for week in weeks])
    found = effect(*spans, Scale.ABSOLUTE)
    assert found.estimate == pytest.approx(0.01)
    assert found.users == 20_000
    assert spans[0].freedom == 999
    errors = [effect(*adjusted([arm.summary() for arm in week]), Scale.ABSOLUTE).standard_error for week in weeks]
    assert found.standard_error == pytest.approx(math.hypot(*errors) / 2)


# Effects -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "new", "scale"),
    [
        (conversions(0, 50), conversions(0, 50), Scale.ABSOLUTE),
        (conversions(0, 50), conversions(20, 50), Scale.RELATIVE),
        (users([-1.0, -3.0, 2.0]), users([1.0, 3.0, 2.0]), Scale.RELATIVE),
    ],
)
def test_an_effect_that_is_not_defined_is_none(control, new, scale):
    assert effect(*adjusted([control.summary(), new.summary()]), scale) is None


@pytest.mark.parametrize("inference", list(Inference))
def test_evidence_and_interval_agree(inference):
    found = effect(*adjusted([conversions(300, 3000).summary(), conversions(390, 3000).summary()]), Scale.ABSOLUTE)
    for alpha in (0.05, 0.01, 0.001):
        low, _ = found.interval(alpha, 5000, inference)
        rejected = found.log_evidence(alpha, 5000, inference) >= math.log(1 / alpha)
        assert rejected is (low > 0)


# Burn-in -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arms", "events"),
    [
        ((conversions(40, 4000), conversions(40, 4000)), 40),
        ((conversions(2000, 4000), conversions(2000, 4000)), 16e6),
        ((conversions(0, 4000), conversions(40, 4000)), 0),
        ((conversions(4, 400), conversions(360, 36_000)), 4),
    ],
)
def test_rare_outcomes_are_worth_their_events(arms, events):
    assert effective_events([[arm.summary() for arm in arms]]) == pytest.approx(events, rel=0.06)


def test_a_few_users_who_dominate_are_worth_as_many_events():
    generator = np.random.default_rng(3)
    light = users(generator.exponential(1, 5000)).summary()
    heavy = users(np.append(generator.exponential(1, 4997), [900.0, 1000.0, 1100.0])).summary()
    assert effective_events([[light, light]]) > 900
    assert effective_events([[light, heavy]]) < 4


def test_no_arm_is_judged_by_its_own_luck_alone():
    """The small arm has not met one of the rare large outcomes yet, which the large one shows to exist."""
    generator = np.random.default_rng(0)
    control = np.append(generator.normal(1, 0.1, 9950), generator.lognormal(4, 0.5, 50))
    lucky = generator.normal(1, 0.1, 300)
    assert effective_events([[users(lucky).summary(), users(lucky).summary()]]) > 1000
    assert effective_events([[users(control).summary(), users(lucky).summary()]]) < 3


# Findings ------------------------------------------------------------------------------------------------------------


def spans(*counts: int, of: int = 4000):
    return [[conversions(count, of).summary() for count in counts]]


THREE = ExperimentPlan(("control", "b", "c"))


@pytest.mark.parametrize(
    ("plan", "counts", "outcome", "reason", "winner"),
    [
        (PLAN, (400, 560), ExperimentOutcome.WINNER, ExperimentReason.SHOWN_BETTER, "new"),
        (PLAN, (560, 400), ExperimentOutcome.WINNER, ExperimentReason.SHOWN_BETTER, "control"),
        (
            replace(PLAN, better=Better.LOWER),
            (560, 400),
            ExperimentOutcome.WINNER,
            ExperimentReason.SHOWN_BETTER,
            "new",
        ),
        (PLAN, (400, 420), ExperimentOutcome.UNDECIDED, ExperimentReason.TOO_LITTLE_EVIDENCE, ""),
        (
            replace(PLAN, negligible=0.03),
            (2000, 2005),
            ExperimentOutcome.UNDECIDED,
            ExperimentReason.TOO_LITTLE_EVIDENCE,
            "",
        ),
        (
            replace(PLAN, negligible=0.25),
            (2000, 2005),
            ExperimentOutcome.EQUIVALENT,
            ExperimentReason.SHOWN_EQUIVALENT,
            "",
        ),
        (PLAN, (5, 700), ExperimentOutcome.UNDECIDED, ExperimentReason.BURN_IN, ""),
        (THREE, (400, 620, 420), ExperimentOutcome.WINNER, ExperimentReason.SHOWN_BETTER, "b"),
        (THREE, (400, 620, 600), ExperimentOutcome.UNDECIDED, ExperimentReason.TOO_LITTLE_EVIDENCE, ""),
        (
            replace(THREE, inference=Inference.ASYMPTOTIC, scale=Scale.ABSOLUTE),
            (400, 420, 620),
            ExperimentOutcome.WINNER,
            ExperimentReason.SHOWN_BETTER,
            "c",
        ),
    ],
)
def test_findings(plan, counts, outcome, reason, winner):
    ratio = SampleRatio.declared((1 / len(counts),) * len(counts)).after((4000,) * len(counts))
    finding = find(plan, ratio, spans(*counts))
    assert (finding.outcome, finding.reason, finding.winner) == (outcome, reason, winner)
    if reason is not ExperimentReason.BURN_IN:
        assert len(finding.pairs) == len(counts) * (len(counts) - 1) // 2
        assert all(pair.interval[0] < pair.estimate < pair.interval[1] for pair in finding.pairs)


def test_a_sample_ratio_mismatch_voids_every_result():
    finding = find(PLAN, EVEN.after((5000, 4000)), spans(400, 900))
    assert (finding.outcome, finding.reason) == (
        ExperimentOutcome.INCONCLUSIVE,
        ExperimentReason.SAMPLE_RATIO_MISMATCH,
    )
    assert finding.pairs == ()
    assert finding.ratio_p_value < 0.001


def test_a_relative_effect_on_a_baseline_of_nothing_is_inconclusive():
    generator = np.random.default_rng(1)
    arms = [[users(generator.normal(mean, 1, 500)).summary() for mean in (-2, 3)]]
    finding = find(PLAN, EVEN, arms)
    assert (finding.outcome, finding.reason) == (ExperimentOutcome.INCONCLUSIVE, ExperimentReason.EFFECT_UNDEFINED)
    assert find(replace(PLAN, scale=Scale.ABSOLUTE), EVEN, arms).winner == "new"


@pytest.mark.parametrize("arms", [[], [[users([1.0]).summary(), conversions(30, 300).summary()]]])
def test_without_users_in_every_arm_an_experiment_is_burning_in(arms):
    assert find(PLAN, EVEN, arms).reason is ExperimentReason.BURN_IN


@pytest.mark.parametrize(
    "broken",
    [
        {"outcome": math.nan},
        {"outcome_sq": math.inf},
        {"outcome_cube": math.nan},
        {"covariate": math.nan},
        {"outcome_sq": 1.0},
        {"covariate": 900.0, "covariate_sq": 1.0},
        {"product": math.nan},
    ],
)
def test_sums_that_no_users_have_decide_nothing_and_are_named(broken):
    arms = [[conversions(400, 4000).summary(), replace(conversions(900, 4000), **broken).summary()]]
    finding = find(PLAN, EVEN, arms)
    assert (finding.outcome, finding.reason) == (ExperimentOutcome.INCONCLUSIVE, ExperimentReason.IMPOSSIBLE_SUMS)
    assert secondary(PLAN, [("broken", arms)]) == ()


def test_a_span_that_lacks_an_arm_is_left_out():
    whole = spans(400, 560)
    assert find(PLAN, EVEN, [*whole, [None, conversions(1, 2).summary()]]) == find(PLAN, EVEN, whole)


def test_secondary_metrics_that_moved_are_named():
    metrics = [
        ("clicks", spans(400, 620, 410)),
        ("complaints", spans(300, 310, 305)),
        ("returns", spans(2, 90, 90)),
        ("basket", [[users(np.full(500, 1.0)).summary()] * 3]),
        ("minutes", spans(2000, 2010, 2400)),
    ]
    found = secondary(THREE, metrics)
    assert found == (Discovery("clicks", "b", pytest.approx(0.55)), Discovery("minutes", "c", pytest.approx(0.2)))
    assert secondary(THREE, []) == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"arms": ("only",)},
        {"arms": ("a", "a")},
        {"alpha": 0.0},
        {"ratio_alpha": 1.0},
        {"planned": 0.0},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(changes):
    with pytest.raises(ValueError, match=r"at least two arms|error rates"):
        replace(PLAN, **changes)


# How often it is wrong -----------------------------------------------------------------------------------------------


def look(generator, law: str, sizes: tuple[int, int]):
    """One more batch of users of identical arms."""
    draw = {
        "rare": lambda n: (generator.random(n) < 0.02).astype(float),
        "even": lambda n: (generator.random(n) < 0.5).astype(float),
        "skewed": lambda n: generator.lognormal(0, 1.2, n),
    }[law]
    return [users(draw(n)) for n in sizes]


@pytest.mark.parametrize(
    ("law", "sizes", "scale"),
    [
        ("even", (60, 60), Scale.ABSOLUTE),
        ("rare", (180, 60), Scale.RELATIVE),
        ("skewed", (120, 40), Scale.RELATIVE),
    ],
)
def test_equal_arms_looked_at_again_and_again_have_a_winner_with_at_most_alpha(law, sizes, scale):
    alpha, experiments = 0.1, 200
    plan = replace(PLAN, alpha=alpha, planned=3000, scale=scale)
    winners = 0
    for seed in range(experiments):
        generator = np.random.default_rng(seed)
        arms, won = [UserMoments(), UserMoments()], False
        for _ in range(60):
            arms = [arm.plus(more) for arm, more in zip(arms, look(generator, law, sizes), strict=True)]
            won = won or find(plan, EVEN, [[arm.summary() for arm in arms]]).outcome is ExperimentOutcome.WINNER
        winners += won
    assert 0.05 * alpha * experiments <= winners <= binom.ppf(0.9999, experiments, alpha)


def test_heavy_repeat_users_in_buckets_do_not_make_winners_as_they_do_when_visits_are_counted():
    """A visit's reward has variance 0.2² (of the user's taste) + 0.3²; taking visits for units forgets the first part."""
    alpha, experiments, winners, by_visit = 0.1, 80, 0, 0
    plan = replace(PLAN, alpha=alpha, planned=4000)
    rho = anytime.tuned_rho(4000, alpha)
    for seed in range(experiments):
        generator, won, won_by_visit = np.random.default_rng(seed), False, False
        totals = [[np.zeros(BUCKETS, int), np.zeros(BUCKETS), np.zeros(BUCKETS)] for _ in range(2)]
        visits = np.zeros(2)
        for _ in range(20):
            for arm, sums in enumerate(totals):
                buckets, _, more = repeated(generator, 150)
                visits[arm] += more
                for sum_, part in zip(sums, (buckets.users, buckets.outcome, buckets.covariate), strict=True):
                    sum_ += part
            summary = [[UserBuckets(*sums).summary() for sums in totals]]
            won = won or find(plan, EVEN, summary).outcome is ExperimentOutcome.WINNER
            means = [sums[1].sum() / count for sums, count in zip(totals, visits, strict=True)]
            error = math.sqrt((0.2**2 + 0.3**2) * (1 / visits).sum())
            evidence = anytime.log_evidence(means[1] - means[0], error, visits.sum(), rho)
            won_by_visit = won_by_visit or evidence >= math.log(1 / alpha)
        winners += won
        by_visit += won_by_visit
    assert winners <= binom.ppf(0.9999, experiments, alpha) < by_visit
    better = [[repeated(np.random.default_rng(1), 3000, shift)[0].summary() for shift in (0.0, 0.15)]]
    assert find(plan, EVEN, better).winner == "new"
