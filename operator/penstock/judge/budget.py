"""How falseRollback is divided, what it means for a fleet, and how often a machine may act.

E-values of one filtration (request outcomes and latency, over the same strata) may be averaged. Kinds of evidence that
live in different filtrations (labels, the brake in each router, others) may not (Choe and Ramdas, arXiv 2402.09698); they
get fixed shares, set when the candidate is created, and each decides at its own line: Bonferroni.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

SHARES = {"requests": 0.7, "labels": 0.1, "brake": 0.1, "others": 0.1}
"""Share of falseRollback per kind of evidence."""

MOST_ROUTERS = 10
"""Router replicas among which the brake's share is divided."""


def request_share(reserved: Iterable[str]) -> float:
    """Share of falseRollback for request evidence, when the kinds in `reserved` are in play too.

    Kinds that a release does not use leave their share to the requests.

    Raises:
        ValueError: for a kind that is not one of `SHARES`.
    """
    taken = set(reserved)
    unknown = taken - set(SHARES)
    if unknown:
        raise ValueError(f"unknown kind of evidence {sorted(unknown)[0]!r}; known are {', '.join(SHARES)}")
    return 1.0 - sum(SHARES[kind] for kind in taken - {"requests"})


def brake_threshold(false_rollback: float, routers: int = MOST_ROUTERS) -> float:
    """log 1/(share·α/routers): the line of the brake in each router replica."""
    return -math.log(SHARES["brake"] * false_rollback / routers)


def combined(log_values: Iterable[float]) -> float:
    """log of the mean of e-values given as logarithms; valid under any dependence within one filtration."""
    logs = list(log_values)
    peak = max(logs)
    if peak == -math.inf:
        return peak
    return peak + math.log(sum(math.exp(value - peak) for value in logs) / len(logs))


def false_rollbacks_a_year(models: int, releases_a_year: float, false_rollback: float) -> float:
    """Most false rollbacks that a fleet should expect in a year, were every release exactly on its tolerance."""
    return models * releases_a_year * false_rollback


@dataclass(frozen=True, slots=True)
class ActionLimit:
    """At most `most` automatic actions within `window` seconds; a storm of rollbacks is one cause, not many."""

    most: int = 5
    window: float = 3_600.0

    def allows(self, past: Iterable[float], now: float) -> bool:
        """Whether one more action may happen at `now`, after actions at the times `past` (seconds)."""
        return sum(1 for at in past if now - self.window < at <= now) < self.most

    def next_allowed(self, past: Iterable[float], now: float) -> float:
        """Earliest time at which one more action may happen."""
        recent = sorted(at for at in past if now - self.window < at <= now)
        return now if len(recent) < self.most else recent[-self.most] + self.window
