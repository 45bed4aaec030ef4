"""What a release is judged by: guardrails with their tolerances, and the two error rates. Frozen when a release starts."""

import math
from dataclasses import dataclass
from enum import StrEnum


class Arm(StrEnum):
    """The two sides of a release."""

    STABLE = "stable"
    CANDIDATE = "candidate"


class Unit(StrEnum):
    """What is counted as one independent piece of evidence for a guardrail."""

    REQUESTS = "Requests"
    """Each request, assigned at random by itself: exact whatever users do."""
    STRATA = "Strata"
    """Each stratum as a whole, beside each request: for quantities that come in bursts, latency above all."""
    USERS = "Users"
    """Each user once, at the first failure: for sticky releases, where users and not requests are assigned."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Harm is a candidate rate beyond both `ratio` times stable's rate and stable's rate plus `points`.

    Args:
        ratio: tolerated ratio of the two rates, at least 1.
        points: tolerated difference of the two rates, 0 ≤ points < 1; 0 leaves the ratio alone to decide; None stands
            for `auto`, the tightest difference that is decidable in time, measured before the release.
    """

    ratio: float = 1.5
    points: float | None = 0.01

    def __post_init__(self) -> None:
        if not 1.0 <= self.ratio <= 100.0:
            raise ValueError(f"tolerate.ratio is {self.ratio:g}; it must lie between 1 and 100")
        if self.points is not None and not 0.0 <= self.points < 1.0:
            raise ValueError(
                f"tolerate.points is {self.points:g}; it must be at least 0 and below 1 (write 1% as 0.01)"
            )


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One metric that a candidate must not worsen.

    Args:
        name: unique within the release.
        metric: the column of counts it reads: `failed`, `refused`, or `slow` (then the count named like the guardrail).
        tolerance: what is not yet harm.
        unit: what counts as one piece of evidence.
    """

    name: str
    metric: str = "failed"
    tolerance: Tolerance = Tolerance()
    unit: Unit = Unit.REQUESTS


@dataclass(frozen=True, slots=True)
class Criteria:
    """The contract of one release.

    Args:
        guardrails: at least one, names unique.
        false_rollback: most probability of rolling back a candidate within tolerance.
        missed_regression: most probability of promoting one beyond it.
        share: part of `false_rollback` that request evidence may spend, 0 < share ≤ 1 (see `budget`).
        deadline: seconds after which a release without a verdict is Inconclusive.
    """

    guardrails: tuple[Guardrail, ...] = (Guardrail("failed", "failed"), Guardrail("refused", "refused"))
    false_rollback: float = 0.01
    missed_regression: float = 0.01
    share: float = 1.0
    deadline: float = 86_400.0

    def __post_init__(self) -> None:
        names = [guardrail.name for guardrail in self.guardrails]
        if not names or len(set(names)) != len(names):
            raise ValueError("guardrails must be at least one, each with a name of its own")
        for field, value in (("falseRollback", self.false_rollback), ("missedRegression", self.missed_regression)):
            if not 0.0 < value < 0.5:
                raise ValueError(f"{field} is {value:g}; it must lie between 0 and 50 %")
        if not 0.0 < self.share <= 1.0:
            raise ValueError(f"the share of falseRollback is {self.share:g}; it must be above 0 and at most 1")
        if not self.deadline > 0.0:
            raise ValueError("the deadline must be positive")

    @property
    def rollback_threshold(self) -> float:
        """log 1/(share·α): where the mean e-value over the guardrails decides."""
        return -math.log(self.share * self.false_rollback)

    @property
    def promotion_threshold(self) -> float:
        """log 1/β: where each guardrail's e-value against harm decides."""
        return -math.log(self.missed_regression)
