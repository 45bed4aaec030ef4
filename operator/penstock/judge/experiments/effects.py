"""The effect of one arm against another: absolute or relative, with what an always-valid interval needs."""

from dataclasses import dataclass
from enum import StrEnum
from math import sqrt

from penstock.judge.experiments import anytime
from penstock.judge.experiments.arms import ArmEstimate


class Scale(StrEnum):
    """In which unit an effect is stated."""

    ABSOLUTE = "Absolute"
    """Difference of the means per user."""
    RELATIVE = "Relative"
    """That difference as a share of the baseline's mean."""


class Inference(StrEnum):
    """By which mixture (`anytime`)."""

    STUDENT = "Student"
    ASYMPTOTIC = "Asymptotic"


@dataclass(frozen=True, slots=True)
class Effect:
    """Arm minus baseline. `users` of both arms together; `freedom` by Welch and Satterthwaite."""

    estimate: float
    standard_error: float
    users: int
    freedom: float

    def interval(self, alpha: float, planned: float, inference: Inference) -> tuple[float, float]:
        """Confidence sequence, narrowest after `planned` users of both arms."""
        rho = anytime.tuned_rho(planned, alpha)
        if inference is Inference.STUDENT:
            radius = anytime.t_radius(self.standard_error, self.users, self.freedom, alpha, rho**-2)
        else:
            radius = anytime.radius(self.standard_error, self.users, alpha, rho)
        return self.estimate - radius, self.estimate + radius

    def log_evidence(self, alpha: float, planned: float, inference: Inference) -> float:
        """log e-value against no effect, of the same mixture as `interval`."""
        rho = anytime.tuned_rho(planned, alpha)
        if inference is Inference.STUDENT:
            return anytime.t_log_evidence(self.estimate, self.standard_error, self.users, self.freedom, rho**-2)
        return anytime.log_evidence(self.estimate, self.standard_error, self.users, rho)


def effect(baseline: ArmEstimate, arm: ArmEstimate, scale: Scale) -> Effect | None:
    """None where it is not defined: no variance at all, or a relative effect on a baseline that is not positive.

    Relative effects by the delta method; they need a baseline far from 0 (in standard errors).
    """
    variance = baseline.variance + arm.variance
    if variance <= 0 or (scale is Scale.RELATIVE and baseline.mean <= 0):
        return None
    freedom = variance**2 / (baseline.variance**2 / baseline.freedom + arm.variance**2 / arm.freedom)
    users = baseline.users + arm.users
    difference = arm.mean - baseline.mean
    if scale is Scale.ABSOLUTE:
        return Effect(difference, sqrt(variance), users, freedom)
    spread = arm.variance / baseline.mean**2 + baseline.variance * arm.mean**2 / baseline.mean**4
    return Effect(difference / baseline.mean, sqrt(spread), users, freedom)
