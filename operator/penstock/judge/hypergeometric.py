"""Fisher's noncentral hypergeometric normaliser, fast for any number of events, with its error on a stated side.

Given a stratum with `candidate` and `stable` requests and `events` failures in all, the number x of failures on the
candidate has, under odds ratio ψ, the law P(x) ∝ C(candidate, x)·C(stable, events − x)·ψ^x. What the ratio test needs is
log Z(ψ), the logarithm of that sum over x divided by its first term; with x = x_min + k

    Z(ψ) = Σ_k  a_k ψ^k,   a_0 = 1,   a_{k+1}/a_k = (candidate − x)(events − x) / ((x + 1)(stable − events + x + 1)).

Source: Fisher 1935; Harkness 1965; mode by Liao and Rosen 2001.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Cells = tuple[int, int, int, int]
"""Failures and successes of the candidate, then of stable, with the fewest failures that the candidate can have had."""

HORNER_TERMS = 24
"""Up to this many terms plain Python beats array arithmetic."""

ALL_TERMS = 256
"""Up to this many terms all are summed; beyond, those near the largest."""

SPARSE = ((3.5, 1), (4.2, 2), (4.8, 3))
"""Below this standard deviation every so-manieth term is summed; beyond, one every 1/1.15 deviations.

The law is one of a sum of independent Bernoulli variables, whose characteristic function at t is at most
exp(−σ²(1 − cos t)) in modulus; by Poisson's summation formula a sum over every s-th term is off by twice its value at 2π/s:
3e-10 of itself at most, ends of the range included.
"""

SAMPLES_PER_DEVIATION = 1.15

SPREAD = (7.0, 6.0)
"""Half-width of the summed window: so many standard deviations and terms. What lies outside weighs less than 1e-11."""

TABLE = 1 << 16
"""Log-factorials below this are looked up."""

SLACK = 1e-9
"""Nats by which a sampled and windowed sum may be off, above the errors named here."""

ROUNDING = 1e-15
"""Per unit of log n!: what rounding adds."""


def smallest_count(stable: int, events: int) -> int:
    """x_min: the fewest failures that the candidate can have had."""
    return max(0, events - stable)


_SIGNS = np.array((1, -1, -1, 1))


def slack(requests: int) -> float:
    """Nats by which a log normaliser of so many requests may be off; callers take it on their safe side."""
    return SLACK + ROUNDING * requests * math.log(requests)


def log_normalisers(candidate: int, stable: int, events: int, odds_ratios: tuple[float, ...]) -> list[float]:
    """log Z(ψ) for every ψ in `odds_ratios` (each positive and finite), within `slack` nats.

    `candidate` and `stable` are requests, `events` failures among them, 0 ≤ events ≤ candidate + stable.
    """
    low = smallest_count(stable, events)
    terms = min(candidate, events) - low
    if terms == 0:
        return [0.0] * len(odds_ratios)
    if terms <= HORNER_TERMS:
        first = (candidate - low) * (events - low) / ((low + 1) * (stable - events + low + 1))
        if terms * math.log(max(1.0, first * max(odds_ratios))) < 600.0:
            return _horner(candidate, stable, events, low, terms, odds_ratios)
    cells = (low, candidate - low, events - low, stable - events + low)
    found = _sum_of_all(cells, terms, odds_ratios) if terms <= ALL_TERMS else _sum_of_near(cells, terms, odds_ratios)
    origin = sum(math.lgamma(n + 1.0) for n in cells)
    return [origin + log for log in found]


def _sum_of_all(cells: Cells, terms: int, odds_ratios: tuple[float, ...]) -> list[float]:
    k = np.arange(terms + 1)
    logs = np.multiply.outer([math.log(psi) for psi in odds_ratios], k)
    logs -= _log_factorials(k, cells, 0, terms)
    return _log_sums(logs, logs.max(axis=1))


def _sum_of_near(cells: Cells, terms: int, odds_ratios: tuple[float, ...]) -> list[float]:
    """As `_sum_of_all`, over every so-manieth term of a window that holds the largest."""
    modes, spacings, reach = [], [], 0
    for psi in odds_ratios:
        mode, deviation = _mode_and_deviation(cells, terms, psi)
        spacing = _spacing(deviation)
        modes.append(mode)
        spacings.append(spacing)
        half = SPREAD[0] * deviation + SPREAD[1]
        if half > reach * spacing:
            reach = int(half / spacing) + 1
    if 2 * reach * max(spacings) > terms:
        return _sum_of_all(cells, terms, odds_ratios)
    starts, last = [], 0
    for mode, spacing in zip(modes, spacings, strict=True):
        start = min(max(0, mode - reach * spacing), terms - 2 * reach * spacing)
        starts.append(start)
        last = max(last, start + 2 * reach * spacing)
    steps, origins = np.array((spacings, starts))[:, :, np.newaxis]
    k = steps * np.arange(2 * reach + 1)
    k += origins
    logs = k * np.array([math.log(psi) for psi in odds_ratios])[:, np.newaxis]
    logs -= _log_factorials(k, cells, min(starts), last)
    # the middle is within the window's width of the largest, so that its exponential stays finite
    sums = _log_sums(logs, logs[:, reach].copy())
    return [log + math.log(spacing) for log, spacing in zip(sums, spacings, strict=True)]


def _spacing(deviation: float) -> int:
    if deviation >= SPARSE[-1][0]:
        return int(deviation / SAMPLES_PER_DEVIATION)
    return next(spacing for below, spacing in SPARSE if deviation < below)


def _log_sums(logs: Floats, scale: Floats) -> list[float]:
    """log of the sum of the exponentials of each row; `scale` is one of a row's larger values."""
    logs -= scale[:, np.newaxis]
    np.exp(logs, out=logs)
    sums = np.add.reduce(logs, axis=1)
    np.log(sums, out=sums)
    sums += scale
    found: list[float] = sums.tolist()
    return found


def _horner(
    candidate: int, stable: int, events: int, low: int, terms: int, odds_ratios: tuple[float, ...]
) -> list[float]:
    ratios = [(candidate - x) * (events - x) / ((x + 1) * (stable - events + x + 1)) for x in range(low, low + terms)]
    ratios.reverse()
    logs = []
    for psi in odds_ratios:
        z = 1.0
        for ratio in ratios:
            z = 1.0 + z * ratio * psi
        logs.append(math.log(z))
    return logs


def _mode_and_deviation(cells: Cells, terms: int, psi: float) -> tuple[int, float]:
    """Offset k of the largest term, and the standard deviation there.

    The mode is the last k with a_k/a_{k−1}·ψ ≥ 1; the deviation follows from the curvature of the log terms, which is
    the sum of the reciprocals of the four cells (Cornfield 1956).
    """
    low, candidate_good, stable_events, stable_good = cells
    candidate, events, rest = candidate_good + low, stable_events + low, stable_good - low
    a = psi - 1.0
    b = -((candidate + events + 2) * psi + rest)
    c = psi * (candidate + 1) * (events + 1)
    mode = min(terms, max(0, math.floor(2.0 * c / (-b + math.sqrt(max(0.0, b * b - 4.0 * a * c)))) - low))
    x = low + mode + 0.5
    precision = 1.0 / x + 1.0 / (candidate + 1 - x) + 1.0 / (events + 1 - x) + 1.0 / (rest + x)
    return mode, 1.0 / math.sqrt(precision)


def _log_factorials(k: Whole, cells: Cells, first: int, last: int) -> Floats:
    """Sum of the log-factorials of the four cells, once k more of the failures are the candidate's; first ≤ k ≤ last."""
    candidate_events, candidate_good, stable_events, stable_good = cells
    if max(candidate_events + last, candidate_good, stable_events, stable_good + last) < TABLE:
        index = np.multiply.outer(_SIGNS, k)
        index += np.array(cells).reshape(4, *(1 for _ in k.shape))
        found: Floats = np.add.reduce(_table()[index])
        return found
    return (
        _log_factorial(k + candidate_events, candidate_events + first)
        + _log_factorial(candidate_good - k, candidate_good - last)
        + _log_factorial(stable_events - k, stable_events - last)
        + _log_factorial(k + stable_good, stable_good + first)
    )


def _log_factorial(n: Whole, least: int) -> Floats:
    """log n! for n ≥ `least`: looked up, or by Stirling's series, whose next term is below 1e-14 there."""
    if least >= TABLE // 2:
        return _stirling(n)
    table = _table()
    if int(n.max()) < TABLE:
        return table[n]
    return np.where(n < TABLE, table.take(n, mode="clip"), _stirling(np.maximum(n, TABLE // 2)))


def _stirling(n: Whole) -> Floats:
    real = n.astype(np.float64)
    found = np.log(real)
    found *= real + 0.5
    found -= real
    found += 0.9189385332046727
    found += (1.0 / 12.0) / real
    return found


@lru_cache(maxsize=1)
def _table() -> Floats:
    logs = np.log(np.maximum(np.arange(TABLE, dtype=np.longdouble), 1.0))
    return np.cumsum(logs).astype(np.float64)
