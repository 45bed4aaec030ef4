"""What is known of one arm of an experiment: means over users with the variances of those means.

The unit is the user, counted once, in the arm of the first exposure, with the outcome of a window of fixed length after it.
Sums come in two forms: over single users (`UserMoments`), or in buckets of users by a hash (`UserBuckets`), where repeated
outcomes of a user need no memory of that user: a bucket's totals vary as its users do, so the spread of buckets around
their expected totals estimates the variance that users have, however often and unequally they come back.

A covariate known before exposure (most often the same outcome before it) sharpens the comparison (`adjusted`).
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from math import isfinite, nan
from sys import float_info

import numpy as np
from numpy.typing import NDArray

BUCKETS = 1024
"""Buckets per arm as the collector keeps them: the standard error is then known to about 2.2 %."""


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """Means over users of outcome and covariate, and the (co)variances of these means.

    `freedom`: degrees of freedom behind the variances. `scatter`, `skew`: sums of the squares and of the cubes of the
    outcome's deviations, per user or bucket of users.
    """

    users: int
    outcome: float
    covariate: float
    outcome_variance: float
    covariate_variance: float
    covariance: float
    freedom: float
    scatter: float
    skew: float

    @property
    def sound(self) -> bool:
        """Whether all numbers are numbers."""
        return all(isfinite(value) for value in astuple(self))


@dataclass(frozen=True, slots=True)
class ArmEstimate:
    """The mean outcome per user of an arm, its variance and the degrees of freedom behind it."""

    users: int
    mean: float
    variance: float
    freedom: float


@dataclass(frozen=True, slots=True)
class UserMoments:
    """Sums over users of outcome y (to the third power), covariate x (to the second) and their product."""

    users: int = 0
    outcome: float = 0.0
    outcome_sq: float = 0.0
    outcome_cube: float = 0.0
    covariate: float = 0.0
    covariate_sq: float = 0.0
    product: float = 0.0

    def plus(self, other: "UserMoments") -> "UserMoments":
        return UserMoments(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def summary(self) -> ArmSummary | None:
        """None before the second user, without whom there is no variance; not a number where no users have such sums."""
        n = self.users
        if n < 2:
            return None
        y, x = self.outcome / n, self.covariate / n
        scale = 1 / (n * (n - 1))
        scatter = _scatter(self.outcome_sq, n * y * y)
        return ArmSummary(
            n,
            y,
            x,
            scatter * scale,
            _scatter(self.covariate_sq, n * x * x) * scale,
            (self.product - n * x * y) * scale,
            n - 1.0,
            scatter,
            self.outcome_cube - 3 * y * self.outcome_sq + 2 * n * y**3,
        )


@dataclass(frozen=True, slots=True)
class UserBuckets:
    """Totals per bucket of users: number of users, sum of outcomes, sum of covariates; arrays of equal length."""

    users: NDArray[np.int64]
    outcome: NDArray[np.float64]
    covariate: NDArray[np.float64]

    def summary(self) -> ArmSummary | None:
        """None until two buckets have users in them."""
        filled = int((self.users > 0).sum())
        if filled < 2:
            return None
        n = int(self.users.sum())
        y, x = float(self.outcome.sum()) / n, float(self.covariate.sum()) / n
        outcome, covariate = self.outcome - y * self.users, self.covariate - x * self.users
        scale = filled / (filled - 1) / n**2
        return ArmSummary(
            n,
            y,
            x,
            float(outcome @ outcome) * scale,
            float(covariate @ covariate) * scale,
            float(outcome @ covariate) * scale,
            filled - 1.0,
            float(outcome @ outcome),
            float((outcome**3).sum()),
        )


def _scatter(squares: float, least: float) -> float:
    """Sum of squared deviations; rounding may leave it a hair below nothing, more is impossible.

    Squares that are too small for a float's full precision are rounded to a multiple of its smallest, not by their share.
    """
    return max(squares - least, 0.0) if squares - least >= -1e-9 * least - float_info.min else nan


def adjusted(arms: Sequence[ArmSummary]) -> tuple[ArmEstimate, ...]:
    """Mean outcomes as they would be had all arms the same mean covariate.

    One slope for all arms, pooled within arms, so that no effect enters it. A covariate without variance adjusts nothing.
    Source: Deng, Xu, Kohavi, Walker 2013 (CUPED); Lin 2013 for its validity without a linear model.
    """
    users = sum(arm.users for arm in arms)
    centre = sum(arm.users * arm.covariate for arm in arms) / users
    spread = sum(arm.users**2 * arm.covariate_variance for arm in arms)
    slope = sum(arm.users**2 * arm.covariance for arm in arms) / spread if spread > 0 else 0.0
    return tuple(
        ArmEstimate(
            arm.users,
            arm.outcome - slope * (arm.covariate - centre),
            max(arm.outcome_variance - 2 * slope * arm.covariance + slope**2 * arm.covariate_variance, 0.0),
            arm.freedom,
        )
        for arm in arms
    )


def effective_events(spans: Sequence[Sequence[ArmSummary]]) -> float:
    """How many events of a rare 0/1 outcome the smallest arm is worth, for the normal limit to hold.

    users/skewness² of the outcome, the skewness taken from the arm itself and from all arms together, whichever says
    less: for an outcome with a small rate it is the number of events; a few dominating users make it small, too. Spans
    are the stretches of constant shares, each with one summary per arm.
    """
    arms = [
        (sum(arm.users for arm in each), sum(arm.scatter for arm in each), sum(arm.skew for arm in each))
        for each in zip(*spans, strict=True)
    ]
    everyone = sum(users for users, _, _ in arms)
    shared = _per_skewness(everyone, sum(scatter for _, scatter, _ in arms), sum(skew for _, _, skew in arms))
    return float(min(min(_per_skewness(*arm), arm[0] / everyone * shared) for arm in arms))


def _per_skewness(users: float, scatter: float, skew: float) -> float:
    """users/skewness², at most users²."""
    if scatter <= 0:
        return 0.0
    return float(1 / max((skew / scatter**1.5) ** 2, users**-2))


def standardised(spans: Sequence[Sequence[ArmEstimate]]) -> tuple[ArmEstimate, ...]:
    """Arms over several spans of constant shares: each span weighs the same in every arm, by the users of all its arms.

    Pooling users instead would compare arms at different times once the shares had changed (Simpson).
    """
    weights = [sum(arm.users for arm in span) for span in spans]
    total = sum(weights)
    return tuple(
        ArmEstimate(
            sum(arm.users for arm in arms),
            sum(weight * arm.mean for weight, arm in zip(weights, arms, strict=True)) / total,
            sum(weight**2 * arm.variance for weight, arm in zip(weights, arms, strict=True)) / total**2,
            min(arm.freedom for arm in arms),
        )
        for arms in zip(*spans, strict=True)
    )
