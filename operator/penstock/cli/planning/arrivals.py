"""How requests arrive: the strata that routers close, and blocks of them drawn at once for many releases."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from penstock.cli.planning.choices import Floats
from penstock.cli.planning.cohort import Counts, Rail, Whole
from penstock.judge import strata
from penstock.judge.criteria import Unit

POOL = 65_536
"""Strata in a pool."""

POOLED = 20_000
"""Strata from which on a block is drawn from a pool."""

_Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Steady traffic.

    Args:
        traffic: requests per second of both arms together, above 0.
        routers: replicas that share it, at least 1; each gathers its own strata.
    """

    traffic: float
    routers: int = 2

    def seconds(self, weight: float) -> float:
        """Seconds from one stratum of a router to the next, on average.

        A stratum closes with the second in which it is full, so half a second's requests come on top.
        """
        return max(1.0, strata.enough(weight) * self.routers / self.traffic + 0.5)


@dataclass(frozen=True, slots=True)
class Counted:
    """What one guardrail counts in a block: strata with both arms, and stable's events in the others.

    `differences`, candidate rate − tolerated rate of each stratum, shape (releases, strata), NaN where there is none, are
    there for guardrails that judge strata, else None.
    """

    counts: Counts
    alone_events: Whole
    differences: Floats | None


@dataclass(frozen=True, slots=True)
class Block:
    """Strata of every release, added up; arrays of shape (releases,).

    `candidate` and `stable` are the requests of strata in which both arms had some, `alone` stable's of the others,
    which are no evidence; `total` all requests; `counted` one entry for each guardrail.
    """

    candidate: Whole
    stable: Whole
    alone: Whole
    total: Whole
    counted: tuple[Counted, ...]

    @property
    def both(self) -> NDArray[np.bool_]:
        """Releases in which the block says something, because both arms had requests."""
        heard: NDArray[np.bool_] = (self.candidate > 0) & (self.stable > 0)
        return heard


def draw_sums(draw: np.random.Generator, rails: Sequence[Rail], weight: Floats, size: Whole, count: Whole) -> Block:
    """`count` strata of `size` requests each, at candidate share `weight`, for every release."""
    candidate = draw.binomial(size * count, weight)
    stable = size * count - candidate
    alone = np.minimum(draw.binomial(count, (1.0 - weight) ** size) * size, stable)
    stable -= alone
    counted = tuple(
        Counted(
            Counts(candidate, stable, draw.binomial(candidate, rail.candidate), draw.binomial(stable, rail.stable)),
            draw.binomial(alone, rail.stable),
            None,
        )
        for rail in rails
    )
    return Block(candidate, stable, alone, size * count, counted)


@dataclass(frozen=True, slots=True)
class Strata:
    """Single strata, arrays of any one shape: the candidate's requests, and per guardrail (candidate events, stable
    events, candidate rate − tolerated rate)."""

    candidate: Whole
    events: tuple[tuple[Whole, Whole, Floats], ...]

    def chosen(self, which: Whole) -> "Strata":
        """Those at the places `which`, in its shape."""
        return Strata(self.candidate[which], tuple((x[which], y[which], d[which]) for x, y, d in self.events))


def draw_strata(draw: np.random.Generator, rails: Sequence[Rail], weight: Floats, size: Whole, shape: _Shape) -> Strata:
    """Strata of `size` requests at candidate share `weight` (both broadcast to `shape`); one-armed ones count nothing."""
    each = draw.binomial(size, weight, shape)
    both = (each > 0) & (each < size)
    candidates, stables = np.where(both, each, 0), np.where(both, size - each, 0)
    events = []
    for rail in rails:
        harmed, worse = draw.binomial(candidates, rail.candidate), draw.binomial(stables, rail.stable)
        rate, stable_rate = harmed / np.maximum(1, candidates), worse / np.maximum(1, stables)
        tolerated = np.maximum(rail.ratio * stable_rate, stable_rate + rail.points)
        events.append((harmed, worse, np.where(both, rate - tolerated, np.nan)))
    return Strata(each, tuple(events))


def add_up(draw: np.random.Generator, rails: Sequence[Rail], strata_drawn: Strata, size: Whole, count: Whole) -> Block:
    """The first `count` strata of each release, of shape (releases, strata), as a block."""
    each = strata_drawn.candidate
    inside = np.arange(each.shape[1]) < count[:, None]
    both = inside & (each > 0) & (each < size[:, None])
    candidate = np.where(both, each, 0).sum(axis=1)
    stable = np.where(both, size[:, None] - each, 0).sum(axis=1)
    alone = size * (inside & (each == 0)).sum(axis=1)
    counted = []
    for rail, (harmed, worse, differences) in zip(rails, strata_drawn.events, strict=True):
        sums = (np.where(inside, harmed, 0).sum(axis=1), np.where(inside, worse, 0).sum(axis=1))
        found = np.where(inside, differences, np.nan) if rail.unit is Unit.STRATA else None
        counted.append(Counted(Counts(candidate, stable, *sums), draw.binomial(alone, rail.stable), found))
    return Block(candidate, stable, alone, size * count, tuple(counted))


@dataclass(slots=True)
class Source:
    """Where the blocks of one simulation come from.

    Where differences between strata are evidence each stratum is drawn; in long stretches at one weight from a pool of
    strata, which is large enough for its own chance not to matter.
    """

    draw: np.random.Generator
    rails: tuple[Rail, ...]
    pools: dict[tuple[float, int], Strata] = field(default_factory=dict)

    @property
    def by_strata(self) -> bool:
        """Whether differences between strata are evidence for any guardrail."""
        return any(rail.unit is Unit.STRATA for rail in self.rails)

    def block(self, weight: Floats, size: Whole, count: Whole) -> Block:
        """`count` strata of `size` requests each, at candidate share `weight`, for every release."""
        if not self.by_strata:
            return draw_sums(self.draw, self.rails, weight, size, count)
        shape = (len(count), int(count.max()))
        busy = count > 0
        if shape[0] * shape[1] >= POOLED and np.ptp(weight[busy]) == 0.0:
            pool = self._pool(float(weight[busy][0]), int(size[busy][0]))
            drawn = pool.chosen(self.draw.integers(0, POOL, shape))
            return add_up(self.draw, self.rails, drawn, np.where(busy, size[busy][0], size), count)
        drawn = draw_strata(self.draw, self.rails, weight[:, None], size[:, None], shape)
        return add_up(self.draw, self.rails, drawn, size, count)

    def _pool(self, weight: float, size: int) -> Strata:
        if (weight, size) not in self.pools:
            self.pools[weight, size] = draw_strata(self.draw, self.rails, np.array([weight]), np.array([size]), (POOL,))
        return self.pools[weight, size]
