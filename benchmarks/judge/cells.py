"""The table of situations in which the judge's error rates are measured."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from numpy.random import Generator
from penstock.judge.criteria import Criteria, Guardrail, Tolerance, Unit
from penstock.judge.rows import Row

from benchmarks.judge.scenarios import Bursts, Scenario, Sticky, UnequalPods, diurnal, flat, rows

Source = Callable[[Generator, int], Iterator[Row]]
"""Rows of the i-th release."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One situation: what is true, what it is judged by, how many releases.

    The truth of every cell lies within tolerance, most of them exactly on its edge; each release takes the next of
    the shapes in turn.
    """

    name: str
    criteria: Criteria
    source: Source
    releases: int


def _criteria(ratio: float, points: float, unit: Unit = Unit.REQUESTS) -> Criteria:
    return Criteria((Guardrail("failed", "failed", Tolerance(ratio, points), unit),))


def _shapes(base: float, ratio: float = 1.0, points: float = 0.0) -> Source:
    """Flat, tenfold diurnal, stepped and data-dependent weights, one to three routers, an incident in one of them."""
    incident = 10.0 if base <= 0.05 else 1.8
    peak = min(base, 0.25)
    shapes = (
        Scenario("flat", flat(base), weight=0.05, ratio=ratio, points=points),
        Scenario("half", flat(base), weight=0.5, ratio=ratio, points=points),
        Scenario("diurnal", diurnal(peak), diurnal(300.0), schedule="stepped", ratio=ratio, points=points),
        Scenario("dependent", flat(base), schedule="dependent", ratio=ratio, points=points),
        Scenario(
            "incident", flat(peak), schedule="stepped", routers=2, lag=4, incident=incident, ratio=ratio, points=points
        ),
        Scenario(
            "three",
            diurnal(peak),
            schedule="dependent",
            routers=3,
            lag=3,
            incident=incident,
            ratio=ratio,
            points=points,
        ),
    )
    return lambda rng, i: rows(shapes[i % len(shapes)], rng)


def _of(scenario: Sticky | Bursts | UnequalPods) -> Source:
    return lambda rng, _: scenario.rows(rng)


CELLS: tuple[Cell, ...] = (
    *(
        Cell(f"no difference, base {base:.2%}", _criteria(1.0, 0.0), _shapes(base), releases)
        for base, releases in ((0.0001, 2_000), (0.001, 2_000), (0.01, 10_000), (0.05, 10_000), (0.2, 2_000))
    ),
    *(
        Cell(f"exactly 1.5 times, base {base:.0%}", _criteria(1.5, 0.0), _shapes(base, 1.5), 2_000)
        for base in (0.01, 0.1, 0.3, 0.5)
    ),
    Cell("exactly on both margins, base 2%", _criteria(1.5, 0.01), _shapes(0.02, 1.5, 0.01), 2_000),
    *(
        Cell(f"sticky, {users:,} unequal users", _criteria(1.0, 0.0, Unit.USERS), _of(Sticky("sticky", users)), 2_000)
        for users in (200, 2_000)
    ),
    *(
        Cell(
            f"bursts, {weight:.0%} share", _criteria(1.0, 0.0, Unit.STRATA), _of(Bursts("bursts", weight=weight)), 2_000
        )
        for weight in (0.05, 0.5)
    ),
    Cell("pods of unequal luck, 1 against 10", _criteria(1.5, 0.0, Unit.STRATA), _of(UnequalPods("pods")), 2_000),
)
