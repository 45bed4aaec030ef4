"""Pods of unequal luck: how far stable's own pods lie apart, and by how much that widens a margin.

With few pods an arm is its pods: a candidate on one slow node looks slower though the model is not. No test can tell
which pod a request met; so the margins are widened by what chance assignment of pods explains: a factor
exp(2.33·s·√(1/k_c + 1/k_s)) for k_c candidate and k_s stable pods, s the standard deviation of the logarithm of stable's
pods' rates, estimated beyond the counting noise. Source: reference review-ml finding 8.
"""

import math
from collections.abc import Iterable

CERTAINTY = 2.33
"""Standard deviations of pods' luck to allow for: 1 % one-sided."""

LEAST_EVENTS = 50
"""Fewer events among stable's pods say nothing of their spread."""

WIDEST = 10.0


def between_pods(pods: Iterable[tuple[int, int]]) -> float:
    """Standard deviation of the log rate between pods, from (requests, events) each; 0 when it cannot be told.

    Method of moments: Σ (x_i − n_i p)² = p Σ n_i + p² s² Σ n_i² in expectation (DerSimonian and Laird 1986 in spirit).
    """
    known = [(requests, events) for requests, events in pods if requests > 0]
    requests, events = sum(n for n, _ in known), sum(x for _, x in known)
    if len(known) < 2 or events < LEAST_EVENTS:
        return 0.0
    rate = events / requests
    squares = sum((x - n * rate) ** 2 for n, x in known) * len(known) / (len(known) - 1)
    noise = rate * (1.0 - rate) * requests
    return math.sqrt(max(0.0, squares - noise) / (rate * rate * sum(n * n for n, _ in known)))


def widening(deviation: float, stable_pods: int, candidate_pods: int) -> float:
    """Factor at least 1 for the margins; 1 where the number of pods is unknown."""
    if deviation <= 0.0 or stable_pods == 0 or candidate_pods == 0:
        return 1.0
    return min(WIDEST, math.exp(CERTAINTY * deviation * math.sqrt(1.0 / candidate_pods + 1.0 / stable_pods)))
