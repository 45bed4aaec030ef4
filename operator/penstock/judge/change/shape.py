"""Did the mean jump or creep, and since when?

Generalised likelihood ratios of a step and of a ramp over every possible onset, on normal residuals with an unknown
but small offset before the change (a tolerated one: the residual's mean was never exactly zero). Both shapes have the
same number of parameters, so the difference of their maxima stands for a log Bayes factor. At the moment of an alarm
the shapes look alike; the class is provisional until four times the delay from onset to alarm has passed. Source:
Siegmund and Venkatraman, Ann. Statist. 23 (1995) for the step; the ramp by the same projection; see the statistics
page.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from penstock.judge.change.history import Blocks
from penstock.judge.change.side import Side

DECISIVE_NATS = 2.0
SETTLING = 4


class Shape(Enum):
    """How the mean moved."""

    STEP = "step"
    RAMP = "ramp"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True, slots=True)
class Fit:
    """Log likelihood ratio of the best onset against no change, in nats, and that onset's age in steps."""

    nats: float
    age: float


@dataclass(frozen=True, slots=True)
class Shapes:
    """The best step and the best ramp."""

    step: Fit
    ramp: Fit

    @property
    def lead(self) -> float:
        """Nats by which the step is ahead of the ramp (negative: behind)."""
        return self.step.nats - self.ramp.nats

    @property
    def shape(self) -> Shape:
        """The shape that is ahead by more than two nats, if one is."""
        if abs(self.lead) <= DECISIVE_NATS:
            return Shape.UNDETERMINED
        return Shape.STEP if self.lead > 0 else Shape.RAMP

    @property
    def earliest_age(self) -> float:
        """Age of the earlier of both onsets, in steps."""
        return max(self.step.age, self.ramp.age)

    @property
    def age(self) -> float:
        """Age of the onset of the shape found; of the earlier one while undetermined."""
        ages = {Shape.STEP: self.step.age, Shape.RAMP: self.ramp.age, Shape.UNDETERMINED: self.earliest_age}
        return ages[self.shape]


def fit(past: Blocks, side: Side, noise: float, offset: float) -> Shapes:
    """Best step and best ramp towards `side` over all onsets at block borders.

    `noise` is the variance of a step's residual, `offset` the standard deviation of its tolerated mean before the
    change. For a regressor c and residuals y with covariance noise·I + offset²·11ᵀ the ratio is (cᵀV⁻¹y)² / (2
    cᵀV⁻¹c); with offset = 0 that is the classical form. Raises ValueError without blocks or unless noise > 0.
    """
    if not (len(past.width) and noise > 0):
        raise ValueError("shapes need a history and noise above zero")
    starts = np.concatenate([[0.0], np.cumsum(past.width)[:-1]])
    middles = starts + (past.width - 1) / 2
    count, first, second = (np.cumsum((past.observed * middles**power)[::-1])[::-1] for power in (0, 1, 2))
    total, moment = (np.cumsum((past.total * middles**power)[::-1])[::-1] for power in (0, 1))
    shrink = offset**2 / (noise + offset**2 * count[0])
    # The ramp has height 1 at its first step, so the onset's own step carries information too.
    before = starts - 1
    step = _nats(side.sign * (total - shrink * count * total[0]), count - shrink * count**2, noise)
    rise = first - before * count
    ramp = _nats(
        side.sign * (moment - before * total - shrink * rise * total[0]),
        second - 2 * before * first + before**2 * count - shrink * rise**2,
        noise,
    )
    ages = past.width.sum() - starts
    at_step, at_ramp = int(np.argmax(step)), int(np.argmax(ramp))
    return Shapes(Fit(float(step[at_step]), float(ages[at_step])), Fit(float(ramp[at_ramp]), float(ages[at_ramp])))


def _nats(projection: np.ndarray, information: np.ndarray, noise: float) -> np.ndarray:
    usable = (projection > 0) & (information > 1e-9)
    return np.where(usable, projection**2 / (2 * noise * np.where(usable, information, 1.0)), 0.0)
