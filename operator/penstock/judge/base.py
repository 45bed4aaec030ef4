"""Stable's rate as known from the past: an estimate to bet with, and a bound to shift the tolerated odds ratio by."""

import math
from dataclasses import dataclass

HORIZONS = (2_000.0, 50_000.0)
"""Stable requests after which older ones fade, so that an incident and a quiet week are both seen."""

PRIOR_REQUESTS = 50.0
PRIOR_EVENTS = 0.5
QUANTILE = 1.64


@dataclass(frozen=True, slots=True)
class BaseRate:
    """Faded counts of stable's requests and events, one pair per horizon."""

    recent_requests: float = 0.0
    recent_events: float = 0.0
    long_requests: float = 0.0
    long_events: float = 0.0

    def after(self, requests: int, events: int) -> "BaseRate":
        """The state once a stratum of stable's requests and events has been seen."""
        if requests == 0:
            return self
        recent, recent_part = _fading(requests / HORIZONS[0])
        long, long_part = _fading(requests / HORIZONS[1])
        return BaseRate(
            self.recent_requests * recent + requests * recent_part,
            self.recent_events * recent + events * recent_part,
            self.long_requests * long + requests * long_part,
            self.long_events * long + events * long_part,
        )

    @property
    def estimate(self) -> float:
        """The long horizon's rate, drawn towards 1 % while there is little data."""
        return (self.long_events + PRIOR_EVENTS) / (self.long_requests + PRIOR_REQUESTS)

    @property
    def upper(self) -> float:
        """A bound on the rate: the higher of both horizons, each with a margin of 1.64 standard deviations.

        A handful of assumed requests keeps the first strata of a release usable.
        """
        return max(
            _upper(self.recent_requests, self.recent_events),
            _upper(self.long_requests, self.long_events),
        )


def _upper(requests: float, events: float) -> float:
    return min(1.0, (events + 1.0 + QUANTILE * math.sqrt(events + 1.0)) / (requests + 12.0))


def _fading(length: float) -> tuple[float, float]:
    """What is left of older counts after `length` horizons, and of the new ones, which fade while they come in."""
    return math.exp(-length), -math.expm1(-length) / length
