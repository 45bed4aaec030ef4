"""The evidence of many simulated releases at once: the judge's formulas over arrays, one entry per release.

Everything that is chosen (bets, alternatives, priors, tolerated odds, spending, lines) is the judge's own; only sums over
strata are taken for all releases together. A test holds every number here against `judge.guardrail`, stratum by stratum.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.cli.planning.choices import Floats, harm_choices, health_choices
from penstock.judge import bets, guardrail, ratio, restarts, signs
from penstock.judge.base import BaseRate
from penstock.judge.criteria import Unit
from penstock.judge.interval import Difference

Whole = NDArray[np.int64]

CHUNK = 200
"""Differences between strata that are standardised at once: few enough for 0.95^−n to stay an ordinary number."""


@dataclass(frozen=True, slots=True)
class Rail:
    """One guardrail of a simulated release, every number of it resolved.

    Args:
        name: for reports.
        ratio: tolerated ratio of rates.
        points: tolerated difference of rates, `auto` resolved.
        unit: what counts as one piece of evidence, requests or strata.
        stable: probability that a request of stable counts.
        candidate: the same for the candidate.
    """

    name: str
    ratio: float
    points: float
    unit: Unit
    stable: float
    candidate: float


class Counts(NamedTuple):
    """One block of strata of every release: requests and events of both arms, shape (releases,) each."""

    candidate: Whole
    stable: Whole
    candidate_events: Whole
    stable_events: Whole


@dataclass(slots=True, eq=False)
class Cohort:
    """The evidence of one guardrail in `releases` releases; arrays have shape (releases,) or (releases, alternatives)."""

    rail: Rail
    releases: int
    split_harm: Floats = field(init=False)
    ratio_harm: Floats = field(init=False)
    points_harm: Floats = field(init=False)
    signs_harm: Floats = field(init=False)
    ratio_health: Floats = field(init=False)
    points_health: Floats = field(init=False)
    signs_health: Floats = field(init=False)
    scale: Floats = field(init=False)
    base: list[BaseRate] = field(init=False)
    difference: list[Difference] = field(init=False)

    def __post_init__(self) -> None:
        n = self.releases
        self.split_harm = np.zeros((n, len(ratio.ALTERNATIVES)))
        self.ratio_harm, self.points_harm = np.zeros((n, len(bets.HARM))), np.zeros((n, len(bets.HARM)))
        self.ratio_health, self.points_health = np.zeros((n, len(bets.HEALTH))), np.zeros((n, len(bets.HEALTH)))
        self.signs_harm, self.signs_health = np.zeros((n, len(signs.BETS))), np.zeros((n, len(signs.BETS)))
        self.scale = np.zeros(n)
        self.base, self.difference = [BaseRate()] * n, [Difference()] * n

    def observe_health(self, counts: Counts, both: NDArray[np.bool_]) -> None:
        """Add a block to the evidence that harm is excluded, where `both` arms have requests."""
        rail = self.rail
        estimate, share = self.estimate(), _share(counts)
        line = bets.Line(rail.ratio, 0.0)
        self.ratio_health += _log_factors(health_choices(line).of(estimate, share), rail.ratio, counts, both)
        if rail.points > 0.0:
            line = bets.Line(1.0, rail.points)
            self.points_health += _log_factors(health_choices(line).of(estimate, share), 1.0, counts, both)
        for i, *cell in zip(np.flatnonzero(both).tolist(), *(column[both].tolist() for column in counts), strict=True):
            self.difference[i] = self.difference[i].after(*cell)

    def observe_harm(self, counts: Counts, both: NDArray[np.bool_], weight: Floats) -> None:
        """Add a block to the evidence of harm, `weight` being that of harm that begins with it."""
        rail = self.rail
        factors = np.zeros_like(self.split_harm)
        for i in np.flatnonzero(both & (counts.candidate_events + counts.stable_events > 0)).tolist():
            psi = ratio.tolerated_odds_ratio(rail.ratio, self.base[i].upper)
            factors[i] = ratio.log_factors(
                int(counts.candidate[i]),
                int(counts.stable[i]),
                int(counts.candidate_events[i]),
                int(counts.stable_events[i]),
                psi,
            )
        self.split_harm = _restart(self.split_harm, both, weight, factors)
        estimate, share = self.estimate(), _share(counts)
        if rail.ratio > 1.0:
            chosen = harm_choices(bets.Line(rail.ratio, 0.0)).of(estimate, share)
            self.ratio_harm = _restart(self.ratio_harm, both, weight, _log_factors(chosen, rail.ratio, counts, both))
        if rail.points > 0.0:
            chosen = harm_choices(bets.Line(1.0, rail.points)).of(estimate, share)
            self.points_harm = _restart(self.points_harm, both, weight, _log_factors(chosen, 1.0, counts, both))

    def observe_signs(self, differences: Floats, halved: NDArray[np.bool_], weight: Floats) -> None:
        """Add the differences between strata, shape (releases, strata), NaN where a release has no more of them.

        They are candidate rate − tolerated rate. `halved` says where the candidate has half of the traffic: only there
        do they count for a promotion.
        """
        total, square = np.zeros(self.releases), np.zeros(self.releases)
        for first in range(0, differences.shape[1], CHUNK):
            standardised = self._standardise(differences[:, first : first + CHUNK])
            total += standardised.sum(axis=1)
            square += (standardised * standardised).sum(axis=1)
        stakes = np.array(signs.BETS)
        factors = total[:, None] * stakes - 0.5 * square[:, None] * stakes**2
        seen = np.asarray(np.isfinite(differences).any(axis=1))
        self.signs_harm = _restart(self.signs_harm, seen, weight, factors)
        self.signs_health += np.where((halved & seen)[:, None], factors - 2.0 * total[:, None] * stakes, 0.0)

    def _standardise(self, differences: Floats) -> Floats:
        """Differences over the scale known before each, 0 where there is none; the scale moves on.

        `signs.next_scale` is a recursion v ← 0.95·v + u; so v after k differences is 0.95^k (v + Σ 0.95^−(j+1) u_j).
        """
        order = np.argsort(np.isnan(differences), axis=1, kind="stable")
        values = np.nan_to_num(np.take_along_axis(differences, order, axis=1))
        known = np.isfinite(differences).sum(axis=1)
        squares = values * values
        entering = (1.0 - signs.MEMORY) * squares
        unscaled = np.flatnonzero((self.scale <= 0.0) & (squares > 0.0).any(axis=1))
        first = np.argmax(squares[unscaled] > 0.0, axis=1)
        entering[unscaled, first] = squares[unscaled, first]
        powers = signs.MEMORY ** np.arange(values.shape[1] + 1)
        sums = np.cumsum(entering / powers[1:], axis=1)
        variance = powers * (self.scale[:, None] ** 2 + np.concatenate((np.zeros((self.releases, 1)), sums), axis=1))
        self.scale = np.sqrt(np.take_along_axis(variance, known[:, None], axis=1)[:, 0])
        before = np.sqrt(variance[:, :-1])
        standardised = np.divide(values, before, out=np.zeros_like(values), where=before > 0.0)
        return np.clip(standardised, -signs.FARTHEST, signs.FARTHEST)

    def observe_stable(self, requests: Whole, events: Whole) -> None:
        """Learn stable's rate from a block, after its evidence has been weighed."""
        self.base = [
            known.after(*counts) for known, *counts in zip(self.base, requests.tolist(), events.tolist(), strict=True)
        ]

    def estimate(self) -> Floats:
        """Stable's rate to bet with."""
        return np.array([known.estimate for known in self.base])

    def log_harm(self) -> Floats:
        """log of the e-value for harm; −inf before the first stratum."""
        values = [self.split_harm @ np.array(ratio.PRIOR)]
        if self.rail.ratio > 1.0:
            values.append(self.ratio_harm @ np.array(bets.HARM_PRIOR))
        if self.rail.points > 0.0:
            values.append(self.points_harm @ np.array(bets.HARM_PRIOR))
        if self.rail.unit is Unit.STRATA:
            values.append(self.signs_harm @ np.array(signs.PRIOR))
        with np.errstate(divide="ignore"):
            found: Floats = np.maximum(guardrail.LOWEST, np.log(np.min(values, axis=0)))
        return found

    def log_health(self) -> Floats:
        """log of the e-value against harm."""
        margins = [_log_mean(self.ratio_health, bets.HEALTH_PRIOR)]
        if self.rail.points > 0.0:
            margins.append(_log_mean(self.points_health, bets.HEALTH_PRIOR))
        value = _log_mean(np.stack(margins, axis=1), (1.0 / len(margins),) * len(margins))
        if self.rail.unit is Unit.STRATA:
            value = np.minimum(value, _log_mean(self.signs_health, signs.PRIOR))
        found: Floats = np.maximum(guardrail.LOWEST, value)
        return found


def _share(counts: Counts) -> Floats:
    share: Floats = counts.candidate / np.maximum(1, counts.candidate + counts.stable)
    return np.clip(share, 1e-6, 1.0 - 1e-6)


def _log_factors(chosen: Floats, slope: float, counts: Counts, both: NDArray[np.bool_]) -> Floats:
    """`bets.log_factors` for every release and alternative, 0 where an arm is empty."""
    stake, t, u = chosen
    candidate, stable = counts.candidate[:, None], np.maximum(1, counts.stable)[:, None]
    candidate_events, stable_events = counts.candidate_events[:, None], counts.stable_events[:, None]
    hedge = -slope * candidate * stake / stable
    worst = np.where(hedge < 0.0, -bets.STAKED / (1.0 - t), bets.STAKED / t)
    over = np.abs(hedge) > np.abs(worst)
    stake = np.where(over, stake * np.divide(worst, hedge, out=np.ones_like(hedge), where=over), stake)
    hedge = np.where(over, worst, hedge)
    factors = (
        stable_events * np.log1p(hedge * (1.0 - t))
        + (stable - stable_events) * np.log1p(-hedge * t)
        + candidate_events * np.log1p(stake * (1.0 - u))
        + (candidate - candidate_events) * np.log1p(-stake * u)
    )
    return np.where(both[:, None], factors, 0.0)


def _restart(values: Floats, both: NDArray[np.bool_], weight: Floats, factors: Floats) -> Floats:
    """`restarts.restart` for every release that has evidence."""
    with np.errstate(over="ignore"):
        moved = np.minimum(restarts.CAP, (values + weight[:, None]) * np.exp(np.minimum(factors, 600.0)))
    return np.where(both[:, None], moved, values)


def _log_mean(logs: Floats, prior: tuple[float, ...]) -> Floats:
    peak = logs.max(axis=1)
    mean: Floats = peak + np.log(np.exp(logs - peak[:, None]) @ np.array(prior))
    return mean
