"""The labels of a release as JSON and back, to the last bit."""

from typing import Any

from penstock.cli.labels import LabelTrack
from penstock.judge.labels.accuracy import AccuracyPlan, AccuracyState
from penstock.judge.labels.cohorts import ArmLabels, Cohort, CohortKey, LabelProblem, OpenCohorts
from penstock.judge.labels.comparison import Comparison
from penstock.judge.labels.difference import StratifiedDifference
from penstock.judge.labels.identification import UnlabelledRange
from penstock.judge.labels.labelling import LabellingShares
from penstock.judge.labels.moments import Moments
from penstock.judge.state import UnreadableState

Plain = list[Any]


def plain(track: LabelTrack) -> Plain:
    """Lists and numbers."""
    cohorts, state = track.cohorts, track.state
    comparison, unlabelled = state.comparison, state.unlabelled
    return [
        [track.plan.tolerated, track.plan.alpha, track.plan.alpha_within, list(track.plan.ages)],
        track.heard,
        [
            [cohort.key.start, cohort.key.stratum, _arm(cohort.candidate), _arm(cohort.stable)]
            for cohort in cohorts.cohorts
        ],
        cohorts.closed_until,
        [[str(problem), count] for problem, count in cohorts.refused],
        [
            list(comparison.worse),
            list(comparison.worse_late),
            list(comparison.within),
            comparison.cohorts,
            _difference(comparison.difference),
        ],
        [_difference(difference) for difference in state.labelling.by_age],
        [
            unlabelled.predictions,
            unlabelled.candidate_low,
            unlabelled.candidate_high,
            unlabelled.stable_low,
            unlabelled.stable_high,
        ],
    ]


def typed(stored: Plain, plan: AccuracyPlan) -> LabelTrack:
    """What `plain` made.

    Raises:
        UnreadableState: when it was gathered under another plan.
        ValueError, TypeError: when it was not made by `plain`.
    """
    begun, heard, cohorts, closed_until, refused, comparison, labelling, unlabelled = stored
    if begun != [plan.tolerated, plan.alpha, plan.alpha_within, list(plan.ages)]:
        raise UnreadableState("its labels were counted with another --label-ages, --tolerate-loss or error rate")
    worse, worse_late, within, count, difference = comparison
    return LabelTrack(
        plan,
        OpenCohorts(
            plan.ages,
            tuple(
                Cohort(CohortKey(start, stratum), _arm_of(candidate), _arm_of(stable))
                for start, stratum, candidate, stable in cohorts
            ),
            closed_until,
            tuple((LabelProblem(problem), times) for problem, times in refused),
        ),
        AccuracyState(
            Comparison(tuple(worse), tuple(worse_late), tuple(within), count, _difference_of(difference)),
            LabellingShares(tuple(_difference_of(part) for part in labelling)),
            UnlabelledRange(*unlabelled),
        ),
        heard,
    )


def _arm(arm: ArmLabels) -> Plain:
    return [arm.predictions, list(arm.by_age), _moments(arm.losses)]


def _arm_of(stored: Plain) -> ArmLabels:
    predictions, by_age, losses = stored
    return ArmLabels(predictions, tuple(by_age), Moments(*losses))


def _moments(moments: Moments) -> Plain:
    return [moments.count, moments.total, moments.squares]


def _difference(difference: StratifiedDifference) -> Plain:
    return [
        difference.total,
        difference.weight,
        list(difference.variance),
        _moments(difference.candidate),
        _moments(difference.stable),
    ]


def _difference_of(stored: Plain) -> StratifiedDifference:
    total, weight, variance, candidate, stable = stored
    return StratifiedDifference(total, weight, tuple(variance), Moments(*candidate), Moments(*stable))
