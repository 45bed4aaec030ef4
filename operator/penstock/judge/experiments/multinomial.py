"""Is a stream of counts shared out among arms as declared? Dirichlet-multinomial evidence, exact at every look.

Under the null each count falls on arm i with probability θ0_i. Averaged over a Dirichlet prior with mean θ0 and
`concentration` k, the likelihood ratio is [B(kθ0 + S)/B(kθ0)]/Π θ0_i^S_i, an e-process with respect to single counts in any
order. Two readings: units per arm against the assignment shares (sample ratio), and successes per arm against the shares
(rates of arms that share an arbitrary common time course cancel: the next success falls on arm i with probability
proportional to θ0_i·e^δ_i, δ being the log rate). The latter needs shares that stay the same.
Source: Lindon, Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022 (arXiv 2011.03567).
"""

from collections.abc import Callable, Sequence
from math import exp, inf, log

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, xlogy

_FARTHEST = 60.0
"""A log rate ratio beyond ± this is unbounded in all but name."""


def log_evidence(counts: Sequence[int], shares: Sequence[float], concentration: float) -> float:
    """log e-value against "each count falls on arm i with probability `shares[i]`" (positive, summing to one)."""
    return _log_prior_predictive(counts, shares, concentration) - _log_likelihood(counts, np.asarray(shares, float))


def share_interval(
    arm: int, counts: Sequence[int], shares: Sequence[float], concentration: float, alpha: float
) -> tuple[float, float]:
    """Confidence sequence for the probability of one arm, the others being whatever fits best."""
    mine, others = counts[arm], sum(counts) - counts[arm]
    rest = np.array([count for index, count in enumerate(counts) if index != arm], float)
    floor = _log_prior_predictive(counts, shares, concentration) + log(alpha)
    best_split = float(xlogy(rest, rest / max(others, 1)).sum())

    def surplus(logit: float) -> float:
        return -mine * _softplus(-logit) - others * _softplus(logit) + best_split - floor

    low, high = _level_set(surplus, log((mine + 0.5) / (others + 0.5)))
    return _expit(low), _expit(high)


def log_ratio_interval(
    arm: int, against: int, counts: Sequence[int], shares: Sequence[float], concentration: float, alpha: float
) -> tuple[float, float]:
    """Confidence sequence for δ_arm − δ_against, the logarithm of the ratio of two arms' rates, the others profiled out.

    `counts` are successes, `shares` the assignment probabilities.
    """
    mine, theirs = counts[arm], counts[against]
    floor = _log_prior_predictive(counts, shares, concentration) + log(alpha)
    pair, total = mine + theirs, max(sum(counts), 1)
    others = np.array([count for index, count in enumerate(counts) if index not in (arm, against)], float)
    outside = float(xlogy(others, others / total).sum() + xlogy(pair, pair / total))
    offset = log(shares[arm] / shares[against])

    def surplus(ratio: float) -> float:
        logit = ratio + offset
        return -mine * _softplus(-logit) - theirs * _softplus(logit) + outside - floor

    return _level_set(surplus, log((mine + 0.5) / (theirs + 0.5)) - offset)


def log_evidence_some_arm_beats(
    control: int, counts: Sequence[int], shares: Sequence[float], concentration: float
) -> float:
    """log e-value against "no arm has a higher rate than `control`", from successes per arm.

    The evidence against the member of the null that fits best: the control pooled with every arm that exceeds it.
    """
    return _log_prior_predictive(counts, shares, concentration) - _log_likelihood(
        counts, _best_without_winner(control, np.asarray(counts, float), np.asarray(shares, float))
    )


def _best_without_winner(control: int, counts: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Probabilities of largest likelihood whose ratios to `shares` are nowhere above the control's (tree order)."""
    rates = counts / shares
    pooled = {control}
    for arm in sorted(set(range(len(counts))) - pooled, key=lambda arm: -rates[arm]):
        members = sorted(pooled)
        if rates[arm] <= counts[members].sum() / shares[members].sum():
            break
        pooled.add(arm)
    members = sorted(pooled)
    rates[members] = counts[members].sum() / shares[members].sum()
    fitted = rates * shares
    return np.asarray(fitted / max(fitted.sum(), 1))


def _log_prior_predictive(counts: Sequence[int], shares: Sequence[float], concentration: float) -> float:
    prior = concentration * np.asarray(shares, float)
    posterior = prior + np.asarray(counts, float)
    return float((gammaln(posterior) - gammaln(prior)).sum() + gammaln(prior.sum()) - gammaln(posterior.sum()))


def _log_likelihood(counts: Sequence[int], probabilities: np.ndarray) -> float:
    return float(xlogy(np.asarray(counts, float), probabilities).sum())


def _level_set(surplus: Callable[[float], float], inside: float) -> tuple[float, float]:
    """The interval around `inside` on which a concave function is not negative; infinite where it stays so."""
    low, high = inside - _FARTHEST, inside + _FARTHEST
    return (
        -inf if surplus(low) >= 0 else float(brentq(surplus, low, inside, xtol=1e-12)),
        inf if surplus(high) >= 0 else float(brentq(surplus, inside, high, xtol=1e-12)),
    )


def _softplus(x: float) -> float:
    return float(np.logaddexp(0.0, x))


def _expit(x: float) -> float:
    return 0.0 if x == -inf else 1 / (1 + exp(-x))
