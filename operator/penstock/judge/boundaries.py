"""Boundaries in closed form, valid at every time at once: stitching, quantile and distribution bands, proportions.

Sources: Howard, Ramdas, McAuliffe, Sekhon, Annals of Statistics 49(2), 2021 (arXiv 1810.08240), Theorem 1 and
Propositions 5 to 9; Howard, Ramdas, "Sequential estimation of quantiles", Bernoulli 28(3), 2022 (arXiv 1906.09712),
Theorems 2 and 3.
"""

from functools import lru_cache
from math import inf, log, log1p, sqrt

from scipy.optimize import brentq, minimize_scalar
from scipy.special import betaln, expit, logit, zeta

from penstock.judge.mixtures import TwoSidedBetaBinomial

_GROWTH, _EPOCH = 1.4, 2.0
"""Defaults for the exponent s of the crossing probability spent per epoch and for the ratio η between epochs."""

_NOTHING = 1e-12
"""A proportion that is told apart from 0 no more."""

_SMALLEST_CONSTANT = 0.125
"""A C so small that no band of this kind spends less than probability 1 with it."""


def poly_stitching(
    v: float, alpha: float, v_min: float, c: float = 0.0, growth: float = _GROWTH, epoch: float = _EPOCH
) -> float:
    """Sub-gamma bound of order sqrt(v log log v), crossed at any v ≥ `v_min` with probability at most `alpha`.

    `c` is the sub-gamma scale (0: sub-Gaussian; negative: lighter tails). Theorem 1, Eq. 10.
    """
    time = max(v, v_min)
    rounds = growth * log(log(epoch * time / v_min)) + log(zeta(growth) / (alpha * log(epoch) ** growth))
    drift = (sqrt(epoch) + 1) / 2 * c * rounds
    return sqrt(_stitch(epoch) ** 2 * time * rounds + drift**2) + drift


def double_stitching(
    quantile: float,
    t: float,
    alpha: float,
    t_opt: float,
    width: float = 0.5,
    growth: float = _GROWTH,
    epoch: float = _EPOCH,
) -> float:
    """Bound on (count at or below the true quantile) − quantile·t, for all t ≥ `t_opt` and all `quantile`s at once.

    The bound on the other side is the one of 1 − `quantile`; both together fail with probability at most `alpha`.
    Narrow in both tails, unlike a band of constant width. `width` is the spacing δ of the grid of quantiles in logit
    units. Theorem 3.
    """
    time = max(t, t_opt)
    reach = 2 * width * sqrt(t_opt * epoch / time)
    near = quantile if quantile >= 0.5 else min(0.5, float(expit(logit(quantile) + reach)))
    variance = near * (1 - near)
    steps = sqrt(time / t_opt) * abs(float(logit(quantile))) / (2 * width) + 1
    total = float(zeta(growth))
    rounds = growth * log(log(epoch * time / t_opt)) + growth * log(steps)
    rounds += log(2 * total * (2 * total + 1) / (alpha * log(epoch) ** growth))
    drift = (sqrt(epoch) + 1) / 2 * (1 - 2 * quantile) / 3 * rounds
    grid = width * sqrt(epoch * time * variance / t_opt)
    return grid + sqrt(_stitch(epoch) ** 2 * variance * time * rounds + drift**2) + drift


def distribution_band(t: float, alpha: float, t_min: float = 1.0, scale: float = 0.85) -> float:
    """Half-width of a band around the empirical distribution of `t` values, holding for all t ≥ `t_min` at once.

    scale·sqrt((log(1 + log(t/t_min)) + C)/t) with the C that spends exactly `alpha`; infinite before `t_min`. On
    histogram counts it holds at the bucket edges. `scale` must exceed 1/√2. Theorem 2.
    """
    if t < t_min:
        return inf
    return scale * sqrt((log(1 + log(t / t_min)) + _band_constant(alpha, scale)) / t)


def proportion_interval(
    successes: float, trials: int, alpha: float, t_opt: float, alpha_opt: float = 0.05
) -> tuple[float, float]:
    """Confidence sequence for the mean of outcomes in [0, 1], exact for 0/1, narrowest near `t_opt` trials.

    `successes` is the sum of the outcomes, 0 ≤ successes ≤ trials. Inversion of the two-sided beta-binomial mixture
    (Proposition 7) with g = p and h = 1 − p. Before the first trial it is [0, 1].
    """
    if trials == 0:
        return 0.0, 1.0
    failures = trials - successes
    low = _lower_limit(successes, failures, alpha, t_opt, alpha_opt)
    return low, 1 - _lower_limit(failures, successes, alpha, t_opt, alpha_opt)


def _lower_limit(successes: float, failures: float, alpha: float, t_opt: float, alpha_opt: float) -> float:
    """The p below the mean at which evidence against it reaches its threshold; 0 when it never does."""

    def surplus(p: float) -> float:
        spread = TwoSidedBetaBinomial.tuned(p * (1 - p) * t_opt, alpha_opt, p, 1 - p).spread
        a, b = spread / (1 - p), spread / p
        likelihood = successes * log(p) + failures * log1p(-p)
        return float(betaln(a + successes, b + failures) - betaln(a, b)) - likelihood - log(1 / alpha)

    mean = min(successes / (successes + failures), 1 - _NOTHING)
    if mean <= _NOTHING or surplus(_NOTHING) <= 0:
        return 0.0
    return float(brentq(surplus, _NOTHING, mean, xtol=1e-14, rtol=1e-12))


def _stitch(epoch: float) -> float:
    return float(epoch**0.25 + epoch**-0.25) / sqrt(2)


@lru_cache(maxsize=64)
def _band_constant(alpha: float, scale: float) -> float:
    """The C at which the best spacing η of epochs makes the crossing probability of the band equal to `alpha`."""
    if not (scale > 1 / sqrt(2) and 0 < alpha < 1):
        raise ValueError(f"a band needs scale > 0.7072 and alpha in (0, 1), got {scale} and {alpha}")
    surplus = _log_crossing(_SMALLEST_CONSTANT, scale) - log(alpha)
    high = _SMALLEST_CONSTANT
    while surplus > 0:
        high *= 2
        surplus = _log_crossing(high, scale) - log(alpha)
    return float(brentq(lambda c: _log_crossing(c, scale) - log(alpha), high / 2, high, xtol=1e-12))


def _log_crossing(constant: float, scale: float) -> float:
    """log of the least crossing probability over the spacing η of epochs, for a given C."""

    def log_probability(spacing: float) -> float:
        decay = 2 / spacing * (scale - sqrt(2 * (spacing - 1) / constant)) ** 2
        return log(4) - decay * constant + log1p(1 / ((decay - 1) * log(spacing)))

    widest = brentq(lambda e: sqrt(e / 2) + sqrt(2 * (e - 1) / constant) - scale, 1.0, 2 * scale**2)
    best = minimize_scalar(log_probability, bounds=(1.0, widest), method="bounded", options={"xatol": 1e-12})
    return float(best.fun)
