"""The finding on a candidate's accuracy from late labels: worse, within tolerance, or why it cannot be said.

There is no finding that promotes. "Worse" may take back a release that is already out; it has its own share of the
tolerated false rollbacks (`alpha`), because labels arrive in a filtration of their own.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import log

from penstock.judge.labels import bets, paired
from penstock.judge.labels.cohorts import Cohort
from penstock.judge.labels.comparison import Comparison
from penstock.judge.labels.identification import UnlabelledRange
from penstock.judge.labels.labelling import Labelling, LabellingShares


class AccuracyOutcome(StrEnum):
    """What labels say about the candidate."""

    WORSE = "Worse"
    WITHIN_TOLERANCE = "WithinTolerance"
    UNDECIDED = "Undecided"
    INCONCLUSIVE = "Inconclusive"


class AccuracyReason(StrEnum):
    """Why."""

    SHOWN_WORSE = "ShownWorse"
    SHOWN_WITHIN_TOLERANCE = "ShownWithinTolerance"
    TOO_LITTLE_EVIDENCE = "TooLittleEvidence"
    NO_MATURE_COHORT = "NoMatureCohort"
    LABELLING_UNPROVEN = "LabellingUnproven"
    LABELLING_DIFFERS = "LabellingDiffers"
    SELECTIVE_LABELS = "SelectiveLabels"
    PAIRS_MISSING = "PairsMissing"


class LabelSelection(StrEnum):
    """Which rows can have a label: all alike, or only some predictions' (a refused loan is never paid back)."""

    INDEPENDENT = "Independent"
    SELECTIVE = "Selective"


@dataclass(frozen=True, slots=True)
class AccuracyPlan:
    """Frozen when the candidate is created.

    `tolerated`: rise of the mean loss that is no harm, in [0, 1). `alpha`, `alpha_within`: error of "worse" and of
    "within tolerance", over all looks. `ages`: seconds by which labels are counted, ascending, the last the maturity.
    `expected_loss`: stable's mean loss before the release. `labelling_margin`: the largest difference of the labelled
    shares that passes for alike, shown with error `labelling_alpha`. `missing_pairs`: the largest share of mirrored
    requests without both answers at which pairs are trusted.
    """

    tolerated: float
    alpha: float
    alpha_within: float
    ages: tuple[float, ...]
    expected_loss: float = 0.1
    labelling_alpha: float = 0.01
    labelling_margin: float = 0.05
    missing_pairs: float = 0.05
    selection: LabelSelection = LabelSelection.INDEPENDENT

    def __post_init__(self) -> None:
        if not 0 <= self.tolerated < 1 - 2e-3:
            raise ValueError(f"the tolerated rise of the loss must be at least 0 and below 0.998, got {self.tolerated}")
        if not (0 < self.alpha < 1 and 0 < self.alpha_within < 1 and 0 < self.labelling_alpha < 1):
            raise ValueError("every error rate must lie between 0 and 1")
        if not self.ages or list(self.ages) != sorted(set(self.ages)) or self.ages[0] <= 0:
            raise ValueError(f"ages must be positive and ascending, the last one the maturity, got {self.ages}")


@dataclass(frozen=True, slots=True)
class AccuracyState:
    """Everything that mature cohorts have left behind; a few dozen numbers, whatever their count."""

    comparison: Comparison
    labelling: LabellingShares
    unlabelled: UnlabelledRange

    @classmethod
    def before(cls, plan: AccuracyPlan) -> "AccuracyState":
        """Before the first cohort."""
        return cls(Comparison(), LabellingShares.over(len(plan.ages)), UnlabelledRange())

    def after(self, cohort: Cohort, plan: AccuracyPlan) -> "AccuracyState":
        """With one more mature cohort; give them in the order of their keys."""
        return AccuracyState(
            self.comparison.after(cohort.candidate.losses, cohort.stable.losses, plan.tolerated, plan.expected_loss),
            self.labelling.after(cohort),
            self.unlabelled.after(cohort),
        )


@dataclass(frozen=True, slots=True)
class AccuracyFinding:
    """A finding with its evidence; differences are candidate minus stable, in the unit of the loss.

    `interval` holds at every look with probability 1 − alpha; `unlabelled_range` and `labelling_bias` (how far unequal
    labelling within its interval could move the difference, at worst) are shown and decide nothing.
    """

    outcome: AccuracyOutcome
    reason: AccuracyReason
    log_worse: float
    worse_threshold: float
    log_within: float
    within_threshold: float
    interval: tuple[float, float]
    candidate_labels: int
    stable_labels: int
    labelling: tuple[tuple[float, float], ...] = ()
    labelling_bias: float = 0.0
    unlabelled_range: tuple[float, float] = (-1.0, 1.0)


def find(state: AccuracyState, plan: AccuracyPlan) -> AccuracyFinding:
    """What labels of served requests say now."""
    comparison = state.comparison
    outcome, reason = _decide(state, plan)
    return AccuracyFinding(
        outcome,
        reason,
        comparison.log_worse,
        log(1 / plan.alpha),
        comparison.log_within,
        log(1 / plan.alpha_within),
        comparison.difference.interval(plan.alpha),
        comparison.difference.candidate.count,
        comparison.difference.stable.count,
        state.labelling.intervals(plan.labelling_alpha),
        state.labelling.worst_bias(plan.labelling_alpha),
        state.unlabelled.difference,
    )


def find_in_pairs(pairs: bets.Sample, missing: int, plan: AccuracyPlan) -> AccuracyFinding:
    """What labels of mirrored requests say now, `missing` of which lack one of the two answers."""
    worse, within = paired.log_worse(pairs, plan.tolerated), paired.log_within(pairs, plan.tolerated)
    outcome, reason = _weigh(worse, within, plan)
    if pairs.count == 0:
        reason = AccuracyReason.NO_MATURE_COHORT
    if missing > plan.missing_pairs * (pairs.count + missing):
        outcome, reason = AccuracyOutcome.INCONCLUSIVE, AccuracyReason.PAIRS_MISSING
    if plan.selection is LabelSelection.SELECTIVE:
        outcome, reason = AccuracyOutcome.INCONCLUSIVE, AccuracyReason.SELECTIVE_LABELS
    return AccuracyFinding(
        outcome,
        reason,
        worse,
        log(1 / plan.alpha),
        within,
        log(1 / plan.alpha_within),
        paired.difference_interval(pairs, plan.alpha),
        pairs.count,
        pairs.count,
    )


def _decide(state: AccuracyState, plan: AccuracyPlan) -> tuple[AccuracyOutcome, AccuracyReason]:
    if plan.selection is LabelSelection.SELECTIVE:
        return AccuracyOutcome.INCONCLUSIVE, AccuracyReason.SELECTIVE_LABELS
    labelling = state.labelling.finding(plan.labelling_alpha, plan.labelling_margin)
    if labelling is Labelling.DIFFERS:
        return AccuracyOutcome.INCONCLUSIVE, AccuracyReason.LABELLING_DIFFERS
    if state.comparison.cohorts == 0:
        return AccuracyOutcome.UNDECIDED, AccuracyReason.NO_MATURE_COHORT
    outcome, reason = _weigh(state.comparison.log_worse, state.comparison.log_within, plan)
    if outcome is not AccuracyOutcome.UNDECIDED and labelling is Labelling.UNPROVEN:
        return AccuracyOutcome.UNDECIDED, AccuracyReason.LABELLING_UNPROVEN
    return outcome, reason


def _weigh(log_worse: float, log_within: float, plan: AccuracyPlan) -> tuple[AccuracyOutcome, AccuracyReason]:
    if log_worse >= log(1 / plan.alpha):
        return AccuracyOutcome.WORSE, AccuracyReason.SHOWN_WORSE
    if log_within >= log(1 / plan.alpha_within):
        return AccuracyOutcome.WITHIN_TOLERANCE, AccuracyReason.SHOWN_WITHIN_TOLERANCE
    return AccuracyOutcome.UNDECIDED, AccuracyReason.TOO_LITTLE_EVIDENCE
