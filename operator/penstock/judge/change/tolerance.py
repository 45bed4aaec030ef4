"""How far the mean may stray before it is a change, and the smallest change that is then found within a day.

Live traffic never equals its reference exactly: the reference has a sampling error, hours differ, days differ.
Without a tolerance a detector with a run length of 90 days alarms after hours to days on a service where nothing
happened.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from penstock.judge.change.detector import BETS

Vector = NDArray[np.float64]

FLOOR = 0.02
WIDE = 0.10


class Cause(Enum):
    """What sets the tolerance."""

    FLOOR = "floor"
    REFERENCE_ERROR = "referenceError"
    SWING = "swing"
    PROVISIONAL = "provisional"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Tolerated shift of the mean score, in score units, with its parts: three standard errors and residual swing."""

    value: float
    cause: Cause
    three_errors: float
    swing: float


PROVISIONAL = Tolerance(WIDE, Cause.PROVISIONAL, 0.0, 0.0)


def tolerance(three_errors: float, swing: float) -> Tolerance:
    """ε = max(0.02, three standard errors of the reference, residual swing)."""
    parts = ((FLOOR, Cause.FLOOR), (three_errors, Cause.REFERENCE_ERROR), (swing, Cause.SWING))
    value, cause = max(parts, key=lambda part: part[0])
    return Tolerance(value, cause, three_errors, swing)


def widened(learned: Tolerance) -> Tolerance:
    """A learned tolerance before a whole week was seen: not below the provisional one."""
    if learned.value >= WIDE:
        return learned
    return Tolerance(WIDE, Cause.PROVISIONAL, learned.three_errors, learned.swing)


def residual_swing(hourly: Vector, usual: Vector, noise: float, steps: float, allowance: float) -> float:
    """Smallest tolerance with which past hours would have gained no bet of the detector more than `allowance` nats.

    `hourly` are residuals of hourly means from the reference and `usual` the reference in those hours, both of shape
    (hours,) in time order; `noise` is the variance of a step's score within an hour, `steps` the number of steps in
    one. A bet λ gains about λ·excess/bound - (λ/bound)²·noise/2 a step.
    """
    bets = np.array(BETS)[:, None]

    def gain(excess: Vector, bound: Vector) -> float:
        stakes = bets / bound
        walk = np.cumsum(steps * (stakes * excess - stakes**2 * noise / 2), axis=1)
        return float(np.max(walk - np.minimum(0.0, np.minimum.accumulate(walk, axis=1))))

    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        worst = max(gain(hourly - middle, usual + middle), gain(-hourly - middle, 1 - usual + middle))
        low, high = (low, middle) if worst <= allowance else (middle, high)
    return high


def smallest_shift(
    reference: float, tolerated: float, noise: float, steps: float, threshold: float, streams: int
) -> float | None:
    """Smallest lasting shift of the mean score, from the reference, that e-SR finds within `steps` steps in about
    half of the cases; of both directions the harder one. None when no shift is.

    `noise` is the standard deviation of a step's score. The mean gain of each bet is taken for a score that is one
    standard deviation above or below its mean, each half of the time. `streams` is the number of streams the model
    averages over.
    """

    def found(usual: float, shift: float) -> bool:
        bound = min(1.0, usual + tolerated)
        scores = np.clip([usual + shift - noise, usual + shift + noise], 0.0, 1.0)
        factors = 1.0 + np.array(BETS)[:, None] * (scores / bound - 1.0)
        gains = np.log(np.maximum(factors, 1e-300)).mean(axis=1)
        # e-SR after n steps of constant gain g is the sum of exp(g j) over j = 1 … n.
        starts = np.arange(1, int(steps) + 1)
        evidence = np.exp(np.minimum(gains[:, None] * starts, 600.0)).sum()
        return bool(evidence >= threshold * len(BETS) * 2 * streams)

    def smallest(usual: float) -> float | None:
        low, high = 0.0, 1.0 - usual
        if not found(usual, high):
            return None
        for _ in range(20):
            middle = (low + high) / 2
            low, high = (low, middle) if found(usual, middle) else (middle, high)
        return high

    above, below = smallest(reference), smallest(1 - reference)
    return None if above is None or below is None else max(above, below)


def in_standard_deviations(rank_shift: float) -> float:
    """The shift of a normal feature, in its standard deviations, that moves its mean midrank by `rank_shift` (below
    1/2)."""
    return float(2**0.5 * ndtri(0.5 + min(rank_shift, 0.5)))
