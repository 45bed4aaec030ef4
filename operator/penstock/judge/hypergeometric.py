"""Fisher's noncentral hypergeometric normaliser, fast for any number of events, with its error on a stated side.

Given a stratum with `candidate` and `stable` requests and `events` failures in all, the number x of failures on the
candidate has, under odds ratio ψ, the law P(x) ∝ C(candidate, x)·C(stable, events − x)·ψ^x. What the ratio test needs is
log Z(ψ), the logarithm of that sum over x divided by its first term; with x = x_min + k

    Z(ψ) = Σ_k  a_k ψ^k,   a_0 = 1,   a_{k+1}/a_k = (candidate − x)(events − x) / ((x + 1)(stable − events + x + 1)).

Source: Fisher 1935; Harkness 1965; mode by Liao and Rosen 2001.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

HORNER_TERMS = 64
"""Up to this many terms plain Python beats array arithmetic."""

RECURRENCE_TERMS = 2_048
"""Up to this many terms their logarithms come from the recurrence, beyond from Stirling's series."""

DENSE_DEVIATION = 5.0
"""Below this standard deviation every term of the window is summed; above, an equidistant sample of them: the terms
are then a smooth bump, and the ends of the range weigh less than 1e-9 of it."""

SAMPLES_PER_DEVIATION = 1.15
"""By Poisson's summation formula the sampled sum is off by about 2·exp(−2π²·1.15²) = 9e-12 of itself."""

SPREAD = 8.0
"""Half-width of the summed window in standard deviations; what lies outside weighs less than 1e-14."""

SLACK = 1e-9
"""Nats by which a caller takes a sampled or windowed sum on its safe side: far above the errors named here."""


def smallest_count(stable: int, events: int) -> int:
    """x_min: the fewest failures that the candidate can have had."""
    return max(0, events - stable)


def log_normalisers(candidate: int, stable: int, events: int, odds_ratios: tuple[float, ...]) -> list[float]:
    """log Z(ψ) for every ψ in `odds_ratios` (each positive and finite), within `SLACK` nats.

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
    modes, spacings, reach = [], [], 0
    for psi in odds_ratios:
        mode, deviation = _mode_and_deviation(candidate, stable, events, low, terms, psi)
        spacing = 1 if deviation < DENSE_DEVIATION else int(deviation / SAMPLES_PER_DEVIATION)
        modes.append(mode)
        spacings.append(spacing)
        reach = max(reach, int(SPREAD * (deviation + 0.5) / spacing) + 4)
    first = min(mode - reach * spacing for mode, spacing in zip(modes, spacings, strict=True))
    last = max(mode + reach * spacing for mode, spacing in zip(modes, spacings, strict=True))
    distances = np.array(spacings)
    k = np.add.outer(np.arange(-reach, reach + 1), np.zeros(len(modes), dtype=np.int64))
    k *= distances
    k += modes
    beyond = None
    if first < 0 or last > terms:
        beyond = (k < 0) | (k > terms)
        np.maximum(k, 0, out=k)
        np.minimum(k, terms, out=k)
    logs = _log_terms(candidate, stable, events, low, terms, k, max(0, first), min(terms, last))
    logs += k * np.log(odds_ratios)
    if beyond is not None:
        np.putmask(logs, beyond, -np.inf)
    peaks = logs.max(axis=0)
    logs -= peaks
    sums = np.exp(logs, out=logs).sum(axis=0)
    sums *= distances
    np.log(sums, out=sums)
    sums += peaks
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


def _mode_and_deviation(
    candidate: int, stable: int, events: int, low: int, terms: int, psi: float
) -> tuple[int, float]:
    """Offset k of the largest term, and the standard deviation there.

    The mode is the last k with a_k/a_{k−1}·ψ ≥ 1; the deviation follows from the curvature of the log terms, which is
    the sum of the reciprocals of the four cells (Cornfield 1956).
    """
    a = psi - 1.0
    b = -((candidate + events + 2) * psi + (stable - events))
    c = psi * (candidate + 1) * (events + 1)
    mode = min(terms, max(0, math.floor(2.0 * c / (-b + math.sqrt(max(0.0, b * b - 4.0 * a * c)))) - low))
    x = low + mode + 0.5
    precision = 1.0 / x + 1.0 / (candidate + 1 - x) + 1.0 / (events + 1 - x) + 1.0 / (stable - events + x)
    return mode, 1.0 / math.sqrt(precision)


def _log_terms(
    candidate: int, stable: int, events: int, low: int, terms: int, k: Whole, first: int, last: int
) -> Floats:
    """log a_k for offsets within [first, last].

    By the recurrence while that range is short, else from the log-factorials of the four cells.
    """
    if terms <= RECURRENCE_TERMS:
        x = np.arange(low + first, low + last, dtype=np.float64)
        ratio = (candidate - x) * (events - x)
        x += 1.0
        ratio /= x * (x + (stable - events))
        base = np.empty(last - first + 1)
        base[0] = _log_term(candidate, stable, events, low, low + first)
        np.log(ratio, out=base[1:])
        np.cumsum(base, out=base)
        return base[k - first] if first else base[k]
    x = (k + low).astype(np.float64)
    cells = np.stack((x, candidate - x, events - x, stable - events + x))
    origin = sum(math.lgamma(n + 1.0) for n in (low, candidate - low, events - low, stable - events + low))
    result: Floats = origin - _log_factorial(cells).sum(axis=0)
    return result


def _log_term(candidate: int, stable: int, events: int, low: int, x: int) -> float:
    """log of the term at x over the one at x_min."""
    if x == low:
        return 0.0
    return sum(
        math.lgamma(at_low + 1.0) - math.lgamma(at_x + 1.0)
        for at_low, at_x in (
            (low, x),
            (candidate - low, candidate - x),
            (events - low, events - x),
            (stable - events + low, stable - events + x),
        )
    )


def _log_factorial(n: Floats) -> Floats:
    """log n! for n ≥ 0: Stirling's series at n + 8, stepped down by the recurrence (error below 1e-12)."""
    small = n < 8.0
    shifted = np.where(small, n + 8.0, n) if small.any() else n
    inverse = 1.0 / np.maximum(shifted, 1.0)
    square = inverse * inverse
    series: Floats = (
        (shifted + 0.5) * np.log(shifted)
        - shifted
        + 0.9189385332046727
        + inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188))))
    )
    if small.any():
        steps = np.ones_like(n)
        for i in range(1, 9):
            steps *= np.where(small, n + i, 1.0)
        series = series - np.log(steps)
    return series
