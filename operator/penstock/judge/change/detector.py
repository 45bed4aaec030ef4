"""e-detectors: evidence against "the mean score is at most the reference plus the tolerance", without a model of the
data.

For a score x in [0, 1] whose mean given the past is at most m, each factor `1 + λ (x/m - 1)` with 0 < λ <= 1 has a
mean of at most 1. The Shiryaev-Roberts recursion `M <- (1 + M)·factor` then keeps `M - steps` a supermartingale, so
the mean number of steps until `M >= A` is at least A, whatever the distribution and its dependence on the past. So
does every average: over bets λ, over both sides, over all features of a model. Source: Shin, Ramdas and Rinaldo, New
England J. Statist. Data Sci. 2 (2024), definition 2.2, theorem 2.4 and section 4 (bounded scores); averaging:
proposition 2.7.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from penstock.judge.change.side import Side

Vector = NDArray[np.float64]

BETS = tuple(2.0**-power for power in range(7, -1, -1))
"""λ from 1/128 to 1: small ones for rare or noisy scores, large ones for means of many rows."""

_BETS = np.array(BETS)
_SIDES = tuple(Side)


class Recursion(Enum):
    """What a step adds before betting: always a new start, or a new start only when the evidence is below one.

    Shiryaev-Roberts is never below CUSUM at the same threshold, so it alarms no later; CUSUM forgets the past wholly.
    """

    SHIRYAEV_ROBERTS = "shiryaev-roberts"
    CUSUM = "cusum"


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Value of the e-detector of every stream, side (above, below) and bet: shape (streams, 2, len(BETS))."""

    values: Vector

    @classmethod
    def none(cls, streams: int) -> Self:
        """The state at the start and after each alarm."""
        return cls(np.zeros((streams, len(_SIDES), len(BETS))))

    def of_streams(self) -> Vector:
        """e-detector of each stream, shape (streams,): the mean over sides and bets."""
        means: Vector = self.values.mean(axis=(1, 2))
        return means

    def of_model(self) -> float:
        """e-detector of the whole model: the mean over its streams."""
        return float(self.values.mean())

    def shares(self) -> Vector:
        """Share of each stream and side in the model's e-value, shape (streams, 2); all zero while there is no
        evidence."""
        sums = self.values.sum(axis=2)
        shares: Vector = sums / max(float(sums.sum()), np.finfo(np.float64).tiny)
        return shares


def advance(
    evidence: Evidence, scores: Vector, references: Vector, tolerances: Vector, recursion: Recursion
) -> Evidence:
    """One step. All vectors have shape (streams,); a NaN score is no observation and leaves its stream as it was.

    `references` and `tolerances` must be known before the step, `scores` lie in [0, 1]. Raises ValueError for a score
    outside, and for a reference outside [0, 1] or a tolerance such that "no change" would have mean zero.
    """
    towards = np.array([scores, 1 - scores]).T
    bound = np.minimum(1.0, np.array([references, 1 - references]).T + tolerances[:, None])
    if (towards < 0).any():
        raise ValueError("a score lies outside [0, 1]; refuse the observation before it gets here")
    if not ((references >= 0) & (references <= 1)).all():
        raise ValueError("a reference lies outside [0, 1]")
    if not (bound > 0).all():
        raise ValueError("a reference at the edge needs a tolerance above zero")
    before = evidence.values
    started = before + 1.0 if recursion is Recursion.SHIRYAEV_ROBERTS else np.maximum(1.0, before)
    factors = 1.0 + (towards / bound - 1.0)[:, :, None] * _BETS
    values = np.where(np.isnan(towards)[:, :, None], before, factors * started)
    values.flags.writeable = False
    return Evidence(values)


def threshold_for(alarm_every: float, step: float) -> float:
    """Threshold that gives at most one false alarm per `alarm_every` on average: the number of steps in it.

    Both in seconds. Raises ValueError unless there are at least two steps.
    """
    if not alarm_every >= 2 * step > 0:
        raise ValueError(f"alarmEvery {alarm_every} s must hold at least two steps of {step} s")
    return alarm_every / step
