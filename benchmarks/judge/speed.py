"""What a look costs: of one guardrail by the number of failures in its stratum, and of a fleet of releases."""

import time
from collections.abc import Iterator

import numpy as np
from penstock.judge.criteria import Criteria, Guardrail
from penstock.judge.guardrail import Cell, Evidence, observe
from penstock.judge.release import Release

CASES = (
    (0, 1_000, 1_000),
    (10, 1_000, 1_000),
    (100, 5_000, 5_000),
    (1_000, 5_000, 5_000),
    (1_000, 1_000, 19_000),
    (10_000, 50_000, 50_000),
    (1_000_000, 5_000_000, 5_000_000),
    (100_000_000, 500_000_000, 500_000_000),
)
"""Events, candidate requests, stable requests."""


def microseconds(events: int, candidate: int, stable: int, rounds: int = 300) -> float:
    """CPU time of one step: the least mean of ten runs, as what else a machine does only ever adds to it."""
    cell = Cell(0.5, stable, candidate, events - events // 2, events // 2)
    evidence, rail = Evidence(), Guardrail("failed")
    for _ in range(20):
        observe(evidence, rail, 0.01, 1.0, cell, 1e-6)
    least = float("inf")
    for _ in range(10):
        started = time.process_time()
        for _ in range(rounds):
            observe(evidence, rail, 0.01, 1.0, cell, 1e-6)
        least = min(least, time.process_time() - started)
    return least / rounds * 1e6


def fleet_share(releases: int = 1_000, looks: int = 5, requests: int = 1_000, base: float = 0.01) -> float:
    """Share of one core that a fleet needs: each second both arms' rows of every release, and a verdict on five guardrails.

    All that the operator asks of the judge is in it: parsing, closing the second, the evidence, the decision. The cheapest
    of the looks counts, as above.
    """
    rng = np.random.default_rng(1)
    slow = ("slow", "slower", "slowest")
    criteria = Criteria(
        (Guardrail("failed"), Guardrail("refused", "refused"), *(Guardrail(name, "slow") for name in slow))
    )

    def row(t: int, arm: str) -> dict[str, object]:
        failed, refused, *late = rng.binomial(requests // 2, base, 5).tolist()
        counts = {"requests": requests // 2, "failed": failed, "refused": refused}
        place = {"t": float(t), "router": "a", "version": 1, "weight": 50, "arm": arm}
        return {**place, **counts, "slow": dict(zip(slow, late, strict=True))}

    fleet = [Release(criteria) for _ in range(releases)]
    least = float("inf")
    for t in range(looks):
        rows = [(row(t, "stable"), row(t, "candidate")) for _ in fleet]
        started = time.process_time()
        for release, pair in zip(fleet, rows, strict=True):
            for fields in pair:
                release.feed(fields)
            release.decide(float(t))
        if t:  # the first look closes no second yet
            least = min(least, time.process_time() - started)
    return least * 1_000 / releases


def speed_rows() -> Iterator[tuple[str, float]]:
    """Each case and its cost in µs; then the load of a fleet, in µs of one core per second."""
    for events, candidate, stable in CASES:
        yield f"{events:,} failures among {candidate + stable:,} requests", microseconds(events, candidate, stable)
    steps = 5_000 * microseconds(10, 1_000, 1_000)
    yield "1,000 releases × 5 guardrails, one look a second, steps of 10 failures alone: µs of a core per second", steps
    yield "the same with parsing, closing seconds, and verdicts", 1e6 * fleet_share()
