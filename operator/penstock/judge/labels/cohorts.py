"""Label counts become whole cohorts: rows of one prediction time, closed when their labels are old enough.

A row is counted or refused by its own times alone, never by what it says or by the order of delivery, so the same rows
give the same cohorts however they were packed. A cohort is judged once, when it has matured; what comes later is counted
and named, not used.
"""

from bisect import bisect_left
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite

from penstock.judge.criteria import Arm
from penstock.judge.labels.moments import NO_ROWS, Moments

_LARGEST = 10**12
"""A count above this in one interval is absurd."""


class LabelProblem(StrEnum):
    """Why a row or a cohort was not used."""

    NOT_A_NUMBER = "NotANumber"
    NEGATIVE = "Negative"
    ABSURD = "Absurd"
    LOSS_OUT_OF_RANGE = "LossOutOfRange"
    BEFORE_ITS_PREDICTION = "BeforeItsPrediction"
    AFTER_MATURITY = "AfterMaturity"
    DELIVERED_LATE = "DeliveredLate"
    MORE_LABELS_THAN_PREDICTIONS = "MoreLabelsThanPredictions"


@dataclass(frozen=True, slots=True, order=True)
class CohortKey:
    """The predictions of one stratum: `start` is the time of the first, in seconds."""

    start: float
    stratum: str = ""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """What was added to one arm of a cohort in one interval: predictions made, labels that arrived, sums of their losses.

    `arrived` is the time of the interval in seconds. Losses lie in [0, 1].
    """

    key: CohortKey
    arm: Arm
    arrived: float
    predictions: int = 0
    labelled: int = 0
    loss_sum: float = 0.0
    loss_sum_sq: float = 0.0


@dataclass(frozen=True, slots=True)
class ArmLabels:
    """One arm of a cohort: predictions, rows labelled by each age, and the losses of all labelled rows."""

    predictions: int
    by_age: tuple[int, ...]
    losses: Moments = NO_ROWS


@dataclass(frozen=True, slots=True)
class Cohort:
    """Both arms of the predictions of one stratum."""

    key: CohortKey
    candidate: ArmLabels
    stable: ArmLabels


@dataclass(frozen=True, slots=True)
class OpenCohorts:
    """Cohorts whose labels are still awaited, oldest first, and what was refused by reason.

    `ages` are the ages in seconds by which labels are counted, ascending; the last is the maturity.
    """

    ages: tuple[float, ...]
    cohorts: tuple[Cohort, ...] = ()
    closed_until: float | None = None
    refused: tuple[tuple[LabelProblem, int], ...] = ()

    @property
    def maturity(self) -> float:
        return self.ages[-1]

    def add(self, row: LabelRow) -> "OpenCohorts":
        """With one more row; a row that cannot be used is counted under its problem."""
        problem = problem_of(row) or self._too_late(row)
        if problem is not None:
            return self._refuse(problem)
        position = bisect_left(self.cohorts, row.key, key=lambda cohort: cohort.key)
        present = self.cohorts[position : position + 1]
        if not present or present[0].key != row.key:
            nothing = ArmLabels(0, (0,) * len(self.ages))
            present = (Cohort(row.key, nothing, nothing),)
            rest = self.cohorts[position:]
        else:
            rest = self.cohorts[position + 1 :]
        return replace(self, cohorts=(*self.cohorts[:position], self._added(present[0], row), *rest))

    def close(self, now: float) -> tuple["OpenCohorts", tuple[Cohort, ...]]:
        """Take out the cohorts that are mature at `now`, oldest first. Impossible ones are refused as a whole."""
        mature = tuple(cohort for cohort in self.cohorts if cohort.key.start + self.maturity <= now)
        rest = replace(self, cohorts=self.cohorts[len(mature) :], closed_until=self._latest(now))
        sound = tuple(cohort for cohort in mature if _possible(cohort.candidate) and _possible(cohort.stable))
        for _ in range(len(mature) - len(sound)):
            rest = rest._refuse(LabelProblem.MORE_LABELS_THAN_PREDICTIONS)
        return rest, sound

    def _too_late(self, row: LabelRow) -> LabelProblem | None:
        matures = row.key.start + self.maturity
        if row.arrived >= matures:
            return LabelProblem.AFTER_MATURITY
        closed = self.closed_until is not None and matures <= self.closed_until
        return LabelProblem.DELIVERED_LATE if closed else None

    def _latest(self, now: float) -> float:
        return now if self.closed_until is None else max(now, self.closed_until)

    def _added(self, cohort: Cohort, row: LabelRow) -> Cohort:
        arm = cohort.candidate if row.arm == Arm.CANDIDATE else cohort.stable
        age = row.arrived - row.key.start
        more = ArmLabels(
            arm.predictions + row.predictions,
            tuple(
                count + (row.labelled if age < edge else 0) for count, edge in zip(arm.by_age, self.ages, strict=True)
            ),
            arm.losses.plus(Moments.of(row.labelled, row.loss_sum, row.loss_sum_sq)),
        )
        return replace(cohort, candidate=more) if row.arm == Arm.CANDIDATE else replace(cohort, stable=more)

    def _refuse(self, problem: LabelProblem) -> "OpenCohorts":
        counts = dict(self.refused)
        counts[problem] = counts.get(problem, 0) + 1
        return replace(self, refused=tuple(sorted(counts.items())))


def problem_of(row: LabelRow) -> LabelProblem | None:
    """What makes a row unusable by itself."""
    numbers = (row.key.start, row.arrived, row.predictions, row.labelled, row.loss_sum, row.loss_sum_sq)
    if not all(isfinite(number) for number in numbers):
        return LabelProblem.NOT_A_NUMBER
    if min(row.predictions, row.labelled, row.loss_sum, row.loss_sum_sq) < 0:
        return LabelProblem.NEGATIVE
    if max(row.predictions, row.labelled) > _LARGEST:
        return LabelProblem.ABSURD
    slack = 1e-9 * (1 + row.labelled)
    ordered = row.loss_sum_sq <= row.loss_sum + slack and row.loss_sum <= row.labelled + slack
    if not ordered or row.loss_sum**2 > row.labelled * row.loss_sum_sq + slack * (1 + row.loss_sum):
        return LabelProblem.LOSS_OUT_OF_RANGE
    return LabelProblem.BEFORE_ITS_PREDICTION if row.arrived < row.key.start else None


def _possible(arm: ArmLabels) -> bool:
    return arm.losses.count <= arm.predictions
