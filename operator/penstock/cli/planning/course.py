"""The course of a simulated release: strata arrive, the judge weighs them, the weight rises step by step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from penstock.cli.planning.arrivals import Arrivals, Source
from penstock.cli.planning.choices import Floats
from penstock.cli.planning.cohort import Cohort, Rail, Whole
from penstock.cli.planning.schedule import Stage
from penstock.judge import forecast, guardrail, restarts

GROWTH = 0.07
"""Share of all requests so far that one block may add: as much finer than evidence as a chart can show."""

MOST_STRATA = 4_000
"""Strata in one block while differences between strata are evidence: each of them is drawn."""


class Ending(IntEnum):
    """How a simulated release ended."""

    UNDECIDED = 0
    PROMOTED = 1
    ROLLED_BACK = 2


class Waits(IntEnum):
    """What a stage waited for last."""

    REQUESTS = 0
    PAUSE = 1
    SIGNS = 2
    EXPOSURE = 3
    EVIDENCE = 4


@dataclass(frozen=True, slots=True)
class Contract:
    """Where releases end.

    Args:
        rollback: log e-value, combined over the guardrails, that takes a release back.
        promotion: log e-value that every guardrail needs for a promotion.
        false_rollback: error of the interval that bounds exposure.
        deadline: seconds from the candidate's first request.
        others: guardrails that are not simulated, whose evidence of harm is taken to be nil.
    """

    rollback: float
    promotion: float
    false_rollback: float
    deadline: float
    others: int = 0


@dataclass(frozen=True, slots=True)
class Courses:
    """What became of the simulated releases; arrays of shape (releases,), or (releases, stages) per stage.

    `seconds` until the end; `requests` and `events` of the candidate until then; `reached` seconds at which each stage
    was left, NaN where it was not; `counted` requests of the candidate within each stage; `waited` what each stage
    waited for last.
    """

    ending: NDArray[np.int8]
    seconds: Floats
    requests: Floats
    events: Floats
    total: Floats
    reached: Floats
    counted: Floats
    waited: NDArray[np.int8]


def joined(parts: Sequence[Courses]) -> Courses:
    """All releases of several simulations."""
    return Courses(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Courses)))


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is simulated: guardrails with their rates, the stages, the traffic and where releases end."""

    rails: tuple[Rail, ...]
    stages: tuple[Stage, ...]
    arrivals: Arrivals
    contract: Contract


@dataclass(slots=True)
class Course:
    """Releases under way; all arrays have shape (releases,) unless said otherwise.

    `watched` are the guardrails whose evidence of harm is followed: all of them, or none for a candidate as good as
    stable, whose evidence of harm stays below the line that withholds a step in all but a few releases of a thousand.
    """

    scenario: Scenario
    releases: int
    source: Source
    cohorts: tuple[Cohort, ...]
    watched: tuple[Cohort, ...]
    t: Floats = field(init=False)
    started: Floats = field(init=False)
    stage: Whole = field(init=False)
    here: Floats = field(init=False)
    """Requests of the candidate within the present stage."""
    full: Floats = field(init=False)
    """Second at which the present stage had its requests; NaN before."""
    waits: NDArray[np.int8] = field(init=False)
    total: Floats = field(init=False)
    requests: Floats = field(init=False)
    events: Floats = field(init=False)
    spent_time: Floats = field(init=False)
    spent_requests: Floats = field(init=False)
    running: NDArray[np.bool_] = field(init=False)
    ending: NDArray[np.int8] = field(init=False)
    reached: Floats = field(init=False)
    counted: Floats = field(init=False)
    waited: NDArray[np.int8] = field(init=False)
    harm: Floats = field(init=False)
    health: Floats = field(init=False)
    """Combined evidence of harm, and the least evidence that it is excluded, as logarithms."""
    work: int = 0
    """What it took so far: blocks weighed, and strata drawn one by one in hundreds, summed over the releases."""

    def __post_init__(self) -> None:
        n, stages = self.releases, len(self.scenario.stages)
        self.t, self.here, self.total = np.zeros(n), np.zeros(n), np.zeros(n)
        self.requests, self.events = np.zeros(n), np.zeros(n)
        self.spent_time, self.spent_requests = np.zeros(n), np.zeros(n)
        self.started, self.full = np.full(n, np.nan), np.full(n, np.nan)
        self.stage, self.ending = np.zeros(n, np.int64), np.zeros(n, np.int8)
        self.waits, self.running = np.zeros(n, np.int8), np.ones(n, np.bool_)
        self.reached, self.counted = np.full((n, stages), np.nan), np.full((n, stages), np.nan)
        self.waited = np.zeros((n, stages), np.int8)
        self.harm, self.health = self._log_harm(), self._log_health()

    def courses(self) -> Courses:
        """What has become of the releases so far."""
        return Courses(
            self.ending, self.t, self.requests, self.events, self.total, self.reached, self.counted, self.waited
        )

    def step(self) -> None:
        """Let one block of strata arrive in every release that is under way."""
        scenario = self.scenario
        weights = np.array([stage.weight for stage in scenario.stages])[self.stage]
        seconds = np.array([scenario.arrivals.seconds(stage.weight) for stage in scenario.stages])[self.stage]
        rounds = self._rounds(weights, seconds)
        harm, health = self.harm, self.health
        before = (self.t.copy(), self.requests.copy(), self.events.copy(), self.total.copy())
        self._arrive(weights, seconds, rounds)
        self.work += int(self.running.sum()) + self._strata_drawn(rounds) // 100
        late = self.running & (
            self.t - np.where(np.isnan(self.started), np.inf, self.started) > scenario.contract.deadline
        )
        harm_after, health_after = self.harm, self.health = self._log_harm(), self._log_health()
        contract = scenario.contract
        back = self.running & ~late & (harm_after >= contract.rollback)
        self._end(back, Ending.ROLLED_BACK, _crossing(harm, harm_after, contract.rollback, rounds), before)
        self._end(late, Ending.UNDECIDED, np.ones(self.releases), before)
        ready = self._advance(harm_after, health_after)
        self._end(ready, Ending.PROMOTED, _crossing(health, health_after, contract.promotion, rounds), before)
        self._close(back | ready, weights)

    def _strata_drawn(self, rounds: Whole) -> int:
        if not self.source.by_strata:
            return 0
        return int(rounds[self.running].sum()) * self.scenario.arrivals.routers

    def _rounds(self, weights: Floats, seconds: Floats) -> Whole:
        """Strata of each router in the next block: one while little is known, then a twentieth of what is."""
        arrivals = self.scenario.arrivals
        per_round = seconds * arrivals.traffic
        rounds = GROWTH * np.minimum(self.total / per_round, self.requests / (weights * per_round))
        wanted = np.array([stage.min_requests for stage in self.scenario.stages])[self.stage] - self.here
        rounds = np.minimum(rounds, np.where(wanted > 0, wanted / (weights * per_round), np.inf))
        pause = np.array([stage.pause for stage in self.scenario.stages])[self.stage] - (self.t - self.full)
        rounds = np.minimum(rounds, np.where(pause > 0.0, pause / seconds, np.inf))
        left = self.scenario.contract.deadline - (self.t - self.started)
        rounds = np.minimum(rounds, np.where(left > 0.0, left / seconds, np.inf))
        if self.source.by_strata:
            rounds = np.minimum(rounds, MOST_STRATA // arrivals.routers)
        return np.maximum(1, np.ceil(rounds)).astype(np.int64)

    def _arrive(self, weight: Floats, seconds: Floats, rounds: Whole) -> None:
        arrivals, alive = self.scenario.arrivals, self.running
        size = np.maximum(1, np.rint(seconds * arrivals.traffic / arrivals.routers)).astype(np.int64)
        block = self.source.block(weight, size, np.where(alive, rounds * arrivals.routers, 0))
        span = np.where(alive, rounds * seconds, 0.0)
        begins = np.isnan(self.started) & (block.candidate > 0)
        self.started = np.where(begins, self.t + span / (block.candidate + 1.0), self.started)
        self.t += span
        self.total += block.total
        self.requests += block.candidate
        self.here += block.candidate
        onset = self._spend(np.where(np.isnan(self.started), 0, block.total))
        both, halved = block.both & (weight < 1.0), np.abs(weight - 0.5) < 1e-9
        self.events += block.counted[0].counts.candidate_events
        for cohort, counted in zip(self.cohorts, block.counted, strict=True):
            if cohort in self.watched:
                cohort.observe_harm(counted.counts, both, onset)
            cohort.observe_health(counted.counts, both)
            if counted.differences is not None:
                cohort.observe_signs(counted.differences, halved, onset)
            cohort.observe_stable(
                counted.counts.stable + block.alone, counted.counts.stable_events + counted.alone_events
            )

    def _spend(self, requests: Whole) -> Floats:
        """The weight of harm that begins now: `restarts.Spending` over all releases."""
        deadline = self.scenario.contract.deadline
        clock = np.clip(np.nan_to_num(self.t - self.started), self.spent_time, deadline)
        spent = self.spent_requests + requests
        weight = np.where((self.spent_requests == 0) & (requests > 0), restarts.START, 0.0)
        weight += restarts.BY_TIME * (clock - self.spent_time) / deadline
        weight += restarts.BY_TRAFFIC * (_unspent(self.spent_requests) - _unspent(spent))
        self.spent_time, self.spent_requests = clock, spent
        return weight

    def _log_harm(self) -> Floats:
        """Combined evidence of harm; the guardrails that are not followed count for nothing."""
        if not self.watched:
            return np.full(self.releases, -np.inf)
        logs = np.stack([cohort.log_harm() for cohort in self.watched])
        peak = logs.max(axis=0)
        everyone = len(self.cohorts) + self.scenario.contract.others
        combined: Floats = peak + np.log(np.exp(logs - peak).sum(axis=0) / everyone)
        return combined

    def _log_health(self) -> Floats:
        least: Floats = np.min([cohort.log_health() for cohort in self.cohorts], axis=0)
        return least

    def _advance(self, harm: Floats, health: Floats) -> NDArray[np.bool_]:
        """Raise weights where the stage is done; the releases that are ready for a promotion."""
        stages, contract = self.scenario.stages, self.scenario.contract
        last = len(stages) - 1
        wanted = np.array([stage.min_requests for stage in stages])[self.stage]
        pause = np.array([stage.pause for stage in stages])[self.stage]
        enough = self.running & (self.here >= wanted)
        self.full = np.where(enough & np.isnan(self.full), self.t, self.full)
        waited = enough & (self.t - np.where(enough, self.full, 0.0) >= pause)
        calm = waited & (harm < forecast.SIGN)
        ready: NDArray[np.bool_] = calm & (self.stage == last) & (health >= contract.promotion)
        self._wait(self.running & ~enough, Waits.REQUESTS)
        self._wait(enough & ~waited, Waits.PAUSE)
        self._wait(waited & ~calm, Waits.SIGNS)
        self._wait(calm & (self.stage == last) & ~ready, Waits.EVIDENCE)
        for release in np.flatnonzero(calm & (self.stage < last)).tolist():
            following = stages[self.stage[release] + 1]
            present = forecast.Step(following.weight, int(wanted[release]))
            highest = max(cohort.difference[release].interval(contract.false_rollback)[1] for cohort in self.cohorts)
            if forecast.step_allowed(present, int(self.here[release]), float(harm[release]), highest):
                self._leave(release)
                self.stage[release] += 1
                self.here[release], self.full[release], self.waits[release] = 0.0, np.nan, Waits.REQUESTS
            else:
                self.waits[release] = Waits.EXPOSURE
        for release in np.flatnonzero(ready).tolist():
            self._leave(release)
        return ready

    def _leave(self, release: int) -> None:
        stage = self.stage[release]
        self.reached[release, stage], self.counted[release, stage] = self.t[release], self.here[release]
        self.waited[release, stage] = self.waits[release]

    def _wait(self, where: NDArray[np.bool_], reason: Waits) -> None:
        self.waits = np.where(where, np.int8(reason), self.waits)

    def _end(self, where: NDArray[np.bool_], ending: Ending, part: Floats, before: tuple[Floats, ...]) -> None:
        """End releases within their newest block, `part` of which was needed."""
        for array, earlier in zip((self.t, self.requests, self.events, self.total), before, strict=True):
            array[where] = (earlier + part * (array - earlier))[where]
        self.ending[where] = ending
        self.running &= ~where

    def _close(self, where: NDArray[np.bool_], weights: Floats) -> None:
        """A second is closed when the next one is heard; requests go on arriving meanwhile."""
        rate, failing = self.scenario.arrivals.traffic, self.events / np.maximum(1.0, self.requests)
        self.t += np.where(where, 1.0, 0.0)
        self.total += np.where(where, rate, 0.0)
        self.requests += np.where(where, rate * weights, 0.0)
        self.events += np.where(where, rate * weights * failing, 0.0)


def _unspent(requests: Floats) -> Floats:
    share: Floats = 1.0 / (1.0 + np.log1p(requests / restarts.SCALE))
    return share


def _crossing(before: Floats, after: Floats, line: float, rounds: Whole) -> Floats:
    """The part of a block after which the evidence reached the line, were it to rise evenly, in whole strata."""
    before = np.maximum(before, guardrail.LOWEST)
    rise = np.maximum(after, guardrail.LOWEST) - before
    part = np.divide(line - before, rise, out=np.ones_like(rise), where=rise > 0.0)
    return np.ceil(np.clip(part, 1e-9, 1.0) * rounds) / rounds


def healthy(scenario: Scenario, releases: int, seed: int) -> Iterator[Course]:
    """Follow releases of a candidate as good as stable to their ends, one block at a time."""
    yield from _follow(scenario, releases, seed, watched=0)


def harmed(scenario: Scenario, releases: int, seed: int) -> Iterator[Course]:
    """Follow releases of a candidate that is worse, one block at a time."""
    yield from _follow(scenario, releases, seed, watched=len(scenario.rails))


def _follow(scenario: Scenario, releases: int, seed: int, watched: int) -> Iterator[Course]:
    cohorts = tuple(Cohort(rail, releases) for rail in scenario.rails)
    course = Course(scenario, releases, Source(np.random.default_rng(seed), scenario.rails), cohorts, cohorts[:watched])
    while course.running.any():
        course.step()
        yield course
