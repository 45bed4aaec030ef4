"""Axes: from a value to a place between 0 and 1, and the values that deserve a label."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from penstock.cli.planning.wording import duration, percent

TIMES = (
    0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400,
    172_800, 604_800, 1_209_600, 2_592_000, 7_776_000, 31_536_000,
)  # fmt: skip
"""Seconds that people count in."""

RATES = (*(digit * 10.0**power for power in range(-7, 0) for digit in (1, 2, 5)), 1.0)
"""Shares that people count in."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled value and its place between 0 and 1."""

    value: float
    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of values laid out evenly in `scale` of them (the identity, or a logarithm)."""

    low: float
    high: float
    scale: Callable[[float], float]

    def place(self, value: float) -> float:
        """Where the value lies, within 0 and 1."""
        low, high = self.scale(self.low), self.scale(self.high)
        return (self.scale(min(max(value, self.low), self.high)) - low) / (high - low)

    def ticks(
        self, values: Iterable[float], label: Callable[[float], str], apart: Callable[[str], float]
    ) -> list[Tick]:
        """Ticks at those of `values` that lie on the axis, leaving out any closer than `apart(label)` to one before."""
        found: list[Tick] = []
        for value in values:
            if self.low <= value <= self.high:
                tick = Tick(value, self.place(value), label(value))
                if not found or tick.place - found[-1].place >= 0.5 * (apart(tick.label) + apart(found[-1].label)):
                    found.append(tick)
        return found


def linear(low: float, high: float) -> Axis:
    """An axis of equal steps; a range of nothing is widened."""
    return Axis(low, high if high > low else low + 1.0, float)


def logarithmic(low: float, high: float) -> Axis:
    """An axis of equal ratios, for positive values; a range of nothing is widened."""
    return Axis(low, high if high > low else 10.0 * low, math.log)


def log_times(low: float, high: float) -> Axis:
    """A logarithmic axis of seconds."""
    return logarithmic(max(low, 0.1), high)


def time_label(seconds: float) -> str:
    """`10 s`, `5m`, `1d`."""
    return duration(seconds)


def rate_label(rate: float) -> str:
    """`0.5 %`."""
    return percent(rate)


def round_steps(low: float, high: float, most: int) -> Sequence[float]:
    """Multiples of 1, 2 or 5 times a power of ten between `low` and `high`, at most `most` + 1 of them."""
    wide = max(high - low, 1e-12) / most
    unit = 10.0 ** math.floor(math.log10(wide))
    step = next(unit * factor for factor in (1.0, 2.0, 5.0, 10.0) if unit * factor >= wide * (1.0 - 1e-9))
    return [step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def time_steps(low: float, high: float, most: int) -> Sequence[float]:
    """Multiples of a length that people count in, between `low` and `high` seconds, at most `most` + 1 of them."""
    wide = max(high - low, 0.1) / most
    step = next((time for time in TIMES if time >= wide), TIMES[-1] * math.ceil(wide / TIMES[-1]))
    return [step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
