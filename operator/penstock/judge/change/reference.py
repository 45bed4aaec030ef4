"""What a stream's mean score usually is at this hour of the week, learned from live traffic in the first two weeks.

Day 1 has only the training reference with a wide tolerance. Then the live mean takes over, flat or by hour of day,
still with the wide tolerance until a whole week was seen, and is learned anew every day from closed hours only, so
that it is known before the step it is used for. After two weeks the hour of the week joins in, and the reference
stays as it is. Of the periods on offer the one with the smallest tolerance is taken: with little traffic an hour of
the week has seen too few rows to be known well, and a coarser reference finds more.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from penstock.judge.change.tolerance import (
    PROVISIONAL,
    Tolerance,
    residual_swing,
    tolerance,
    widened,
)

Vector = NDArray[np.float64]

HOUR = 3600
DAY = 24 * HOUR
WEEK_HOURS = 168
KEPT_HOURS = 2 * WEEK_HOURS
PERIODS = (1, 24, WEEK_HOURS)
LEAST_HOURS = 12
LONGER_AHEAD = 1.5
"""The largest normal excursion of 90 days against that of 14, for memories of up to two days: (ln 45 / ln 7)^½ =
1.4."""


class Stage(Enum):
    """How much of the reference is live."""

    TRAINING = "training"
    FIRST_WEEK = "firstWeek"
    SECOND_WEEK = "secondWeek"
    LEARNED = "learned"


@dataclass(frozen=True, slots=True)
class Hour:
    """Steps observed in one hour (counted since the epoch) with the sum of their scores and of the squares."""

    index: int
    steps: int
    total: float
    squares: float


@dataclass(frozen=True, slots=True)
class Reference:
    """Usual mean score by hour (one, 24 or 168 values, hours counted since the epoch modulo their number), its
    tolerance, and the long-run variance of a step's score about it (0: not known yet)."""

    stage: Stage
    means: tuple[float, ...]
    tolerance: Tolerance
    noise: float

    def at(self, time: int) -> float:
        """Usual mean score at this time (seconds since the epoch, UTC)."""
        return self.means[time // HOUR % len(self.means)]


@dataclass(frozen=True, slots=True)
class Baseline:
    """A stream's reference and what it is being learned from (empty once learned). `started` is in seconds."""

    started: int
    reference: Reference
    closed: tuple[Hour, ...]
    current: Hour | None

    @classmethod
    def from_training(cls, training_mean: float, now: int) -> Self:
        """Start of learning: the training mean with the provisional tolerance.

        Raises ValueError for a mean outside [0, 1].
        """
        if not 0 <= training_mean <= 1:
            raise ValueError(f"the training mean {training_mean} must lie in [0, 1]")
        return cls(now, Reference(Stage.TRAINING, (training_mean,), PROVISIONAL, 0.0), (), None)


def advance(baseline: Baseline, time: int, previous: int, score: float | None, line: float) -> Baseline:
    """Learn from the step at `time` (after `previous`, both in seconds); read `reference` before this, never after.

    `line` is the log threshold of the detector. A learned baseline comes back unchanged.
    """
    if baseline.reference.stage is Stage.LEARNED:
        return baseline
    hour, current, closed = time // HOUR, baseline.current, baseline.closed
    if current is not None and current.index != hour:
        closed, current = (*closed, current)[-KEPT_HOURS:], None
    if score is not None:
        before = current or Hour(hour, 0, 0.0, 0.0)
        current = Hour(hour, before.steps + 1, before.total + score, before.squares + score * score)
    moved = replace(baseline, closed=closed, current=current)
    days = (time - baseline.started) // DAY
    if days == (previous - baseline.started) // DAY or days < 1:
        return moved
    reference = learn(closed, days, line)
    if reference is None:
        return moved
    if reference.stage is Stage.LEARNED:
        return Baseline(baseline.started, reference, (), None)
    return replace(moved, reference=reference)


def learn(closed: tuple[Hour, ...], days: int, line: float) -> Reference | None:
    """Reference from closed hours after this many whole days; None with fewer than half a day of them.

    `line` (nats) is the detector's log threshold: past hours must not have gained it more than half of that.
    """
    if len(closed) < LEAST_HOURS:
        return None
    usual_steps = np.median([hour.steps for hour in closed])
    hours = [hour for hour in closed if hour.steps >= usual_steps / 2]
    periods = PERIODS if days >= 14 else PERIODS[:2]
    learned = [found for period in periods if (found := _learn(hours, period, line)) is not None]
    if not learned:
        mean = float(np.mean([hour.total / hour.steps for hour in hours]))
        return Reference(Stage.FIRST_WEEK, (mean,), PROVISIONAL, 0.0)
    best = min(learned, key=lambda candidate: candidate.tolerance.value)
    if days < 7:
        return replace(best, stage=Stage.FIRST_WEEK, tolerance=widened(best.tolerance))
    return replace(best, stage=Stage.SECOND_WEEK if days < 14 else Stage.LEARNED)


def _learn(hours: list[Hour], period: int, line: float) -> Reference | None:
    """Reference of one period, or None when fewer than half of its cells were seen twice (the flat one: on two
    days)."""
    index = np.array([hour.index for hour in hours], dtype=np.int64)
    steps = np.array([hour.steps for hour in hours], dtype=np.float64)
    totals = np.array([hour.total for hour in hours])
    squares = np.array([hour.squares for hour in hours])
    means = totals / steps
    # A visit is what repeats independently: a whole day for the flat mean, else one hour of its cell.
    visit_means, visit_cells = _visits(index, means, period)
    cells, place = np.unique(visit_cells, return_inverse=True)
    seen = np.bincount(place)
    freedom = len(visit_means) - len(cells)
    if np.count_nonzero(seen >= 2) < max(1, period // 2):
        return None
    cell_means = np.bincount(place, visit_means) / seen
    visits = len(visit_means) / len(cells)
    between = float(np.sum((visit_means - cell_means[place]) ** 2)) / freedom
    usual = _filled(cells, cell_means, period, index, means)
    at_hours = usual[index % period]
    residuals = means - at_hours
    typical = float(np.median(steps))
    within = max(0.0, float(np.sum(squares - totals**2 / steps))) / max(1.0, float(np.sum(steps - 1)))
    spread = float(np.sum(residuals**2)) / max(1, len(hours) - len(cells))
    # As far as hours stray that were not learned from: the reference has its own error, and the coming months hold
    # worse.
    ahead = LONGER_AHEAD * ((visits + 1) / (visits - 1)) ** 0.5
    swing = residual_swing(ahead * residuals, at_hours, within, typical, line / 2)
    return Reference(
        Stage.LEARNED,
        tuple(usual.tolist()),
        tolerance(3 * (between / visits) ** 0.5, swing),
        max(within, typical * spread),
    )


def _visits(index: NDArray[np.int64], means: Vector, period: int) -> tuple[Vector, NDArray[np.int64]]:
    """Mean and cell of each visit."""
    if period > 1:
        return means, index % period
    _, day = np.unique((index - index[0]) // 24, return_inverse=True)
    return np.bincount(day, means) / np.bincount(day), np.zeros(int(day.max()) + 1, dtype=np.int64)


def _filled(
    cells: NDArray[np.int64], cell_means: Vector, period: int, index: NDArray[np.int64], means: Vector
) -> Vector:
    """Cell means with unseen cells filled from the same hour of other days, then from the overall mean."""
    usual = np.full(period, means.mean())
    of_day = index % 24
    for hour in np.unique(of_day) if period > 1 else ():
        usual[hour::24] = means[of_day == hour].mean()
    usual[cells] = cell_means
    return usual
