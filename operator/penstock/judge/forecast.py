"""What is still needed: requests to a verdict, the tightest tolerance that can be decided, the exposure of a step."""

import math
from dataclasses import dataclass

from penstock.judge import bets

AUTO_POINTS = (0.001, 0.0025, 0.005, 0.01)
"""Differences that `points: auto` chooses from, tightest first."""

RESERVE = 2.0
"""How many times the expected requests must fit: verdicts vary, and a release should end in 95 of 100 cases."""


def requests_to_promotion(
    log_evalue: float, threshold: float, ratio: float, points: float, base: float, share: float
) -> int | None:
    """Total requests of both arms until promotion, expected for a candidate as good as stable.

    `base` stable's rate, `share` the candidate's share of requests (0 < share < 1); None when it would never come.
    """
    needed = max(0.0, threshold - log_evalue)
    if needed == 0.0:
        return 0
    best = 0.0
    lines = [bets.Line(ratio, 0.0)] + ([bets.Line(1.0, points)] if points > 0.0 else [])
    for line in lines:
        for bet in bets.health_bets(line, bets.Expected.of(base, share)):
            best = max(best, bets.growth(bet, line.slope, share, base, base))
    if best <= 1e-12:
        return None
    return math.ceil(needed / best)


def requests_to_rollback(
    log_evalue: float, threshold: float, points: float, base: float, share: float, rate: float
) -> int | None:
    """Candidate requests until rollback, expected for a candidate that fails with probability `rate`.

    By the ratio side: the information per candidate request about the share of failures that are the candidate's; the
    points side, where in force, is at least as fast for gross failures. None when `rate` is not above `base`.
    """
    needed = max(0.0, threshold - log_evalue)
    if rate <= base + points or not 0.0 < share < 1.0:
        return None
    odds = share / (1.0 - share)
    floor = max(base, 1e-6)
    part = odds * rate / (odds * rate + floor)
    rest = floor / (odds * rate + floor)
    information = part * math.log(part / share) + rest * math.log(rest / (1.0 - share))
    per_request = information * (odds * rate + floor) / odds
    return max(1, math.ceil(needed / per_request))


def auto_points(base: float, traffic: float, seconds: float, share: float, missed_regression: float) -> float:
    """The tightest of `AUTO_POINTS` that is decidable: `RESERVE` times the expected requests fit into the time left.

    `traffic` requests per second of both arms; `share` the candidate's at the last step. The loosest when none is.
    """
    for points in AUTO_POINTS:
        threshold = math.log(2.0 / missed_regression)
        needed = requests_to_promotion(0.0, threshold, 1.5, points, base, share)
        if needed is not None and RESERVE * needed <= traffic * seconds:
            return points
    return AUTO_POINTS[-1]


@dataclass(frozen=True, slots=True)
class Step:
    """A weight step that a release wants to take.

    `weight` the candidate's next share; `min_requests` candidate requests wanted at the present step; `worst_share` the
    most of all requests that may fail because of the candidate at the next weight.
    """

    weight: float
    min_requests: int = 50
    worst_share: float = 0.05


SIGN = math.log(10.0)
"""log e-value from which a release shows signs of harm and takes no step up."""


def step_allowed(step: Step, requests: int, log_evalue: float, highest_harm: float) -> bool:
    """Whether the next weight may be applied.

    Args:
        step: the wish.
        requests: candidate requests at the present step.
        log_evalue: combined evidence of harm.
        highest_harm: upper limit of the interval for candidate rate − stable rate, the largest over all guardrails.
    """
    return (
        requests >= step.min_requests and log_evalue < SIGN and max(0.0, highest_harm) * step.weight <= step.worst_share
    )
