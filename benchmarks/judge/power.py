"""How soon the judge finds what is wrong: mean requests to a rollback, against the least that any test needs."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from penstock.judge.criteria import Arm, Criteria, Guardrail, Tolerance
from penstock.judge.release import Release
from penstock.judge.rows import Row

STRICT = Criteria((Guardrail("failed", "failed", Tolerance(1.0, 0.0)),))
"""One guardrail, no tolerance, all of α = 1 %."""

DEFAULTS = Criteria(
    tuple(Guardrail(name, "failed" if name == "failed" else "refused") for name in ("failed", "r1", "r2", "r3", "r4")),
    share=0.9,
)
"""Five guardrails with the default tolerance, the brake's share set aside; only `failed` gets worse."""


@dataclass(frozen=True, slots=True)
class Case:
    """Rates of both arms and a share; `traffic` requests per second and router; harm begins after `healthy` requests."""

    criteria: Criteria
    base: float
    rate: float
    weight: float
    traffic: int
    routers: int = 1
    healthy: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """Requests of both arms, and the candidate's own, from the onset of harm to the rollback."""

    requests: int
    own: int


def bound(case: Case) -> float:
    """log(1/α)/KL in requests of both arms: the least mean at level α against the known alternative (Wald 1945)."""
    odds = case.weight * case.rate / case.base
    part = odds / (odds + 1.0 - case.weight)
    information = part * math.log(part / case.weight) + (1.0 - part) * math.log((1.0 - part) / (1.0 - case.weight))
    failures = (1.0 - case.weight) * case.base + case.weight * case.rate
    return case.criteria.rollback_threshold / (information * failures)


def until_rollback(case: Case, seed: int) -> Found:
    """One release, second by second; only seconds that have closed are counted."""
    rng = np.random.default_rng(seed)
    release = Release(case.criteria)
    extra = len(case.criteria.guardrails) - 1
    requests, healthy, t = 0, [0, 0], 0
    while not release.rolled_back:
        harmful = requests >= case.healthy
        for router in range(case.routers):
            total = int(rng.poisson(case.traffic))
            candidate = int(rng.binomial(total, case.weight))
            requests += total
            rate = case.rate if harmful else case.base
            for arm, count, probability in (
                (Arm.STABLE, total - candidate, case.base),
                (Arm.CANDIDATE, candidate, rate),
            ):
                events = (int(rng.binomial(count, probability)), *([0] * extra))
                row = Row(float(t), f"router-{router}", "1", arm, case.weight, count, events)
                if not harmful:
                    healthy[arm is Arm.CANDIDATE] += count
                for _ in release.take(row):
                    pass
        t += 1
    stable, candidate = release.seen
    return Found(stable - healthy[0] + candidate - healthy[1], candidate - healthy[1])


def mean(case: Case, releases: int, seed: int = 0) -> Found:
    """Means over releases."""
    found = [until_rollback(case, seed * 100_000 + i) for i in range(releases)]
    return Found(
        round(float(np.mean([one.requests for one in found]))), round(float(np.mean([one.own for one in found])), 2)
    )


def power_rows() -> Iterator[tuple[str, float, float]]:
    """Name, measured mean, bound (NaN where none applies)."""
    for weight, traffic in ((0.05, 40), (0.5, 10)):
        for ratio, releases in ((1.5, 60), (2.0, 120), (5.0, 300)):
            case = Case(STRICT, 0.01, 0.01 * ratio, weight, traffic)
            yield f"{ratio:g} times 1 %, share {weight:.0%}, ratio 1", mean(case, releases).requests, bound(case)
    for name, criteria, routers in (("ratio 1, one guardrail", STRICT, 1), ("defaults, five guardrails", DEFAULTS, 2)):
        for weight in (0.05, 0.1, 0.5):
            case = Case(criteria, 0.005, 1.0, weight, max(5, round(1 / weight)), routers)
            yield f"always failing, share {weight:.0%}, {name}: own requests", mean(case, 300).own, math.nan
        case = Case(criteria, 0.005, 0.1, 0.05, 20, routers)
        yield f"10 % failing, share 5 %, {name}: own requests", mean(case, 200).own, math.nan
