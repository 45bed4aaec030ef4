"""One recursion for every e-process here: a mixture over alternatives and over the time at which harm began.

For alternative j with prior π_j and factor L_j of the newest stratum (mean at most 1 under the null, given the past),

    R_j ← (R_j + w)·L_j,        E = Σ_j π_j R_j,

where w ≥ 0 is fixed before the stratum's outcomes are seen and all w sum to at most 1. E equals the mixture, with weights
w, of e-processes that start at each stratum; so E is an e-process for "never harmful yet", and it finds harm that begins
late as fast as log(1/w) more nats allow. Source: Shiryaev-Roberts with a spending sequence; reference review-ml finding 3.
"""

import math
from dataclasses import dataclass
from operator import mul

START = 0.7
"""Weight of harm from the first stratum on."""

BY_TIME = 0.15
"""Weight spent evenly over the time up to the deadline."""

BY_TRAFFIC = 0.15
"""Weight spent over total requests, slower and slower, never used up."""

SCALE = 500.0
"""Requests within which the first half of `BY_TRAFFIC` is spent."""

CAP = 1e250
"""An e-value above this decides all the same; kept finite."""


@dataclass(frozen=True, slots=True)
class Spending:
    """How much of the weight is spent: seconds and total requests seen so far."""

    elapsed: float = 0.0
    requests: int = 0

    def advance(self, elapsed: float, requests: int, deadline: float) -> tuple["Spending", float]:
        """The weight for a stratum that ends `elapsed` seconds into the release with `requests` requests seen in all.

        Both are known without any outcome. Returns the new state and w.
        """
        weight = START if self.requests == 0 else 0.0
        clock = min(max(elapsed, self.elapsed), deadline)
        weight += BY_TIME * (clock - self.elapsed) / deadline
        weight += BY_TRAFFIC * (_left(self.requests) - _left(requests))
        return Spending(clock, requests), weight


def _left(requests: int) -> float:
    """Share of `BY_TRAFFIC` that is unspent after so many requests: 1 at 0, falling like 1/log."""
    return 1.0 / (1.0 + math.log1p(requests / SCALE))


def restart(values: list[float], weight: float, log_factors: list[float]) -> list[float]:
    """One step of the recursion for each alternative; values stay within [0, CAP]."""
    return [
        grown if (grown := (value + weight) * math.exp(log_factor if log_factor < 600.0 else 600.0)) < CAP else CAP
        for value, log_factor in zip(values, log_factors, strict=True)
    ]


def mean(values: list[float], prior: tuple[float, ...]) -> float:
    """Σ π_j R_j."""
    total: float = sum(map(mul, values, prior))
    return total
