"""Fisher's noncentral hypergeometric normaliser, fast for any number of events, with its error on a stated side.

Given a stratum with `candidate` and `stable` requests and `events` failures in all, the number x of failures on the
candidate has, under odds ratio ψ, the law P(x) ∝ C(candidate, x)·C(stable, events − x)·ψ^x. What the ratio test needs is
log Z(ψ), the logarithm of that sum over x divided by its first term; with x = x_min + k

    Z(ψ) = Σ_k  a_k ψ^k,   a_0 = 1,   a_{k+1}/a_k = (candidate − x)(events − x) / ((x + 1)(stable − events + x + 1)).

Source: Fisher 1935; Harkness 1965; mode by Liao and Rosen 2001.
"""

import math
from collections.abc import Callable
from functools import cache
from math import exp, lgamma

Cells = tuple[int, int, int, int]
"""Failures and successes of the candidate, then of stable, with the fewest failures that the candidate can have had."""

HORNER_TERMS = 64
"""Up to this many terms are summed as a polynomial."""

SPARSE = ((3.5, 1), (4.2, 2), (4.8, 3))
"""Below this standard deviation every so-manieth term is summed; beyond, one every 1/1.15 deviations.

The law is one of a sum of independent Bernoulli variables, whose characteristic function at t is at most
exp(−σ²(1 − cos t)) in modulus; by Poisson's summation formula a sum over every s-th term is off by twice its value at 2π/s:
3e-10 of itself at most, ends of the range included.
"""

SAMPLES_PER_DEVIATION = 1.15

TABLE = 1 << 16
"""Logarithms of factorials below this are looked up."""

NEGLIGIBLE = 1e-11
"""A term this small against the largest is the last one summed on its side: the terms beyond fall faster and faster."""

SLACK = 1e-9
"""Nats by which a sampled and cut sum may be off, above the errors named here."""

ROUNDING = 1e-15
"""Per unit of log n!: what rounding adds."""


def slack(requests: int) -> float:
    """Nats by which a log normaliser of so many requests may be off; callers take it on their safe side."""
    return SLACK + ROUNDING * requests * math.log(requests)


def smallest_count(stable: int, events: int) -> int:
    """x_min: the fewest failures that the candidate can have had."""
    return max(0, events - stable)


def log_normalisers(candidate: int, stable: int, events: int, odds_ratios: tuple[float, ...]) -> list[float]:
    """log Z(ψ) for every ψ in `odds_ratios` (each positive and finite), within `slack` nats.

    `candidate` and `stable` are requests, `events` failures among them, 0 ≤ events ≤ candidate + stable.
    """
    low = smallest_count(stable, events)
    terms = min(candidate, events) - low
    if terms == 0:
        return [0.0] * len(odds_ratios)
    cells = (low, candidate - low, events - low, stable - events + low)
    if terms <= HORNER_TERMS:
        first = cells[1] * cells[2] / ((low + 1) * (cells[3] + 1))
        if terms * math.log(max(1.0, first * max(odds_ratios))) < 600.0:
            return _horner(cells, terms, odds_ratios)
    origin = sum(lgamma(n + 1.0) for n in cells)
    logs = []
    for psi in odds_ratios:
        mode, deviation = _mode_and_deviation(cells, terms, psi)
        largest, total = _near(cells, terms, math.log(psi), mode, _spacing(deviation))
        logs.append(origin + largest + math.log(total))
    return logs


def _horner(cells: Cells, terms: int, odds_ratios: tuple[float, ...]) -> list[float]:
    a, b, c, d = cells
    ratios = [(b - k) * (c - k) / ((a + k + 1) * (d + k + 1)) for k in range(terms - 1, -1, -1)]
    logs = []
    for psi in odds_ratios:
        z = 1.0
        for ratio in ratios:
            z = 1.0 + z * ratio * psi
        logs.append(math.log(z))
    return logs


def _near(cells: Cells, terms: int, log_psi: float, mode: int, spacing: int) -> tuple[float, float]:
    """log of the largest term, less the origin that all share, and the sum of all terms over the largest.

    Summed outward from the largest, every `spacing`-th.
    """
    a, b, c, d = cells
    failed, went_well = _log_factorials(a + c), _log_factorials(max(b, d + c))
    largest = mode * log_psi - failed(a + mode) - went_well(b - mode) - failed(c - mode) - went_well(d + mode)
    total = 1.0
    for ks in (range(mode + spacing, terms + 1, spacing), range(mode - spacing, -1, -spacing)):
        for k in ks:
            term = exp(k * log_psi - failed(a + k) - went_well(b - k) - failed(c - k) - went_well(d + k) - largest)
            total += term
            if term < NEGLIGIBLE:
                break
    return largest, total * spacing


def _log_factorial(n: int) -> float:
    return lgamma(n + 1.0)


def _log_factorials(most: int) -> Callable[[int], float]:
    """log n! for n up to `most`: looked up, or reckoned where a table would be too long."""
    return _log_factorial if most >= TABLE else _table(most.bit_length()).__getitem__


@cache
def _table(bits: int) -> list[float]:
    """log of the factorials of all numbers of so many bits."""
    return list(map(_log_factorial, range(1 << bits)))


def _spacing(deviation: float) -> int:
    if deviation >= SPARSE[-1][0]:
        return int(deviation / SAMPLES_PER_DEVIATION)
    return next(spacing for below, spacing in SPARSE if deviation < below)


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
