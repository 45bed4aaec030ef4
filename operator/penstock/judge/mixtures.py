"""Mixture supermartingales: evidence about a cumulative sum that may be looked at after every observation.

A mixture is a function m(s, v) of a sum `s` of centred observations and its intrinsic time `v` (the variance process),
such that exp(log_value) is a supermartingale with mean at most one whenever the sum is sub-ψ with variance process `v`.
By Ville's inequality the sum then crosses `bound(v, alpha)` at any time with probability at most `alpha`.

Source: Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences",
Annals of Statistics 49(2), 2021 (arXiv 1810.08240), Propositions 5 to 9.
"""

from dataclasses import dataclass
from math import inf, log, log1p, sqrt
from typing import Protocol, Self

from scipy.optimize import brentq
from scipy.special import betainc, betaln, gammainc, gammaincc, gammaln, log_ndtr

_DOUBLINGS = 200


class Mixture(Protocol):
    """What every mixture offers; `s` is in the units of the observations, `v` in their square."""

    def log_value(self, s: float, v: float) -> float:
        """The natural logarithm of the supermartingale at sum `s` and intrinsic time `v` > 0."""

    def bound(self, v: float, alpha: float) -> float:
        """The sum that is crossed at any time with probability at most `alpha`, evaluated at intrinsic time `v`."""


def two_sided_precision(v_opt: float, alpha: float) -> float:
    """The ρ that makes the two-sided normal bound at level `alpha` (nearly) tightest at intrinsic time `v_opt`."""
    if not (v_opt > 0 and 0 < alpha < 1):
        raise ValueError(f"a mixture is tuned for v_opt > 0 and alpha in (0, 1), got {v_opt} and {alpha}")
    return v_opt / (2 * log(1 / alpha) + log1p(2 * log(1 / alpha)))


def one_sided_precision(v_opt: float, alpha: float) -> float:
    """As `two_sided_precision` for one-sided mixtures, where a level of alpha costs as much as 2·alpha on two sides."""
    return two_sided_precision(v_opt, 2 * alpha)


@dataclass(frozen=True, slots=True)
class TwoSidedNormal:
    """Normal mixture for |s| (Proposition 5): sub-Gaussian sums, and sums of symmetric increments with v = Σ d²."""

    precision: float

    @classmethod
    def tuned(cls, v_opt: float, alpha: float) -> Self:
        return cls(two_sided_precision(v_opt, alpha))

    def log_value(self, s: float, v: float) -> float:
        return 0.5 * log(self.precision / (v + self.precision)) + s * s / (2 * (v + self.precision))

    def bound(self, v: float, alpha: float) -> float:
        return sqrt((v + self.precision) * (log1p(v / self.precision) + 2 * log(1 / alpha)))


@dataclass(frozen=True, slots=True)
class OneSidedNormal:
    """Half-normal mixture for s > 0 (Proposition 6)."""

    precision: float

    @classmethod
    def tuned(cls, v_opt: float, alpha: float) -> Self:
        return cls(one_sided_precision(v_opt, alpha))

    def log_value(self, s: float, v: float) -> float:
        total = v + self.precision
        return 0.5 * log(4 * self.precision / total) + s * s / (2 * total) + float(log_ndtr(s / sqrt(total)))

    def bound(self, v: float, alpha: float) -> float:
        return _crossing(self, v, alpha, inf)


@dataclass(frozen=True, slots=True)
class GammaExponential:
    """Gamma mixture for sub-exponential sums with scale `c` > 0 (Proposition 9).

    A sum below −(v + precision)/c, where the closed form ends, is reported as no evidence.
    """

    precision: float
    c: float

    @classmethod
    def tuned(cls, v_opt: float, alpha: float, c: float) -> Self:
        return cls(one_sided_precision(v_opt, alpha), _positive(c))

    def log_value(self, s: float, v: float) -> float:
        prior = self.precision / self.c**2
        shape = (v + self.precision) / self.c**2
        rate = (self.c * s + v) / self.c**2 + prior
        if rate <= 0:
            return -inf
        normaliser = prior * log(prior) - gammaln(prior) - _log(gammainc(prior, prior))
        posterior = gammaln(shape) + _log(gammainc(shape, rate)) - shape * log(rate)
        return float(normaliser + posterior + rate - prior)

    def bound(self, v: float, alpha: float) -> float:
        return _crossing(self, v, alpha, inf)


@dataclass(frozen=True, slots=True)
class GammaPoisson:
    """Gamma mixture for sub-Poisson sums with scale `c` > 0 (Proposition 10).

    A sum below −(v + precision)/c, where the closed form ends, is reported as no evidence.
    """

    precision: float
    c: float

    @classmethod
    def tuned(cls, v_opt: float, alpha: float, c: float) -> Self:
        return cls(one_sided_precision(v_opt, alpha), _positive(c))

    def log_value(self, s: float, v: float) -> float:
        prior = self.precision / self.c**2
        rate = (v + self.precision) / self.c**2
        shape = s / self.c + rate
        if shape <= 0:
            return -inf
        normaliser = prior * log(prior) - gammaln(prior) - _log(gammaincc(prior, prior))
        posterior = gammaln(shape) + _log(gammaincc(shape, rate)) - shape * log(rate)
        return float(normaliser + posterior + v / self.c**2)

    def bound(self, v: float, alpha: float) -> float:
        return _crossing(self, v, alpha, inf)


@dataclass(frozen=True, slots=True)
class TwoSidedBetaBinomial:
    """Beta mixture for sums of increments in [−g, h] with mean at most zero (Proposition 7); v = g·h per observation.

    Exact for one proportion. `spread` is the r of the paper.
    """

    spread: float
    g: float
    h: float

    @classmethod
    def tuned(cls, v_opt: float, alpha: float, g: float, h: float) -> Self:
        return cls(_spread(two_sided_precision(v_opt, alpha), g, h), g, h)

    def log_value(self, s: float, v: float) -> float:
        failures, successes = _beta_shapes(self.spread, self.g, self.h, s, v)
        prior = _beta_shapes(self.spread, self.g, self.h, 0.0, 0.0)
        return _beta_exponent(self.g, self.h, s, v) + float(betaln(failures, successes) - betaln(*prior))

    def bound(self, v: float, alpha: float) -> float:
        return _crossing(self, v, alpha, v / self.g)


@dataclass(frozen=True, slots=True)
class OneSidedBetaBinomial:
    """Truncated beta mixture for s > 0 (Proposition 8); for s < 0 swap `g` and `h` and change the sign of s."""

    spread: float
    g: float
    h: float

    @classmethod
    def tuned(cls, v_opt: float, alpha: float, g: float, h: float) -> Self:
        return cls(_spread(one_sided_precision(v_opt, alpha), g, h), g, h)

    def log_value(self, s: float, v: float) -> float:
        cut = self.h / (self.g + self.h)
        shapes = _beta_shapes(self.spread, self.g, self.h, s, v)
        prior = _beta_shapes(self.spread, self.g, self.h, 0.0, 0.0)
        posterior = betaln(*shapes) + _log(betainc(*shapes, cut))
        return _beta_exponent(self.g, self.h, s, v) + float(posterior - betaln(*prior) - _log(betainc(*prior, cut)))

    def bound(self, v: float, alpha: float) -> float:
        return _crossing(self, v, alpha, v / self.g)


def _spread(precision: float, g: float, h: float) -> float:
    product = _positive(g) * _positive(h)
    return max(precision - product, 1e-3 * product)


def _beta_shapes(spread: float, g: float, h: float, s: float, v: float) -> tuple[float, float]:
    slack = v * (1 + 1e-9)
    if not -slack <= h * s <= slack * h / g:
        raise ValueError(f"increments in [−{g}, {h}] cannot sum to {s} at intrinsic time {v}: look for units")
    return (spread + v - g * s) / (g * (g + h)), (spread + v + h * s) / (h * (g + h))


def _beta_exponent(g: float, h: float, s: float, v: float) -> float:
    down = (v - g * s) / (g * (g + h)) * log(h)
    up = (v + h * s) / (h * (g + h)) * log(g)
    return v / (g * h) * log(g + h) - up - down


def _crossing(mixture: Mixture, v: float, alpha: float, largest: float) -> float:
    """The root of log m(·, v) = log(1/alpha); a sum beyond `largest` cannot occur, so it is its own bound."""
    threshold = log(1 / alpha)

    def gap(s: float) -> float:
        return mixture.log_value(s, v) - threshold

    high = largest if largest < inf else _first_above(mixture, v, threshold)
    if gap(high) < 0:
        return high
    return float(brentq(gap, 0.0, high, xtol=1e-12 * high, rtol=1e-13))


def _first_above(mixture: Mixture, v: float, threshold: float) -> float:
    doubled = (v * 2.0**k for k in range(_DOUBLINGS))
    return next(s for s in doubled if mixture.log_value(s, v) > threshold)


def _log(probability: float) -> float:
    """log of a tail probability; one too small for a double is no evidence at all, the safe side."""
    return log(probability) if probability > 0 else -inf


def _positive(value: float) -> float:
    if not value > 0:
        raise ValueError(f"a scale or range of increments must be positive, got {value}")
    return value
