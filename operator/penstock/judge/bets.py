"""2×2 e-variables for a straight boundary θ_candidate = slope·θ_stable + points.

For a null that is a half-plane bounded by that line, any point (t, u) on the line and any bets with

    n_stable·g_stable = −slope·n_candidate·g_candidate

give a valid factor  Π (1 + g_arm·(y − point_arm))  over the requests of both arms: its mean is a product of functions
linear in the true rates, so its logarithm is concave in them, with a gradient at (t, u) that is normal to the line; it is
at most 0 on the whole null. Harm (null: below the line) bets on candidate failures, g_candidate > 0; promotion (null:
above the line) bets on candidate successes, g_candidate < 0. Point and bets are best when (t, u) is the Kullback-Leibler
projection of an expected alternative on the line: Turner, Ly and Grünwald 2024 (arXiv 2106.02693), Turner and Grünwald
2023 (arXiv 2203.09785). Estimates from the past enter the choice only; they cost power when wrong, never validity.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from math import log1p
from typing import NamedTuple


class Line(NamedTuple):
    """θ_candidate = slope·θ_stable + points, with slope ≥ 1 and 0 ≤ points < 1."""

    slope: float
    points: float


@dataclass(frozen=True, slots=True)
class Bet:
    """A point on the line and the stake on one candidate request."""

    stable_point: float
    candidate_point: float
    stake: float


HARM = (1.6, 3.0, 8.0, 60.0, 1500.0)
"""Odds of the candidate's failures over those on the line, for the alternatives of harm."""

HARM_PRIOR = (0.2, 0.2, 0.2, 0.2, 0.2)

HEALTH = (0.5, 1.0)
"""Candidate's rate over stable's, for the alternatives of promotion."""

HEALTH_PRIOR = (0.3, 0.7)

GRAIN = 8
"""Buckets per factor e in which a base rate, and the odds of a share, are rounded so that bets can be remembered."""

STAKED = 0.9
"""Most of the capital that a hedge may lose on one request."""

_LOWEST, _HIGHEST = 1e-7, 0.98


class Expected(NamedTuple):
    """What is expected of a stratum, rounded so that bets can be remembered: stable's rate and the odds of the share."""

    base: int
    odds: int

    @classmethod
    def of(cls, base: float, share: float) -> "Expected":
        """For a stable rate `base` and a candidate share `share` of the requests, 0 < share < 1."""
        return cls(_bucket(base), _bucket(share / (1.0 - share)))


@lru_cache(maxsize=16_384)
def harm_bets(line: Line, expected: Expected) -> tuple[Bet, ...]:
    """Bets for each alternative of `HARM`."""
    stable = min(_unbucket(expected.base), _HIGHEST)
    edge = min(line.slope * stable + line.points, _HIGHEST)
    bets = []
    for alternative in HARM:
        candidate_odds = alternative * edge / (1.0 - edge)
        candidate = min(candidate_odds / (1.0 + candidate_odds), 0.9995)
        bet = _bet(line, stable, candidate, _unbucket(expected.odds))
        # where the line has run into 1 an alternative can lie below it: no bet, as a bet on health would not be valid here
        bets.append(bet if bet.stake > 0.0 else Bet(bet.stable_point, bet.candidate_point, 0.0))
    return tuple(bets)


@lru_cache(maxsize=16_384)
def health_bets(line: Line, expected: Expected) -> tuple[Bet, ...]:
    """Bets for each alternative of `HEALTH`."""
    stable, odds = min(_unbucket(expected.base), _HIGHEST), _unbucket(expected.odds)
    return tuple(_bet(line, stable, min(stable * factor, _HIGHEST), odds) for factor in HEALTH)


def log_factors(bets: tuple[Bet, ...], slope: float, cell: tuple[int, int, int, int]) -> list[float]:
    """log of each bet's factor for one stratum.

    `cell`: requests of candidate and stable, both at least 1, then events of candidate and stable.
    """
    candidate, stable, candidate_events, stable_events = cell
    candidate_good, stable_good = candidate - candidate_events, stable - stable_events
    hedging = -slope * candidate / stable
    logs = []
    for bet in bets:
        stake, t, u = bet.stake, bet.stable_point, bet.candidate_point
        hedge = hedging * stake
        worst = -STAKED / (1.0 - t) if hedge < 0.0 else STAKED / t
        if abs(hedge) > abs(worst):
            stake *= worst / hedge
            hedge = worst
        log = stable_good * log1p(-hedge * t) + candidate_good * log1p(-stake * u)
        if stable_events:
            log += stable_events * log1p(hedge - hedge * t)
        if candidate_events:
            log += candidate_events * log1p(stake - stake * u)
        logs.append(log)
    return logs


def growth(bet: Bet, slope: float, share: float, stable_rate: float, candidate_rate: float) -> float:
    """Expected log factor per request of both arms, at the given true rates and candidate share."""
    hedging = -slope * share / (1.0 - share)
    stake, t, u = bet.stake, bet.stable_point, bet.candidate_point
    hedge = hedging * stake
    worst = -STAKED / (1.0 - t) if hedge < 0.0 else STAKED / t
    if hedge / worst > 1.0:
        stake *= worst / hedge
        hedge = worst
    stable = stable_rate * log1p(hedge * (1.0 - t)) + (1.0 - stable_rate) * log1p(-hedge * t)
    candidate = candidate_rate * log1p(stake * (1.0 - u)) + (1.0 - candidate_rate) * log1p(-stake * u)
    return (1.0 - share) * stable + share * candidate


def _bucket(value: float) -> int:
    return round(GRAIN * math.log(min(max(value, _LOWEST), 1.0 / _LOWEST)))


def _unbucket(bucket: int) -> float:
    return math.exp(bucket / GRAIN)


def _bet(line: Line, stable: float, candidate: float, odds: float) -> Bet:
    """Project (stable, candidate) on the line, with `odds` candidate requests per stable one."""
    low, high = 0.0, min(1.0, (1.0 - line.points) / line.slope)
    low, high = low + 1e-12, high - 1e-12
    for _ in range(80):
        t = 0.5 * (low + high)
        u = line.slope * t + line.points
        slope = (t - stable) / (t * (1.0 - t)) + line.slope * odds * (u - candidate) / (u * (1.0 - u))
        if slope > 0.0:
            high = t
        else:
            low = t
    t = 0.5 * (low + high)
    u = line.slope * t + line.points
    return Bet(t, u, (candidate - u) / (u * (1.0 - u)))
