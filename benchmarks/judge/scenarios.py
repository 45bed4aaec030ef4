"""Made-up releases whose truth is known: traffic, rates, weights, routers, users, bursts, pods.

Each scenario makes the rows that routers would send; what reads them is the product's own judge.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from penstock.judge.criteria import Arm
from penstock.judge.release import Release
from penstock.judge.rows import Row, Users

Rate = Callable[[float], float]
"""A rate or a traffic level as a function of the release's progress, 0 to 1."""


def flat(value: float) -> Rate:
    """The same all the time."""
    return lambda _: value


def diurnal(value: float) -> Rate:
    """Tenfold between the trough and the peak, two days in a release."""
    return lambda progress: value * 10.0 ** (0.5 * np.sin(4.0 * np.pi * progress))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A release under which the candidate's rate is min(1, max(ratio × base, base + points)).

    `looks` seconds; `traffic` requests per second of all routers together; `schedule` "fixed" (at `weight`), "stepped"
    (1, 5, 25, 50 %) or "dependent" (raised when the candidate looks good, lowered when it looks bad); routers apply a
    weight `lag` seconds one after the other; from `onset` requests on the candidate's rate is `late_rate` when given.
    An incident multiplies the first router's base rate by ten for the middle fifth of the release.
    """

    name: str
    base: Rate
    traffic: Rate = field(default=flat(300.0))
    looks: int = 60
    weight: float = 0.05
    schedule: str = "fixed"
    routers: int = 1
    lag: int = 0
    incident: float = 1.0
    ratio: float = 1.0
    points: float = 0.0
    onset: int = 0
    late_rate: float | None = None

    def candidate_rate(self, base: float) -> float:
        """The candidate's true rate where stable's is `base`."""
        return min(1.0, max(self.ratio * base, base + self.points))


STEPS = (0.01, 0.05, 0.25, 0.5)


def rows(scenario: Scenario, rng: Generator) -> Iterator[Row]:
    """The rows of one release, second by second."""
    seen = np.zeros((2, 2))
    target, version, changed = scenario.weight, 0, 0
    if scenario.schedule != "fixed":
        target = STEPS[0]
    applied = [(target, version)] * scenario.routers
    requests = 0
    for t in range(scenario.looks):
        progress = t / scenario.looks
        wanted = _wanted(scenario, progress, target, seen)
        if wanted != target:
            target, version, changed = wanted, version + 1, t
        for router in range(scenario.routers):
            if t - changed >= router * scenario.lag:
                applied[router] = (target, version)
            weight, in_force = applied[router]
            base = min(1.0, scenario.base(progress))
            if router == 0 and 0.4 <= progress < 0.6:
                base = min(0.9, base * scenario.incident)
            total = int(rng.poisson(scenario.traffic(progress) / scenario.routers))
            candidate = int(rng.binomial(total, weight))
            rate = scenario.candidate_rate(base)
            if scenario.late_rate is not None and requests >= scenario.onset:
                rate = scenario.late_rate
            requests += total
            for arm, count, probability in (
                (Arm.STABLE, total - candidate, base),
                (Arm.CANDIDATE, candidate, rate),
            ):
                failed = int(rng.binomial(count, probability))
                seen[0 if arm is Arm.STABLE else 1] += (count, failed)
                yield Row(float(t), f"router-{router}", str(in_force), arm, weight, count, (failed,))


def _wanted(scenario: Scenario, progress: float, target: float, seen: np.ndarray) -> float:
    if scenario.schedule == "stepped":
        return STEPS[min(3, int(progress * 4))]
    if scenario.schedule == "dependent":
        position = STEPS.index(target)
        stable, candidate = (events / max(1.0, count) for count, events in seen)
        if int(progress * scenario.looks) % 6 != 5 or seen[1, 0] < 20:
            return target
        return STEPS[min(3, position + 1) if candidate <= stable else max(0, position - 1)]
    return target


@dataclass(frozen=True, slots=True)
class Sticky:
    """Unequal users, each with a failure rate and an activity of their own, assigned once; candidate equal to stable."""

    name: str
    users: int = 2_000
    looks: int = 60
    traffic: float = 300.0
    weight: float = 0.05
    excess: float = 0.0

    def rows(self, rng: Generator) -> Iterator[Row]:
        """Rows with counts per request and per user."""
        activity = rng.lognormal(0.0, 1.5, self.users)
        activity /= activity.sum()
        rates = rng.beta(0.1, 9.9, self.users)
        on_candidate = rng.random(self.users) < self.weight
        rates = np.where(on_candidate, np.minimum(1.0, rates + self.excess), rates)
        known, harmed = np.zeros(self.users, bool), np.zeros(self.users, bool)
        for t in range(self.looks):
            calls = rng.multinomial(int(rng.poisson(self.traffic)), activity)
            failures = rng.binomial(calls, rates)
            new, first = (calls > 0) & ~known, (failures > 0) & ~harmed
            known |= calls > 0
            harmed |= failures > 0
            for arm, side in ((Arm.STABLE, ~on_candidate), (Arm.CANDIDATE, on_candidate)):
                yield Row(
                    float(t),
                    "router-0",
                    "1",
                    arm,
                    self.weight,
                    int(calls[side].sum()),
                    (int(failures[side].sum()),),
                    Users(int(new[side].sum()), (int(first[side].sum()),)),
                )


@dataclass(frozen=True, slots=True)
class Bursts:
    """In a tenth of the seconds one arm's rate is ten times as high, by a cause of its own; arms alike otherwise."""

    name: str
    base: float = 0.02
    looks: int = 120
    traffic: float = 400.0
    weight: float = 0.05
    ratio: float = 1.0

    def rows(self, rng: Generator) -> Iterator[Row]:
        """Rows of one release."""
        for t in range(self.looks):
            total = int(rng.poisson(self.traffic))
            candidate = int(rng.binomial(total, self.weight))
            for arm, count in ((Arm.STABLE, total - candidate), (Arm.CANDIDATE, candidate)):
                rate = self.base * (10.0 if rng.random() < 0.1 else 1.0)
                if arm is Arm.CANDIDATE:
                    rate *= self.ratio
                yield Row(float(t), "router-0", "1", arm, self.weight, count, (int(rng.binomial(count, min(1, rate))),))


@dataclass(frozen=True, slots=True)
class UnequalPods:
    """Pods with rates of their own (log-normal), the same law in both arms; few of them on the candidate's side."""

    name: str
    base: float = 0.05
    deviation: float = 0.25
    stable_pods: int = 10
    candidate_pods: int = 1
    looks: int = 100
    traffic: float = 400.0
    weight: float = 0.1

    def rows(self, rng: Generator) -> Iterator[Row]:
        """Rows per pod; a warm-up without candidate traffic lets stable's pods be known."""
        luck = {
            Arm.STABLE: self.base * rng.lognormal(0.0, self.deviation, self.stable_pods),
            Arm.CANDIDATE: self.base * rng.lognormal(0.0, self.deviation, self.candidate_pods),
        }
        for t in range(self.looks):
            weight = 0.0 if t < 40 else self.weight
            total = int(rng.poisson(self.traffic))
            candidate = int(rng.binomial(total, weight))
            for arm, count in ((Arm.STABLE, total - candidate), (Arm.CANDIDATE, candidate)):
                shares = rng.multinomial(count, np.full(len(luck[arm]), 1.0 / len(luck[arm])))
                for pod, (requests, rate) in enumerate(zip(shares, luck[arm], strict=True)):
                    if requests or arm is Arm.STABLE:
                        failed = int(rng.binomial(requests, min(1.0, rate)))
                        yield Row(
                            float(t), "router-0", f"{weight}", arm, weight, int(requests), (failed,), pod=f"{arm}-{pod}"
                        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """Highest log e-value for harm, and when and at how many requests the two verdicts came (None: never)."""

    highest: float
    rolled_back_at: int | None
    promoted_at: int | None
    requests: int
    candidate_requests: int


def judge(release: Release, source: Iterator[Row], stop: Callable[[Release], bool] | None = None) -> Outcome:
    """Feed `source` to the judge; ends at the rollback line, at the end of the rows, or where `stop` says so."""
    highest, promoted, now = -np.inf, None, 0
    for row in source:
        for stratum in release.take(row):
            now = stratum.t
            highest = max(highest, release.log_harm())
            if stop is not None and promoted is None and stop(release):
                promoted = now
        if release.rolled_back or promoted is not None:
            break
    return Outcome(highest, now if release.rolled_back else None, promoted, sum(release.seen), release.seen[1])
