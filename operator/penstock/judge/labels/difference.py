"""How far two arms differ in a bounded quantity, cohort by cohort, with an interval that is right at every look.

In each cohort both arms have their own, unknown mean; cohorts may differ as they like. The estimate is the mean of the
cohorts' differences, weighted by the smaller arm's rows. For rows that are independent given the past, and any guesses
ĉ, ŝ of the two means made before the cohort was seen,

    exp{ η·[u_c·Σ(x − μ_c) − u_s·Σ(y − μ_s)] − ψ(η·u_c)·Σ(x − ĉ)² − ψ(η·u_s)·Σ(y − ŝ)² },   ψ(λ) = −log(1 − λ) − λ,

with u_c = min(1, n_s/n_c) and u_s = min(1, n_c/n_s), has mean at most one for every η in [0, 1), and so has its mirror
image. As u_c·n_c = u_s·n_s = w, the bracket is w·(D − Δ) for the cohort's observed and true difference. The product over
cohorts, mixed over a grid of η, bounds the weighted mean of the Δ's on both sides, with three sums and one more per η.

Sources: the empirical-Bernstein inequality of Howard, Ramdas, McAuliffe, Sekhon 2021 (Theorem 4) and Waudby-Smith, Ramdas
2024 (section 3.2), after Fan, Grama, Liu 2015 (Eq. 4.11); here for two arms in strata.
"""

from dataclasses import dataclass, field
from math import log

import numpy as np
from scipy.optimize import brentq

from penstock.judge.labels.bets import log_mean
from penstock.judge.labels.moments import NO_ROWS, FloatArray, Moments, comparable

_RATES: FloatArray = 0.98 * np.exp2(-np.arange(10.0))
"""The grid of η."""


@dataclass(frozen=True, slots=True)
class StratifiedDifference:
    """Candidate minus stable: weighted sum of differences, weight, and the variance term of each η."""

    total: float = 0.0
    weight: int = 0
    variance: tuple[float, ...] = field(default=(0.0,) * len(_RATES))
    candidate: Moments = NO_ROWS
    stable: Moments = NO_ROWS

    def after(self, candidate: Moments, stable: Moments, expected: float) -> "StratifiedDifference":
        """With one more cohort; one that is not `comparable` tells nothing and changes nothing.

        `expected` is the mean of both arms before any row was seen; a bad guess widens the first cohort's share only.
        """
        if not comparable(candidate, stable):
            return self
        smaller = min(candidate.count, stable.count)
        spread = _penalty(_RATES * (smaller / candidate.count)) * candidate.scatter(self.candidate.guess(expected))
        spread = spread + _penalty(_RATES * (smaller / stable.count)) * stable.scatter(self.stable.guess(expected))
        return StratifiedDifference(
            self.total + smaller * (candidate.mean - stable.mean),
            self.weight + smaller,
            tuple((np.array(self.variance) + spread).tolist()),
            self.candidate.plus(candidate),
            self.stable.plus(stable),
        )

    @property
    def estimate(self) -> float:
        """The weighted mean difference of at least one cohort."""
        return self.total / self.weight

    def log_evidence_above(self, null: float) -> float:
        """log e-value against "the weighted mean difference is at most `null`"."""
        return log_mean(_RATES * (self.total - self.weight * null) - np.array(self.variance))

    def interval(self, alpha: float) -> tuple[float, float]:
        """For the weighted mean difference, within [−1, 1]; each side errs with probability at most alpha/2, ever."""
        if self.weight == 0:
            return -1.0, 1.0
        radius = self._radius(log(2 / alpha)) / self.weight
        return max(-1.0, self.estimate - radius), min(1.0, self.estimate + radius)

    def _radius(self, threshold: float) -> float:
        variance = np.array(self.variance)
        nearest = float(np.min((threshold + variance) / _RATES))
        farthest = float(np.min((threshold + log(len(_RATES)) + variance) / _RATES))
        return float(brentq(lambda z: log_mean(_RATES * z - variance) - threshold, nearest, farthest))


def _penalty(rates: FloatArray) -> FloatArray:
    return -np.log1p(-rates) - rates
