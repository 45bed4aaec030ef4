"""How requests arrive: the strata that routers close, and blocks of them drawn at once for many releases."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.cli.planning.choices import Floats
from penstock.cli.planning.cohort import Counts, Rail, Whole
from penstock.judge import strata
from penstock.judge.criteria import Unit


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
class Block:
    """Strata of every release, added up; arrays of shape (releases,).

    `candidate` and `stable` are the requests of strata in which both arms had some, `alone` stable's of the others,
    which are no evidence; `total` all requests. `each` holds the candidate's requests stratum by stratum, −1 where a
    release has no more of them, shape (releases, strata); None where only sums are needed.
    """

    candidate: Whole
    stable: Whole
    alone: Whole
    total: Whole
    size: Whole
    each: Whole | None


def draw_sums(draw: np.random.Generator, weight: Floats, size: Whole, count: Whole) -> Block:
    """`count` strata of `size` requests each, at candidate share `weight`, for every release."""
    candidate = draw.binomial(size * count, weight)
    empty = draw.binomial(count, (1.0 - weight) ** size) * size
    stable = size * count - candidate
    alone = np.minimum(empty, stable)
    return Block(candidate, stable - alone, alone, size * count, size, None)


def draw_each(draw: np.random.Generator, weight: Floats, size: Whole, count: Whole) -> Block:
    """The same, stratum by stratum."""
    inside = np.arange(int(count.max())) < count[:, None]
    each = np.where(inside, draw.binomial(size[:, None], weight[:, None], inside.shape), -1)
    candidate = np.maximum(each, 0).sum(axis=1)
    alone = ((each == 0) * size[:, None]).sum(axis=1)
    return Block(candidate, size * count - candidate - alone, alone, size * count, size, each)


def events_of(draw: np.random.Generator, rail: Rail, block: Block) -> tuple[Counts, Whole, Floats | None]:
    """What a guardrail counts in a block.

    Returns the counts of strata with both arms, stable's events in the others, and, where a guardrail judges strata, the
    differences candidate rate − tolerated rate, shape (releases, strata), NaN where there is none.
    """
    alone = draw.binomial(block.alone, rail.stable)
    if rail.unit is not Unit.STRATA or block.each is None:
        candidate = draw.binomial(block.candidate, rail.candidate)
        stable = draw.binomial(block.stable, rail.stable)
        return Counts(block.candidate, block.stable, candidate, stable), alone, None
    both = (block.each > 0) & (block.each < block.size[:, None])
    candidates = np.where(both, block.each, 0)
    stables = np.where(both, block.size[:, None] - block.each, 0)
    harmed, worse = draw.binomial(candidates, rail.candidate), draw.binomial(stables, rail.stable)
    rate = harmed / np.maximum(1, candidates)
    stable_rate = worse / np.maximum(1, stables)
    tolerated = np.maximum(rail.ratio * stable_rate, stable_rate + rail.points)
    counts = Counts(block.candidate, block.stable, harmed.sum(axis=1), worse.sum(axis=1))
    return counts, alone, np.where(both, rate - tolerated, np.nan)


def one_arm(block: Block) -> NDArray[np.bool_]:
    """Releases in which the block says nothing, because one arm had no request."""
    nothing: NDArray[np.bool_] = (block.candidate == 0) | (block.stable == 0)
    return nothing
