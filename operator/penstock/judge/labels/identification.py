"""What labels say without any assumption about which rows get one: Manski's bounds, shown and never decisive.

With a share c of rows labelled and mean loss L among them, the mean loss of all rows lies in [c·L, c·L + 1 − c]. The
interval is as wide as the unlabelled share, whatever the number of rows, and comes on top of sampling error.
Source: Manski, "Nonparametric bounds on treatment effects", American Economic Review 80(2), 1990.
"""

from dataclasses import dataclass

from penstock.judge.labels.cohorts import ArmLabels, Cohort


@dataclass(frozen=True, slots=True)
class UnlabelledRange:
    """Mean loss if every unlabelled row had loss 0, or loss 1: per arm, averaged over cohorts by their predictions."""

    predictions: int = 0
    candidate_low: float = 0.0
    candidate_high: float = 0.0
    stable_low: float = 0.0
    stable_high: float = 0.0

    def after(self, cohort: Cohort) -> "UnlabelledRange":
        """With one more cohort; one without predictions in both arms compares nothing."""
        candidate, stable = cohort.candidate, cohort.stable
        if candidate.predictions == 0 or stable.predictions == 0:
            return self
        weight = candidate.predictions + stable.predictions
        return UnlabelledRange(
            self.predictions + weight,
            self.candidate_low + weight * _least(candidate),
            self.candidate_high + weight * (_least(candidate) + _unlabelled(candidate)),
            self.stable_low + weight * _least(stable),
            self.stable_high + weight * (_least(stable) + _unlabelled(stable)),
        )

    @property
    def difference(self) -> tuple[float, float]:
        """Candidate minus stable, within [−1, 1]."""
        if self.predictions == 0:
            return -1.0, 1.0
        low = (self.candidate_low - self.stable_high) / self.predictions
        return low, (self.candidate_high - self.stable_low) / self.predictions


def _least(arm: ArmLabels) -> float:
    return arm.losses.mean * arm.losses.count / arm.predictions if arm.losses.count else 0.0


def _unlabelled(arm: ArmLabels) -> float:
    return 1 - arm.losses.count / arm.predictions
