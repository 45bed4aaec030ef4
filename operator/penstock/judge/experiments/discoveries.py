"""Which of many secondary metrics moved: e-BH, with a false discovery rate under any dependence between metrics."""

from collections.abc import Sequence
from math import log


def discoveries(log_evidence: Sequence[float], alpha: float) -> tuple[int, ...]:
    """Positions of the hypotheses rejected at false discovery rate `alpha`, ascending.

    The k largest are rejected for the largest k whose k-th e-value is at least K/(k·alpha). Source: Wang, Ramdas, "False
    discovery rate control with e-values", JRSS B 84(3), 2022 (arXiv 2009.02824).
    """
    ranked = sorted(range(len(log_evidence)), key=lambda index: -log_evidence[index])
    passing = [
        rank
        for rank, index in enumerate(ranked, start=1)
        if log_evidence[index] >= log(len(log_evidence) / (rank * alpha))
    ]
    return tuple(sorted(ranked[: max(passing, default=0)]))
