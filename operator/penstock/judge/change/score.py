"""From integer histograms to one number in [0, 1] a step.

The monitor counts rows in fixed bins; which score each bin has is fixed by the training reference. The mean score of
a step's rows is what the detector watches: location by midranks, spread by folded midranks, a category or missing
values by its share. Scores of fixed bins merge exactly, and no raw value is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True, slots=True)
class Observation:
    """One stream in one step: rows counted and the sum of their scores. No rows is no observation, never a zero."""

    rows: int
    total: float

    @property
    def absurd(self) -> bool:
        """A sum that rows with scores in [0, 1] cannot have (NaN included)."""
        return not (isfinite(self.total) and self.rows >= 0 and -1e-9 <= self.total <= self.rows * (1 + 1e-9))

    @property
    def score(self) -> float | None:
        """Mean score in [0, 1], or None without rows. Only for observations that are not absurd."""
        return min(1.0, max(0.0, self.total / self.rows)) if self.rows > 0 else None


def midranks(reference: Sequence[int]) -> tuple[float, ...]:
    """Score of each bin: the share of reference rows below it plus half of its own; mean exactly 1/2 on the reference.

    A shift of d standard deviations of a normal feature moves the mean score by Φ(d/√2) - 1/2, about 0.28 d.
    Raises ValueError for negative counts or no rows at all. Source: Bross, Biometrics 14 (1958), "ridits".
    """
    total = sum(reference)
    if total <= 0 or min(reference) < 0:
        raise ValueError("the reference histogram needs rows and no negative count")
    below, scores = 0, []
    for count in reference:
        scores.append((below + count / 2) / total)
        below += count
    return tuple(scores)


def folded(ranks: Sequence[float]) -> tuple[float, ...]:
    """Scores of spread: the distance of each midrank from the middle, doubled; a wider distribution has a higher
    mean."""
    return tuple(abs(2 * rank - 1) for rank in ranks)


def observe(scores: Sequence[float], counts: Sequence[int]) -> Observation:
    """A step's observation from its bin counts. Raises ValueError when the bins differ or a count is negative."""
    if len(scores) != len(counts) or any(count < 0 for count in counts):
        raise ValueError(f"{len(counts)} bins for {len(scores)} scores, or a negative count")
    return Observation(sum(counts), sum(score * count for score, count in zip(scores, counts, strict=True)))
