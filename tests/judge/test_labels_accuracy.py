"""From label rows to a finding: cohorts close by time alone, labelling must be alike, and nothing ever promotes."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock.judge.criteria import Arm
from penstock.judge.labels.accuracy import (
    AccuracyOutcome,
    AccuracyPlan,
    AccuracyReason,
    AccuracyState,
    LabelSelection,
    find,
    find_in_pairs,
)
from penstock.judge.labels.cohorts import (
    ArmLabels,
    Cohort,
    CohortKey,
    LabelProblem,
    LabelRow,
    OpenCohorts,
)
from penstock.judge.labels.identification import UnlabelledRange
from penstock.judge.labels.labelling import Labelling, LabellingShares
from penstock.judge.labels.moments import Moments
from penstock.judge.labels.paired import BinaryPairs
from scipy.stats import binom

HOUR = 3600.0
PLAN = AccuracyPlan(tolerated=0.02, alpha=0.001, alpha_within=0.01, ages=(HOUR, 24 * HOUR))
FIRST = CohortKey(0.0)


def row(**changes) -> LabelRow:
    return replace(LabelRow(FIRST, Arm.CANDIDATE, 10.0, 5, 2, 1.0, 1.0), **changes)


# Rows become cohorts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"loss_sum": math.nan}, LabelProblem.NOT_A_NUMBER),
        ({"arrived": math.inf}, LabelProblem.NOT_A_NUMBER),
        ({"labelled": -1}, LabelProblem.NEGATIVE),
        ({"loss_sum_sq": -0.1}, LabelProblem.NEGATIVE),
        ({"predictions": 10**13}, LabelProblem.ABSURD),
        ({"loss_sum": 2.5, "loss_sum_sq": 2.5}, LabelProblem.LOSS_OUT_OF_RANGE),
        ({"loss_sum": 1.0, "loss_sum_sq": 1.5}, LabelProblem.LOSS_OUT_OF_RANGE),
        ({"loss_sum": 1.0, "loss_sum_sq": 0.1}, LabelProblem.LOSS_OUT_OF_RANGE),
        ({"labelled": 0, "loss_sum": 1.0, "loss_sum_sq": 1.0}, LabelProblem.LOSS_OUT_OF_RANGE),
        ({"key": CohortKey(11.0)}, LabelProblem.BEFORE_ITS_PREDICTION),
        ({"arrived": 24 * HOUR}, LabelProblem.AFTER_MATURITY),
    ],
)
def test_a_row_that_cannot_be_is_named_and_changes_no_cohort(changes, problem):
    opened = OpenCohorts(PLAN.ages).add(row())
    refused = opened.add(row(**changes)).add(row(**changes))
    assert refused.cohorts == opened.cohorts
    assert refused.refused == ((problem, 2),)


def test_labels_are_counted_by_every_age_they_are_younger_than():
    opened = OpenCohorts((60.0, HOUR, 24 * HOUR))
    opened = opened.add(row(predictions=9, labelled=0, loss_sum=0.0, loss_sum_sq=0.0))
    for arrived, labelled in ((59.9, 1), (60.0, 2), (2 * HOUR, 4)):
        opened = opened.add(row(arrived=arrived, predictions=0, labelled=labelled, loss_sum=0.5, loss_sum_sq=0.25))
    expected = ArmLabels(9, (1, 3, 7), Moments.of(7, 1.5, 0.75))
    assert opened.cohorts == (Cohort(FIRST, expected, ArmLabels(0, (0, 0, 0), Moments())),)


ROWS = st.lists(
    st.builds(
        lambda start, stratum, arm, age, predictions, labelled, losses: LabelRow(
            CohortKey(float(start), stratum), arm, start + age, predictions, min(labelled, predictions), *losses
        ),
        st.integers(0, 3),
        st.sampled_from(["a", "b"]),
        st.sampled_from(list(Arm)),
        st.sampled_from([0.0, 30.0, HOUR, 23 * HOUR]),
        st.integers(1, 50),
        st.integers(2, 9),
        st.sampled_from([(0.0, 0.0), (1.0, 1.0), (0.75, 0.5625)]),
    ),
    max_size=12,
)


@given(ROWS, st.randoms(use_true_random=False))
def test_the_same_rows_give_the_same_cohorts_in_any_order(rows, shuffle):
    shuffled = list(rows)
    shuffle.shuffle(shuffled)
    states = []
    for order in (rows, shuffled):
        state = OpenCohorts(PLAN.ages)
        for each in order:
            state = state.add(each)
        states.append(state)
    assert states[0] == states[1]
    keys = [cohort.key for cohort in states[0].cohorts]
    assert keys == sorted(set(keys))


def test_a_cohort_closes_when_it_is_mature_and_not_before():
    opened = OpenCohorts(PLAN.ages).add(row()).add(row(key=CohortKey(50.0), arrived=60.0))
    opened, early = opened.close(24 * HOUR - 1)
    assert early == ()
    opened, due = opened.close(24 * HOUR)
    assert [cohort.key for cohort in due] == [FIRST]
    late = opened.add(row())
    assert late.refused == ((LabelProblem.DELIVERED_LATE, 1),)
    assert late.cohorts == opened.cohorts
    again, nothing = late.close(0.0)
    assert nothing == ()
    assert again.closed_until == 24 * HOUR


def test_more_labels_than_predictions_refuse_the_cohort_as_a_whole():
    opened = OpenCohorts(PLAN.ages).add(row(predictions=1)).add(row(key=CohortKey(1.0)))
    opened, due = opened.close(48 * HOUR)
    assert [cohort.key.start for cohort in due] == [1.0]
    assert opened.refused == ((LabelProblem.MORE_LABELS_THAN_PREDICTIONS, 1),)


# Labelling -----------------------------------------------------------------------------------------------------------


def arm(predictions: int, early: int, labelled: int, wrong: int) -> ArmLabels:
    return ArmLabels(predictions, (early, labelled), Moments.of(labelled, wrong, wrong))


def cohort(candidate: ArmLabels, stable: ArmLabels, start: float = 0.0) -> Cohort:
    return Cohort(CohortKey(start), candidate, stable)


def drawn(generator, predictions: int, early: float, late: float, loss: float) -> ArmLabels:
    fast = int(generator.binomial(predictions, early))
    labelled = fast + int(generator.binomial(predictions - fast, (late - early) / (1 - early)))
    return arm(predictions, fast, labelled, int(generator.binomial(labelled, loss)))


@pytest.mark.parametrize(
    ("candidate", "stable", "finding"),
    [
        ((0.1, 0.3), (0.1, 0.3), Labelling.ALIKE),
        ((0.1, 0.3), (0.1, 0.5), Labelling.DIFFERS),
        ((0.3, 0.5), (0.1, 0.5), Labelling.DIFFERS),
    ],
)
def test_both_the_rate_and_the_delay_of_labels_are_compared(candidate, stable, finding):
    """By one hour and by one day; the third case labels as many in the end, but the candidate's sooner."""
    generator, shares = np.random.default_rng(2), LabellingShares.over(2)
    assert shares.finding(0.01, 0.05) is Labelling.UNPROVEN
    for _ in range(40):
        shares = shares.after(cohort(drawn(generator, 300, *candidate, 0.1), drawn(generator, 300, *stable, 0.1)))
    assert shares.finding(0.01, 0.05) is finding


@pytest.mark.parametrize("mistake", [Labelling.DIFFERS, Labelling.ALIKE])
def test_labelling_is_misjudged_with_at_most_alpha(mistake):
    """On the edge, where the shares differ by the margin itself, neither answer is right for sure."""
    alpha, margin, releases, mistakes = 0.1, 0.05, 150, 0
    for seed in range(releases):
        generator, shares, seen = np.random.default_rng(seed), LabellingShares.over(1), False
        for _ in range(20):
            one, other = int(generator.binomial(50, 0.4 + margin)), int(generator.binomial(200, 0.4))
            nothing = Moments()
            shares = shares.after(cohort(ArmLabels(50, (one,), nothing), ArmLabels(200, (other,), nothing)))
            seen = seen or shares.finding(alpha, margin) is mistake
        mistakes += seen
    assert mistakes <= binom.ppf(0.9999, releases, alpha)


def test_the_worst_bias_of_unequal_labelling_is_the_surplus_over_the_coverage():
    shares = LabellingShares.over(2)
    assert shares.worst_bias(0.01) == 1.0
    shares = shares.after(cohort(arm(100_000, 0, 20_000, 0), arm(100_000, 0, 20_000, 0)))
    low, high = shares.intervals(0.01)[-1]
    assert shares.worst_bias(0.01) == pytest.approx(max(-low, high) / 0.2)
    assert (
        LabellingShares.over(1)
        .after(cohort(ArmLabels(9, (0,), Moments()), ArmLabels(9, (4,), Moments())))
        .worst_bias(0.01)
        == 1.0
    )


# Manski's bounds -----------------------------------------------------------------------------------------------------


def test_bounds_without_assumptions_are_as_wide_as_the_unlabelled_share():
    unknown = UnlabelledRange()
    assert unknown.difference == (-1.0, 1.0)
    one = unknown.after(cohort(arm(100, 0, 40, 10), arm(300, 0, 150, 15)))
    # Candidate in [0.10, 0.70], stable in [0.05, 0.55].
    assert one.difference == pytest.approx((0.10 - 0.55, 0.70 - 0.05))
    two = one.after(cohort(arm(400, 0, 0, 0), arm(400, 0, 400, 400)))
    assert two.difference == pytest.approx(((400 * -0.45 + 800 * -1.0) / 1200, (400 * 0.65 + 800 * 0.0) / 1200))
    assert two.after(cohort(arm(0, 0, 0, 0), arm(9, 0, 9, 9))) is two
    assert two.after(cohort(arm(9, 0, 9, 9), arm(0, 0, 0, 0))) is two


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 40), st.integers(1, 40), st.integers(0, 40))
def test_bounds_hold_whatever_the_unlabelled_rows_are(wrong, right, hidden_wrong, hidden_right, stable_wrong):
    candidate = arm(wrong + right + hidden_wrong + hidden_right, 0, wrong + right, wrong)
    stable = arm(50, 0, 50, min(stable_wrong, 50))
    truth = (wrong + hidden_wrong) / candidate.predictions - stable.losses.mean
    low, high = UnlabelledRange().after(cohort(candidate, stable)).difference
    assert low - 1e-9 <= truth <= high + 1e-9


# Findings ------------------------------------------------------------------------------------------------------------


def watched(candidate, stable, plan=PLAN, cohorts: int = 60, predictions: int = 400):
    """Each arm: share labelled within the hour, within the day, mean loss."""
    generator, state = np.random.default_rng(8), AccuracyState.before(plan)
    for _ in range(cohorts):
        mature = cohort(drawn(generator, predictions, *candidate), drawn(generator, predictions, *stable))
        state = state.after(mature, plan)
    return find(state, plan)


@pytest.mark.parametrize(
    ("candidate", "stable", "plan", "outcome", "reason"),
    [
        ((0.2, 0.5, 0.2), (0.2, 0.5, 0.1), PLAN, AccuracyOutcome.WORSE, AccuracyReason.SHOWN_WORSE),
        (
            (0.2, 0.5, 0.05),
            (0.2, 0.5, 0.1),
            PLAN,
            AccuracyOutcome.WITHIN_TOLERANCE,
            AccuracyReason.SHOWN_WITHIN_TOLERANCE,
        ),
        ((0.2, 0.5, 0.12), (0.2, 0.5, 0.1), PLAN, AccuracyOutcome.UNDECIDED, AccuracyReason.TOO_LITTLE_EVIDENCE),
        ((0.2, 0.7, 0.3), (0.2, 0.5, 0.1), PLAN, AccuracyOutcome.INCONCLUSIVE, AccuracyReason.LABELLING_DIFFERS),
        (
            (0.2, 0.5, 0.3),
            (0.2, 0.5, 0.1),
            replace(PLAN, labelling_margin=0.001),
            AccuracyOutcome.UNDECIDED,
            AccuracyReason.LABELLING_UNPROVEN,
        ),
        (
            (0.2, 0.5, 0.9),
            (0.2, 0.5, 0.1),
            replace(PLAN, selection=LabelSelection.SELECTIVE),
            AccuracyOutcome.INCONCLUSIVE,
            AccuracyReason.SELECTIVE_LABELS,
        ),
    ],
)
def test_findings(candidate, stable, plan, outcome, reason):
    finding = watched(candidate, stable, plan)
    assert (finding.outcome, finding.reason) == (outcome, reason)
    assert finding.interval[0] < candidate[2] - stable[2] < finding.interval[1]
    assert finding.candidate_labels == pytest.approx(60 * 400 * candidate[1], rel=0.1)
    assert finding.unlabelled_range[0] < candidate[2] - stable[2] < finding.unlabelled_range[1]
    assert finding.labelling_bias > 0
    assert len(finding.labelling) == 2


def test_no_finding_promotes():
    assert {outcome.value for outcome in AccuracyOutcome} == {"Worse", "WithinTolerance", "Undecided", "Inconclusive"}


@pytest.mark.parametrize("labelled", [0, 1])
def test_without_labels_in_both_arms_nothing_is_decided(labelled):
    state = AccuracyState.before(PLAN)
    assert find(state, PLAN).reason is AccuracyReason.NO_MATURE_COHORT
    state = state.after(cohort(arm(50, 0, labelled, labelled), arm(50, 0, 0, 0)), PLAN)
    finding = find(state, PLAN)
    assert (finding.outcome, finding.reason) == (AccuracyOutcome.UNDECIDED, AccuracyReason.NO_MATURE_COHORT)
    assert finding.interval == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("pairs", "missing", "plan", "outcome", "reason"),
    [
        (BinaryPairs(5000, 300, 50), 0, PLAN, AccuracyOutcome.WORSE, AccuracyReason.SHOWN_WORSE),
        (
            BinaryPairs(5000, 50, 300),
            100,
            PLAN,
            AccuracyOutcome.WITHIN_TOLERANCE,
            AccuracyReason.SHOWN_WITHIN_TOLERANCE,
        ),
        (BinaryPairs(200, 10, 6), 0, PLAN, AccuracyOutcome.UNDECIDED, AccuracyReason.TOO_LITTLE_EVIDENCE),
        (BinaryPairs(), 0, PLAN, AccuracyOutcome.UNDECIDED, AccuracyReason.NO_MATURE_COHORT),
        (BinaryPairs(5000, 300, 50), 300, PLAN, AccuracyOutcome.INCONCLUSIVE, AccuracyReason.PAIRS_MISSING),
        (
            BinaryPairs(5000, 300, 50),
            0,
            replace(PLAN, selection=LabelSelection.SELECTIVE),
            AccuracyOutcome.INCONCLUSIVE,
            AccuracyReason.SELECTIVE_LABELS,
        ),
    ],
)
def test_findings_from_mirrored_requests(pairs, missing, plan, outcome, reason):
    finding = find_in_pairs(pairs, missing, plan)
    assert (finding.outcome, finding.reason) == (outcome, reason)
    assert finding.interval[0] < finding.interval[1]
    assert finding.candidate_labels == finding.stable_labels == pairs.count


@pytest.mark.parametrize(
    "changes",
    [
        {"tolerated": -0.1},
        {"tolerated": 1.0},
        {"alpha": 0.0},
        {"alpha_within": 1.0},
        {"labelling_alpha": 2.0},
        {"ages": ()},
        {"ages": (60.0, 60.0)},
        {"ages": (0.0, 60.0)},
        {"ages": (90.0, 60.0)},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(changes):
    with pytest.raises(ValueError, match=r"tolerated|error rate|ages"):
        replace(PLAN, **changes)
