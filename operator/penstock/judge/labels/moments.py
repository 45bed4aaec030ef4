"""Sums of losses in [0, 1], and what a bettor is sure to have earned on them item by item.

The collector reports, per arm and cohort, the number of labelled rows, the sum of their losses and the sum of squares.
The capital of a bettor who stakes λ on every single row, Π (1 + λ(x_i − m)), is not a function of these sums, except for
0/1 losses. But among all samples in [0, 1] with the same three sums it is least for the one whose rows are either 0 or
y = Σx²/Σx, because q(x) ≤ log(1 + λ(x − m)) for the parabola q that meets the logarithm at 0 and touches it at y: their
difference is f'''(ξ)·x·(x − y)²/6 with f''' = 2λ³/(1 + λ(ξ − m))³ > 0. That least capital is what `log_growth` returns. It
is below a capital whose mean is at most one, so it is an e-value itself; for 0/1 losses it is the capital exactly.

Sources: Waudby-Smith, Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86(1), 2024 (arXiv
2010.09686), for the capital; Krein, Nudelman 1977 and Karlin, Studden 1966 for extremal samples with given moments.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

GRAIN = 2**40
"""Sums are kept as whole numbers of 1/GRAIN, so that they do not depend on the order or the packing of the rows."""

_PRIOR_ROWS = 10
"""Rows that an expectation counts for in a guess."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, sum and sum of squares (both in grains) of losses in [0, 1]."""

    count: int = 0
    total: int = 0
    squares: int = 0

    @classmethod
    def of(cls, count: int, total: float, squares: float) -> "Moments":
        """From the reported sums, in the unit of the loss and its square."""
        return cls(count, round(total * GRAIN), round(squares * GRAIN))

    def plus(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares)

    def mirrored(self) -> "Moments":
        """The same for 1 − x."""
        ones = self.count * GRAIN
        return Moments(self.count, ones - self.total, ones - 2 * self.total + self.squares)

    @property
    def mean(self) -> float:
        """Of at least one row."""
        return self.total / (GRAIN * self.count)

    def guess(self, expected: float) -> float:
        """A guess of the mean from these rows, and from `expected` while they are few."""
        return (self.total / GRAIN + _PRIOR_ROWS * expected) / (self.count + _PRIOR_ROWS)

    def scatter(self, centre: float) -> float:
        """Σ (x − centre)²."""
        return (self.squares - 2 * centre * self.total) / GRAIN + self.count * centre * centre

    def log_growth(self, bets: FloatArray, null: float) -> FloatArray:
        """Least log Π (1 + bet·(x − null)) over the samples with these sums, for each bet in [0, 1/null)."""
        idle = np.log1p(-bets * null)
        # Rounding to grains may leave a sum of squares of nothing, or break Cauchy and Schwarz's inequality, in the last
        # digit; both readings below stay on the safe side.
        if self.total <= 0 or self.squares <= 0:
            return self.count * idle
        value = self.squares / self.total
        rows = min(self.total / self.squares * self.total / GRAIN, float(self.count))
        return (self.count - rows) * idle + rows * np.log1p(bets * (value - null))


NO_ROWS = Moments()

FEWEST_ROWS = 10
"""Rows of both arms below which a cohort is left out: with rows taken as given and only their assignment as chance, the
arms of a tiny cohort are not independent (measured at alpha 10 %: 24 % of false findings for 2 rows, 6 % for 10)."""


def comparable(candidate: Moments, stable: Moments) -> bool:
    """Whether a cohort compares its arms at all; decided by counts alone."""
    return min(candidate.count, stable.count) > 0 and candidate.count + stable.count >= FEWEST_ROWS
