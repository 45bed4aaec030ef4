"""Page's cumulative sums on several scales, with thresholds set from an average run length.

A chart with allowance k finds shifts of about 2k standard deviations soonest, so slow drift shows on the small scale
and a jump on the large one. The guarantee is for independent standard normal residuals only; the bank describes what
the e-detector (any bounded scores) has found, and watches quantities that are known to be near normal. Source: Page,
Biometrika 41 (1954); Lorden, Ann. Math. Statist. 42 (1971); headstart: Lucas and Crosier, Technometrics 24 (1982).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, log

from scipy.optimize import brentq

from penstock.judge.change.runlength import normal_cusum, two_sided_normal_cusum
from penstock.judge.change.side import Side

SCALES = (0.25, 0.5, 1.0)
HEADSTART = 0.5
LONGEST = 1e9


@dataclass(frozen=True, slots=True)
class Chart:
    """One one-sided chart: allowance k, threshold h and headstart, in standard deviations of a step's residual."""

    side: Side
    allowance: float
    threshold: float
    start: float


@dataclass(frozen=True, slots=True)
class Excursion:
    """A chart's state: its sum, and the steps since it last stood at zero (or began)."""

    sum: float
    steps: int


@dataclass(frozen=True, slots=True)
class Bank:
    """Charts that restart together. `tolerated` is the shift, in standard deviations, that still counts as no
    change."""

    charts: tuple[Chart, ...]
    tolerated: float = 0.0


@dataclass(frozen=True, slots=True)
class Crossing:
    """A chart that raised the alarm; the change began about `age` steps ago (Page's estimate: since the last zero)."""

    chart: Chart
    age: int


def threshold_for(arl: float, allowance: float, sides: Sequence[Side], headstart: float = HEADSTART) -> float:
    """Threshold h at which charts on `sides`, started at `headstart`·h, run `arl` steps on average under N(0, 1).

    Raises ValueError unless 0 <= headstart <= 1/2 and `arl` lies between that of a threshold of almost zero (a few
    steps) and 1e9.
    """
    if not 0 <= headstart <= 0.5:
        raise ValueError(f"headstart {headstart} must be a share of the threshold in [0, 1/2]")
    length = two_sided_normal_cusum if len(set(sides)) == 2 else normal_cusum

    def excess(threshold: float) -> float:
        return log(length(allowance, threshold, 0.0, headstart * threshold) / arl)

    lowest = highest = 0.01
    if not (0 < arl <= LONGEST and excess(lowest) < 0):
        raise ValueError(f"a run length of {arl} steps is out of reach at allowance {allowance}")
    while excess(highest) < 0:
        lowest, highest = highest, 1.5 * highest + 0.5
    return float(brentq(excess, lowest, highest, xtol=1e-9, rtol=1e-12))


def design(
    arl: float,
    scales: Sequence[float] = SCALES,
    sides: Sequence[Side] = tuple(Side),
    headstart: float = HEADSTART,
    tolerated: float = 0.0,
) -> Bank:
    """Bank whose alarms come at most once per `arl` steps.

    Each scale gets the run length `len(scales)·arl`, so that the rates add up to 1/arl; the scales alarm together
    often, which leaves the whole bank above `arl` (measured, see the statistics page). Raises ValueError as
    `threshold_for`.
    """
    charts = []
    for allowance in scales:
        threshold = threshold_for(arl * len(scales), allowance, sides, headstart)
        charts += [Chart(side, allowance, threshold, headstart * threshold) for side in sides]
    return Bank(tuple(charts), tolerated)


def begin(bank: Bank) -> tuple[Excursion, ...]:
    """State at the start and after each alarm: every chart at its headstart."""
    return tuple(Excursion(chart.start, 0) for chart in bank.charts)


def advance(
    bank: Bank, state: tuple[Excursion, ...], residual: float
) -> tuple[tuple[Excursion, ...], tuple[Crossing, ...]]:
    """One step with a residual in standard deviations; an alarm of any chart restarts the whole bank.

    Raises ValueError for a residual that is no finite number.
    """
    if not isfinite(residual):
        raise ValueError(f"residual {residual} is not a finite number; leave the step out instead")
    moved = tuple(
        _moved(at, chart.side.sign * residual - bank.tolerated - chart.allowance)
        for chart, at in zip(bank.charts, state, strict=True)
    )
    crossings = tuple(
        Crossing(chart, at.steps) for chart, at in zip(bank.charts, moved, strict=True) if at.sum >= chart.threshold
    )
    return (begin(bank) if crossings else moved), crossings


def _moved(at: Excursion, increment: float) -> Excursion:
    total = at.sum + increment
    return Excursion(total, at.steps + 1) if total > 0 else Excursion(0.0, 0)
