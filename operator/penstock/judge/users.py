"""Evidence of sticky releases: each user counts once.

With stickiness users are assigned at random, not requests, and a busy user with a bad day would count a thousand times.
So each user enters once, at the first failure. Without an effect of the model that user is a candidate's with the
probability given by the weight in force, whatever users do and however unequal they are; with a rate ratio r it is
w·r/(1 − w + w·r). The points side asks whether the share of users ever harmed differs by more than `points`: a mixture
likelihood (Beta(½, ½) for each arm) over the largest likelihood within the null, which is at most a test martingale
(universal inference: Wasserman, Ramdas, Balakrishnan 2020). It treats users whose first failure is yet to come as well,
so it is a statement about the shares so far. Source: reference review-ml finding 4.
"""

import math

from penstock.judge.ratio import ALTERNATIVES

FEW = 500
"""Below this many users a sticky release cannot be decided; a mirror stage can."""


def log_factors(weight: float, candidate: int, stable: int, ratio: float) -> list[float]:
    """log factors of `ratio.ALTERNATIVES` for first failures of `candidate` and `stable` users at weight `weight`."""
    if not 0.0 < weight < 1.0 or candidate + stable == 0:
        return [0.0] * len(ALTERNATIVES)
    odds = ratio * weight / (1.0 - weight)
    null = math.log1p(odds)
    return [
        candidate * math.log(alternative) + (candidate + stable) * (null - math.log1p(odds * alternative))
        for alternative in ALTERNATIVES
    ]


def log_evidence_beyond(points: float, stable: tuple[int, int], candidate: tuple[int, int]) -> float:
    """log e-value against θ_candidate ≤ θ_stable + points, from (users, harmed users) of each arm."""
    return _log_mixture(stable) + _log_mixture(candidate) - _log_best(points, stable, candidate, below=True)


def log_evidence_within(points: float, stable: tuple[int, int], candidate: tuple[int, int]) -> float:
    """log e-value against θ_candidate ≥ θ_stable + points."""
    return _log_mixture(stable) + _log_mixture(candidate) - _log_best(points, stable, candidate, below=False)


def _log_mixture(arm: tuple[int, int]) -> float:
    """log ∫ θ^x (1 − θ)^(n−x) Beta(½, ½)(dθ)."""
    users, harmed = arm
    return math.lgamma(harmed + 0.5) + math.lgamma(users - harmed + 0.5) - math.lgamma(users + 1.0) - math.log(math.pi)


def _log_likelihood(arm: tuple[int, int], rate: float) -> float:
    users, harmed = arm
    value = 0.0
    if harmed:
        value += harmed * math.log(rate)
    if users - harmed:
        value += (users - harmed) * math.log1p(-rate)
    return value


def _log_best(points: float, stable: tuple[int, int], candidate: tuple[int, int], *, below: bool) -> float:
    """The largest log likelihood of both arms on one side of the line."""
    stable_rate = stable[1] / stable[0] if stable[0] else 0.0
    candidate_rate = candidate[1] / candidate[0] if candidate[0] else stable_rate
    if (candidate_rate <= stable_rate + points) == below:
        return _log_likelihood(stable, stable_rate) + _log_likelihood(candidate, candidate_rate)
    low, high = 1e-12, 1.0 - points - 1e-12
    for _ in range(60):
        t = 0.5 * (low + high)
        u = t + points
        slope = (stable[1] - stable[0] * t) / (t * (1.0 - t)) + (candidate[1] - candidate[0] * u) / (u * (1.0 - u))
        if slope > 0.0:
            low = t
        else:
            high = t
    t = 0.5 * (low + high)
    return _log_likelihood(stable, t) + _log_likelihood(candidate, t + points)
