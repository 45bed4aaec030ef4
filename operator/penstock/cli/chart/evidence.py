"""What both kinds of evidence charts share: curves in powers of ten, cut where nothing more can be read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from penstock.cli.chart.axis import Axis, linear
from penstock.cli.chart.series import EvidenceSeries
from penstock.cli.planning.wording import duration

LOWEST = -3.0
"""Power of ten below which evidence is drawn at the lower edge: it speaks for the contrary."""

HEADROOM = 1.6
"""Part of the line's height that is shown, so that what happens beyond does not squeeze what happens before."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One kind of evidence: curves by guardrail in powers of ten, and the line that decides."""

    title: str
    curves: dict[str, list[float]]
    line: float
    line_label: str
    axis: Axis


def harm_panel(series: EvidenceSeries) -> Panel:
    """Evidence of harm."""
    line = _tens(series.threshold)
    return _panel("Evidence of harm", series.log_evalue, line, f"rolled back at {_odds(line)}")


def health_panel(series: EvidenceSeries) -> Panel:
    """Evidence that harm is excluded."""
    line = _tens(series.threshold_promotion)
    return _panel("Evidence that harm is excluded", series.log_promotion, line, f"each must reach {_odds(line)}")


def _panel(title: str, curves: Mapping[str, list[float]], line: float, label: str) -> Panel:
    tens = {name: [_tens(value) for value in values] for name, values in curves.items()}
    seen = [value for values in tens.values() for value in values]
    low = min(-1.0, max(LOWEST, min(seen, default=0.0)))
    high = max(line * 1.15, min(line * HEADROOM, max(seen, default=0.0)))
    return Panel(title, tens, line, label, linear(low, high))


def _tens(natural: float) -> float:
    return natural / math.log(10.0)


def _odds(tens: float) -> str:
    return f"{10.0**tens:,.3g}" if tens < 5 else f"10^{tens:.1f}"


def power_label(tens: float) -> str:
    """`1`, `100`, `10^4`."""
    whole = round(tens)
    if 0 <= whole <= 3:
        return f"{10**whole:,}"
    return f"0.{'0' * (-whole - 1)}1" if -3 <= whole < 0 else f"10^{whole}"


def from_first_look(series: EvidenceSeries) -> EvidenceSeries:
    """The same with time counted from the first look; routers may count from 1970."""
    if not series.t:
        return series
    first = series.t[0]
    verdict_at = None if series.verdict_at is None else max(0.0, series.verdict_at - first)
    return replace(series, t=[t - first for t in series.t], verdict_at=verdict_at)


def time_axis(series: EvidenceSeries) -> Axis:
    """From the first look to a little after the last."""
    return linear(0.0, 1.015 * max(series.t[-1], series.verdict_at or 0.0))


def headline(series: EvidenceSeries) -> str:
    """The release and its verdict."""
    name = series.release or "release"
    if series.verdict_at is None:
        return f"{name}: {series.verdict or 'no verdict'}"
    return f"{name}: {series.verdict} after {duration(series.verdict_at)}"


def weight_changes(series: EvidenceSeries) -> list[tuple[float, float]]:
    """(seconds, weight) wherever the weight changed, the first look included."""
    changes: list[tuple[float, float]] = []
    for t, weight in zip(series.t, series.weight, strict=True):
        if not changes or changes[-1][1] != weight:
            changes.append((t, weight))
    return changes
