"""Intervals and e-values for an estimate with its standard error, valid at every look.

Two forms of one mixture, over a normal prior of the standardised effect. With estimate e, standard error s and n users:

- anytime-valid t (`t_radius`, `t_log_evidence`): exact for normal linear models with ν degrees of freedom;
- asymptotic confidence sequence (`radius`, `log_evidence`): its limit for ν → ∞, right at all times after a burn-in for
  any outcome with finite variance.

They agree for g = 1/ρ². Sources: Lindon, Ham, Tingley, Bojinov, "Anytime-valid linear models and regression adjusted
causal inference" (arXiv 2210.08589); Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and
asymptotic confidence sequences" (arXiv 2103.06476v7), Eqs 9, 134, 155, 161.
"""

from math import exp, expm1, inf, log, log1p, sqrt

from scipy.optimize import minimize_scalar


def tuned_rho(planned: float, alpha: float) -> float:
    """ρ at which the two-sided asymptotic sequence is (nearly) narrowest after `planned` users. Eq. 161."""
    if not (planned > 0 and 0 < alpha < 1):
        raise ValueError(f"need a positive number of planned users and alpha in (0, 1), got {planned} and {alpha}")
    return sqrt((-2 * log(alpha) + log1p(-2 * log(alpha))) / planned)


def radius(standard_error: float, users: float, alpha: float, rho: float) -> float:
    """Half-width of the two-sided asymptotic confidence sequence. Eq. 9."""
    spread = users * rho * rho + 1
    return standard_error * sqrt(users) * sqrt(2 * spread / (users * rho) ** 2 * log(sqrt(spread) / alpha))


def one_sided_radius(standard_error: float, users: float, alpha: float, rho: float) -> float:
    """Distance to the only limit of the one-sided sequence; tune ρ with 2·alpha. Eq. 134."""
    spread = users * rho * rho + 1
    return standard_error * sqrt(users) * sqrt(2 * spread / (users * rho) ** 2 * log1p(sqrt(spread) / (2 * alpha)))


def log_evidence(estimate: float, standard_error: float, users: float, rho: float) -> float:
    """log of the asymptotic e-value against an effect of 0. Eq. 155."""
    spread = users * rho * rho + 1
    return (estimate / standard_error) ** 2 * users * rho * rho / (2 * spread) - log(spread) / 2


def t_log_evidence(estimate: float, standard_error: float, users: float, freedom: float, g: float) -> float:
    """log e-value of the anytime-valid t test against an effect of 0, `freedom` > 0 degrees of freedom."""
    square = (estimate / standard_error) ** 2 / freedom
    shrink = g / (g + users)
    return log(shrink) / 2 + (freedom + 1) / 2 * (log1p(square) - log1p(shrink * square))


def t_radius(standard_error: float, users: float, freedom: float, alpha: float, g: float) -> float:
    """Half-width of the anytime-valid t interval; infinite while there are too few users to say anything."""
    shrink = g / (g + users)
    # Computed as exponents, because 1 − power loses all digits for many degrees of freedom.
    exponent = (log(shrink) + 2 * log(alpha)) / (freedom + 1)
    denominator = exp(exponent) - shrink
    if denominator <= 0:
        return inf
    return standard_error * sqrt(freedom * -expm1(exponent) / denominator)


def tuned_g(planned: float, freedom: float, alpha: float) -> float:
    """g ≥ 1 at which the anytime-valid t interval is narrowest after `planned` users."""
    power = alpha ** (2 / freedom)
    largest = planned * power / (1 - power) if power < 1 else planned
    found = minimize_scalar(
        lambda log_g: t_radius(1.0, planned, freedom, alpha, exp(log_g)),
        bounds=(0.0, max(log(largest), 1e-3)),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return exp(float(found.x))
