"""Page's chart for counts: S <- max(0, S + count - allowance), alarm at S >= threshold.

The allowance is a rational number, so S lives on a lattice and the run length is exact (Brook and Evans, Biometrika 59
(1972); Lucas, Technometrics 27 (1985)). The guarantee is for independent Poisson counts with at most the stated mean.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, log

import numpy as np
from scipy.special import gammaln

LARGEST_LATTICE = 3000


@dataclass(frozen=True, slots=True)
class CountChart:
    """Allowance, threshold and headstart in counts."""

    allowance: Fraction
    threshold: Fraction
    start: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        if self.allowance <= 0 or not 0 <= self.start < self.threshold:
            raise ValueError(f"allowance must be above 0 and the start in [0, threshold): {self}")


def allowance_between(usual: float, raised: float) -> Fraction:
    """Allowance that finds a rise of the mean count from `usual` to `raised` soonest (Lucas 1985, eq. 2).

    Rounded to eighths, upwards of `usual`. Raises ValueError unless 0 < usual < raised.
    """
    if not 0 < usual < raised:
        raise ValueError(f"the raised mean {raised} must be above the usual mean {usual}, and that above 0")
    return max(Fraction(round(8 * (raised - usual) / log(raised / usual)), 8), Fraction(int(8 * usual) + 1, 8))


def run_length(chart: CountChart, mean: float) -> float:
    """Exact mean number of steps to an alarm for independent Poisson counts with this mean.

    Raises ValueError for a mean that is not above 0 or a lattice of more than 3,000 points.
    """
    if not mean > 0:
        raise ValueError(f"mean {mean} must be above 0")
    unit = chart.allowance.denominator
    states = ceil(chart.threshold * unit)
    if states > LARGEST_LATTICE:
        raise ValueError(f"{states} lattice points; round the allowance to a coarser fraction")
    counts = np.arange(states // unit + ceil(chart.allowance) + 2)
    probability = np.exp(counts * log(mean) - mean - gammaln(counts + 1))
    at = np.arange(states)
    chain = np.zeros((states, states))
    for count, share in zip(counts, probability, strict=True):
        to = np.maximum(0, at + count * unit - int(chart.allowance * unit))
        inside = to < states
        np.add.at(chain, (at[inside], to[inside]), share)
    lengths = np.linalg.solve(np.eye(states) - chain, np.ones(states))
    return float(lengths[ceil(chart.start * unit)])


def design(arl: float, allowance: Fraction, usual: float) -> CountChart:
    """The smallest chart without headstart that runs at least `arl` steps at the usual mean.

    Raises ValueError when that would need a lattice of more than 3,000 points (mean too near the allowance), or as
    `run_length`.
    """
    unit = allowance.denominator
    low, high = 0, 1
    while run_length(CountChart(allowance, Fraction(high, unit)), usual) < arl:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = run_length(CountChart(allowance, Fraction(middle, unit)), usual) >= arl
        low, high = (low, middle) if enough else (middle, high)
    return CountChart(allowance, Fraction(high, unit))


def advance(chart: CountChart, at: Fraction, count: int) -> tuple[Fraction, bool]:
    """One step: the new sum, and whether it raised the alarm (the sum then restarts at the chart's start).

    Raises ValueError for a negative count.
    """
    if count < 0:
        raise ValueError(f"count {count} is negative; leave the step out instead")
    moved = max(Fraction(0), at + count - chart.allowance)
    alarm = moved >= chart.threshold
    return (chart.start if alarm else moved), alarm
