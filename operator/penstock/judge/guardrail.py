"""The evidence of one guardrail: several e-processes, their minimum for rollback, their mean for promotion.

Harm is a rate beyond both margins, so that its absence is a union: within the ratio or within the points. The smaller of
two e-values, each valid for its part, is valid for the union. Promotion must refute harm, which lies within both of
"beyond the ratio" and "beyond the points"; an e-value against either is one against harm, and so is their mean.

The ratio is tested twice. Given the failures of a stratum their split is known exactly, whatever callers do and however
failures hang together (`ratio`): that protects a candidate that changes nothing. But it speaks of odds, and what odds a
tolerated ratio of rates means depends on the base rate, which an incident moves at once; bets on the rates themselves
(`bets`) hold for any base rate, of independent requests: that protects a candidate just within the tolerance. Harm must
show in both.
"""

import math
from dataclasses import dataclass, field
from operator import add, mul

from penstock.judge import bets, ratio, restarts, signs, users
from penstock.judge.base import BaseRate
from penstock.judge.criteria import Guardrail, Unit
from penstock.judge.interval import Difference

LOWEST = -1e6
"""Log e-values below this are kept at it: the evidence can only be this much against."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One stratum of one guardrail: requests (or users) and events of each arm, at candidate share `weight`."""

    weight: float
    stable: int
    candidate: int
    stable_events: int
    candidate_events: int


@dataclass(slots=True)
class Evidence:
    """What one guardrail has gathered; plain numbers that serialise.

    `split_harm` (odds, given the failures), `ratio_harm` and `points_harm` (bets on rates) and `signs_harm` are values of
    the restart recursion; `ratio_health`, `points_health`, `signs_health` logarithms of e-processes from the start of the
    release. Margins not in force stay as they began.
    """

    split_harm: list[float] = field(default_factory=lambda: [0.0] * len(ratio.ALTERNATIVES))
    ratio_harm: list[float] = field(default_factory=lambda: [0.0] * len(bets.HARM))
    points_harm: list[float] = field(default_factory=lambda: [0.0] * len(bets.HARM))
    signs_harm: list[float] = field(default_factory=lambda: [0.0] * len(signs.BETS))
    ratio_health: list[float] = field(default_factory=lambda: [0.0] * len(bets.HEALTH))
    points_health: list[float] = field(default_factory=lambda: [0.0] * len(bets.HEALTH))
    signs_health: list[float] = field(default_factory=lambda: [0.0] * len(signs.BETS))
    scale: float = 0.0
    base: BaseRate = field(default_factory=BaseRate)
    difference: Difference = field(default_factory=Difference)
    stable: tuple[int, int] = (0, 0)
    candidate: tuple[int, int] = (0, 0)

    def forget_points_health(self) -> None:
        """Begin anew against a tighter difference: what spoke against a wider one does not speak against it."""
        self.points_health = [0.0] * len(bets.HEALTH)

    def log_harm(self, guardrail: Guardrail, points: float) -> float:
        """log of the e-value for harm beyond the tolerance; −inf before the first stratum."""
        values = [restarts.mean(self.split_harm, ratio.PRIOR)]
        if guardrail.tolerance.ratio > 1.0 and guardrail.unit is not Unit.USERS:
            values.append(restarts.mean(self.ratio_harm, bets.HARM_PRIOR))
        if guardrail.unit is Unit.USERS:
            if points > 0.0:
                values.append(math.exp(min(600.0, users.log_evidence_beyond(points, self.stable, self.candidate))))
        elif points > 0.0:
            values.append(restarts.mean(self.points_harm, bets.HARM_PRIOR))
        if guardrail.unit is Unit.STRATA:
            values.append(restarts.mean(self.signs_harm, signs.PRIOR))
        least = min(values)
        return max(LOWEST, math.log(least)) if least > 0.0 else LOWEST

    def log_health(self, guardrail: Guardrail, points: float) -> float:
        """log of the e-value against harm beyond the tolerance."""
        margins = [_log_mean(self.ratio_health, bets.HEALTH_PRIOR)]
        if points > 0.0:
            margins.append(
                users.log_evidence_within(points, self.stable, self.candidate)
                if guardrail.unit is Unit.USERS
                else _log_mean(self.points_health, bets.HEALTH_PRIOR)
            )
        value = _log_mean(margins, (1.0 / len(margins),) * len(margins))
        if guardrail.unit is Unit.STRATA:
            value = min(value, _log_mean(self.signs_health, signs.PRIOR))
        return max(LOWEST, value)


def observe(evidence: Evidence, guardrail: Guardrail, points: float, spread: float, cell: Cell, weight: float) -> None:
    """Add one stratum.

    Args:
        evidence: changed in place.
        guardrail: whose tolerance holds.
        points: its tolerated difference, resolved.
        spread: factor ≥ 1 by which the pods' own luck widens both margins (see `spread`).
        cell: the stratum's counts.
        weight: of harm that begins with this stratum (see `restarts.Spending`).
    """
    margin = guardrail.tolerance.ratio * spread
    points = widened(points, spread, evidence.base.estimate)
    evidence.stable = (evidence.stable[0] + cell.stable, evidence.stable[1] + cell.stable_events)
    evidence.candidate = (evidence.candidate[0] + cell.candidate, evidence.candidate[1] + cell.candidate_events)
    if guardrail.unit is Unit.USERS:
        _observe_users(evidence, margin, cell, weight)
        return
    if cell.stable and cell.candidate:
        _observe_requests(evidence, guardrail, margin, points, cell, weight)
    evidence.base = evidence.base.after(cell.stable, cell.stable_events)


def possible(evidence: Evidence, guardrail: Guardrail, cell: Cell) -> bool:
    """Whether users can be as the stratum says: none is harmed who was never seen."""
    return guardrail.unit is not Unit.USERS or (
        evidence.stable[1] + cell.stable_events <= evidence.stable[0] + cell.stable
        and evidence.candidate[1] + cell.candidate_events <= evidence.candidate[0] + cell.candidate
    )


def widened(points: float, spread: float, base: float) -> float:
    """Tolerated difference once pods differ by the factor `spread`: their luck moves stable's rate by that much."""
    return min(0.99, points + (spread - 1.0) * base) if points > 0.0 else points


def _observe_requests(
    evidence: Evidence, guardrail: Guardrail, margin: float, points: float, cell: Cell, weight: float
) -> None:
    counts = (cell.candidate, cell.stable, cell.candidate_events, cell.stable_events)
    base = evidence.base
    psi = ratio.tolerated_odds_ratio(margin, base.upper)
    evidence.split_harm = restarts.restart(evidence.split_harm, weight, ratio.log_factors(*counts, psi))
    expected = bets.Expected.of(base.estimate, cell.candidate / (cell.candidate + cell.stable))
    line = bets.Line(margin, 0.0)
    if guardrail.tolerance.ratio > 1.0:
        evidence.ratio_harm = restarts.restart(
            evidence.ratio_harm,
            weight,
            bets.log_factors(bets.harm_bets(line, expected), margin, counts),
        )
    evidence.ratio_health = _add(
        evidence.ratio_health,
        bets.log_factors(bets.health_bets(line, expected), margin, counts),
    )
    if points > 0.0:
        line = bets.Line(1.0, points)
        evidence.points_harm = restarts.restart(
            evidence.points_harm,
            weight,
            bets.log_factors(bets.harm_bets(line, expected), 1.0, counts),
        )
        evidence.points_health = _add(
            evidence.points_health,
            bets.log_factors(bets.health_bets(line, expected), 1.0, counts),
        )
    evidence.difference = evidence.difference.after(*counts)
    if guardrail.unit is Unit.STRATA:
        _observe_signs(evidence, margin, points, cell, weight)


def _observe_signs(evidence: Evidence, margin: float, points: float, cell: Cell, weight: float) -> None:
    stable = cell.stable_events / cell.stable
    candidate = cell.candidate_events / cell.candidate
    tolerated = max(margin * stable, stable + points)
    factors = signs.log_factors(candidate - tolerated, evidence.scale)
    evidence.signs_harm = restarts.restart(evidence.signs_harm, weight, factors)
    if abs(cell.weight - 0.5) < 1e-9:
        evidence.signs_health = _add(evidence.signs_health, signs.log_factors(tolerated - candidate, evidence.scale))
    evidence.scale = signs.next_scale(evidence.scale, candidate - tolerated)


def _observe_users(evidence: Evidence, margin: float, cell: Cell, weight: float) -> None:
    factors = users.log_factors(cell.weight, cell.candidate_events, cell.stable_events, margin)
    evidence.split_harm = restarts.restart(evidence.split_harm, weight, factors)
    odds = margin * cell.weight / (1.0 - cell.weight)
    events = cell.candidate_events + cell.stable_events
    evidence.ratio_health = _add(
        evidence.ratio_health,
        [
            cell.candidate_events * math.log(factor / margin)
            + events * (math.log1p(odds) - math.log1p(odds * factor / margin))
            for factor in bets.HEALTH
        ],
    )


def _add(values: list[float], increments: list[float]) -> list[float]:
    return list(map(add, values, increments))


def _log_mean(logs: list[float], prior: tuple[float, ...]) -> float:
    peak = max(logs)
    return peak + math.log(sum(map(mul, prior, [math.exp(value - peak) for value in logs])))
