"""What one look costs: one guardrail, one stratum, by the number of failures in it."""

import time
from collections.abc import Iterator

from penstock.judge.criteria import Guardrail
from penstock.judge.guardrail import Cell, Evidence, observe

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
    """CPU time of one step."""
    cell = Cell(0.5, stable, candidate, events - events // 2, events // 2)
    evidence, rail = Evidence(), Guardrail("failed")
    for _ in range(20):
        observe(evidence, rail, 0.01, 1.0, cell, 1e-6)
    started = time.process_time()
    for _ in range(rounds):
        observe(evidence, rail, 0.01, 1.0, cell, 1e-6)
    return (time.process_time() - started) / rounds * 1e6


def speed_rows() -> Iterator[tuple[str, float]]:
    """Each case and its cost; then the load of a fleet."""
    for events, candidate, stable in CASES:
        yield f"{events:,} failures among {candidate + stable:,} requests", microseconds(events, candidate, stable)
    typical = microseconds(10, 1_000, 1_000)
    yield "1,000 releases × 5 guardrails × 1 look a second: CPU µs per µs × 10⁶", 5_000 * typical
