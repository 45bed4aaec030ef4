"""The portfolio of bets, and the evidence of its mean capital.

The capital is spread evenly over a geometric grid of stakes, from nearly all that one row may cost to nearly nothing, and
never moved: the grid costs at most log(number of stakes) against the best of them, which lies within a factor 1.42 of
what hindsight would choose, and leaves nothing to tune.
"""

from math import log
from typing import Protocol

import numpy as np
from scipy.optimize import brentq

from penstock.judge.labels.moments import FloatArray

STAKES: FloatArray = 0.98 * np.exp2(-np.arange(12.0))
"""Shares of the largest bet that cannot ruin."""

_EDGE = 1e-9


class Sample(Protocol):
    """Rows in [0, 1] of which at least the least capital of every bet is known."""

    @property
    def count(self) -> int: ...

    @property
    def mean(self) -> float: ...

    def mirrored(self) -> "Sample": ...

    def log_growth(self, bets: FloatArray, null: float) -> FloatArray: ...


def log_mean(log_capitals: FloatArray) -> float:
    """log of the mean of capitals given by their logarithms."""
    top = float(log_capitals.max())
    return top + log(float(np.exp(log_capitals - top).mean()))


def log_evidence_above(sample: Sample, null: float) -> float:
    """log e-value against "the mean is at most `null`", 0 < null < 1.

    A stream of rows keeps its guarantee at every look, for rows whose mean given the past never exceeds `null`, whatever
    else they depend on; for independent rows it is enough that the average of their means does not.
    """
    return log_mean(sample.log_growth(STAKES / null, null))


def log_evidence_below(sample: Sample, null: float) -> float:
    """log e-value against "the mean is at least `null`"."""
    return log_evidence_above(sample.mirrored(), 1 - null)


def mean_interval(sample: Sample, alpha: float) -> tuple[float, float]:
    """Confidence sequence for a mean that does not move, in [0, 1]: holds at all looks with probability 1 − `alpha`.

    Each side spends alpha/2. Before the first row it is [0, 1].
    """
    if sample.count == 0:
        return 0.0, 1.0
    return _lower_limit(sample, alpha), 1 - _lower_limit(sample.mirrored(), alpha)


def _lower_limit(sample: Sample, alpha: float) -> float:
    threshold = log(2 / alpha)

    def surplus(null: float) -> float:
        return log_evidence_above(sample, null) - threshold

    if sample.mean <= _EDGE or surplus(_EDGE) <= 0:
        return 0.0
    return float(brentq(surplus, _EDGE, min(sample.mean, 1 - _EDGE), xtol=1e-12))
