"""Are labels given alike to both arms? Without that, losses of labelled rows compare two different kinds of rows.

For each of a few ages the share of a cohort's predictions that were labelled by then is compared between the arms, with
an interval that holds at every look (`difference`). Shown to be equal: every interval lies within ± `margin`; it happens
with probability at most alpha when one share differs by more. Shown to differ: some interval lies wholly outside; at
most alpha, by Bonferroni over the ages, when none differs by more. Between the two it is not known.

Equal shares do not make labels harmless when the label depends on the loss: among the labelled rows of the arm that has
`margin` more of them, up to margin/coverage may be there for their loss. That bias is reported beside the answer.
"""

from dataclasses import dataclass
from enum import StrEnum

from penstock.judge.labels.cohorts import ArmLabels, Cohort
from penstock.judge.labels.difference import StratifiedDifference
from penstock.judge.labels.moments import Moments

_EXPECTED_SHARE = 0.5


class Labelling(StrEnum):
    """What is known about labelling in the two arms."""

    ALIKE = "Alike"
    DIFFERS = "Differs"
    UNPROVEN = "Unproven"


@dataclass(frozen=True, slots=True)
class LabellingShares:
    """Per age: the difference of the shares labelled by then."""

    by_age: tuple[StratifiedDifference, ...]

    @classmethod
    def over(cls, ages: int) -> "LabellingShares":
        return cls((StratifiedDifference(),) * ages)

    def after(self, cohort: Cohort) -> "LabellingShares":
        return LabellingShares(
            tuple(
                difference.after(_labelled(cohort.candidate, age), _labelled(cohort.stable, age), _EXPECTED_SHARE)
                for age, difference in enumerate(self.by_age)
            )
        )

    def intervals(self, alpha: float) -> tuple[tuple[float, float], ...]:
        """Per age, candidate minus stable; all hold together with probability 1 − `alpha`."""
        return tuple(difference.interval(alpha / len(self.by_age)) for difference in self.by_age)

    def finding(self, alpha: float, margin: float) -> Labelling:
        """Whether the shares of labelled rows differ by at most `margin` at every age."""
        intervals = self.intervals(alpha)
        if any(low > margin or high < -margin for low, high in intervals):
            return Labelling.DIFFERS
        alike = all(-margin <= low and high <= margin for low, high in intervals)
        return Labelling.ALIKE if alike else Labelling.UNPROVEN

    def worst_bias(self, alpha: float) -> float:
        """How far the difference of mean losses could be off if the surplus labels were given for their loss, up to 1."""
        last = self.by_age[-1]
        low, high = self.intervals(alpha)[-1]
        if last.weight == 0 or min(last.candidate.total, last.stable.total) == 0:
            return 1.0
        return min(1.0, max(-low, high) / min(last.candidate.mean, last.stable.mean))


def _labelled(arm: ArmLabels, age: int) -> Moments:
    return Moments.of(arm.predictions, arm.by_age[age], arm.by_age[age])
