"""Latency bands: each count says between which thresholds the answer took, so every threshold's count is exact."""

from collections.abc import Iterable
from dataclasses import dataclass

from penstock.router.routing import Threshold


@dataclass(frozen=True, slots=True)
class Band:
    """Answers that took `low` up to and including `high` milliseconds; without `high` there is no end."""

    low: int
    high: int | None

    def __str__(self) -> str:
        return f"{self.low}-{'' if self.high is None else self.high}"


def bands(try_timeout: int, thresholds: Iterable[Threshold]) -> tuple[Band, ...]:
    """The bands between all thresholds, from 0 on, without gap or overlap."""
    edges = sorted({0, try_timeout, *(threshold.milliseconds for threshold in thresholds)})
    return tuple(Band(low, high) for low, high in zip(edges, [*(edge - 1 for edge in edges[1:]), None], strict=True))


def read_band(text: str) -> Band | None:
    """The band that was written so; None for any other text."""
    low, dash, high = text.partition("-")
    if not dash or not low.isdecimal() or not (high == "" or high.isdecimal()):
        return None
    return Band(int(low), int(high) if high else None)
