"""The interval for the harm that is shown beside a verdict: the difference of the two rates, valid at every look.

Differences are taken within strata and weighted as Mantel and Haenszel do (S = Σ (x_c n_s − x_s n_c)/N, W = Σ n_c n_s/N),
so that a rate that moves with the weight does not bias them. The width is the normal mixture's with the summed variance
put in: an asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, arXiv 2103.06476). It is shown,
and bounds the exposure of the next step; it never promotes or rolls back.
"""

import math
from dataclasses import dataclass

TUNED = 20.0
"""Variance, in events, at which the sequence is narrowest."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Running sums for the stratified difference of rates: S, W and the variance of S."""

    total: float = 0.0
    weight: float = 0.0
    variance: float = 0.0

    def after(self, candidate: int, stable: int, candidate_events: int, stable_events: int) -> "Difference":
        """The sums with one more stratum."""
        requests = candidate + stable
        weight = candidate * stable / requests
        pooled = (candidate_events + stable_events + 0.01) / (requests + 1.0)
        return Difference(
            self.total + (candidate_events * stable - stable_events * candidate) / requests,
            self.weight + weight,
            self.variance + weight * pooled * (1.0 - pooled),
        )

    def interval(self, alpha: float) -> tuple[float, float]:
        """Lower and upper limit of candidate rate − stable rate, each within [−1, 1], at error `alpha` over all looks."""
        if self.weight <= 0.0:
            return -1.0, 1.0
        estimate = self.total / self.weight
        variance = self.variance + 1.0
        radius = math.sqrt((variance + TUNED) * math.log((variance + TUNED) / (TUNED * alpha * alpha))) / self.weight
        return max(-1.0, estimate - radius), min(1.0, estimate + radius)
