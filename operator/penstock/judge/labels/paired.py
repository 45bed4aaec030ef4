"""Two answers to one mirrored request, both scored against its label: the sharpest comparison, and nobody is exposed.

Per pair d = candidate's loss − stable's loss lies in [−1, 1]. Request, label and the moment cancel; what the arms get wrong
together costs no evidence. The e-value bets on z = (d + 1)/2 (`bets`): it is right at every look for pairs whose mean
difference given the past is at most the tolerated one, or independent pairs whose average is.
"""

from dataclasses import dataclass

import numpy as np

from penstock.judge.labels import bets
from penstock.judge.labels.moments import FloatArray, Moments


@dataclass(frozen=True, slots=True)
class BinaryPairs:
    """Pairs of 0/1 losses, and among them those where one arm alone was wrong. Capitals are exact."""

    count: int = 0
    candidate_wrong: int = 0
    stable_wrong: int = 0

    def __post_init__(self) -> None:
        alike = self.count - self.candidate_wrong - self.stable_wrong
        if min(self.count, self.candidate_wrong, self.stable_wrong, alike) < 0:
            raise ValueError(f"counts of pairs must be whole and fit into each other, got {self}")

    def plus(self, other: "BinaryPairs") -> "BinaryPairs":
        return BinaryPairs(
            self.count + other.count,
            self.candidate_wrong + other.candidate_wrong,
            self.stable_wrong + other.stable_wrong,
        )

    def mirrored(self) -> "BinaryPairs":
        return BinaryPairs(self.count, self.stable_wrong, self.candidate_wrong)

    @property
    def mean(self) -> float:
        """Of z, for at least one pair."""
        return 0.5 + (self.candidate_wrong - self.stable_wrong) / (2 * self.count)

    def log_growth(self, stakes: FloatArray, null: float) -> FloatArray:
        alike = self.count - self.candidate_wrong - self.stable_wrong
        won: FloatArray = self.candidate_wrong * np.log1p(stakes * (1 - null))
        lost: FloatArray = self.stable_wrong * np.log1p(-stakes * null)
        even: FloatArray = alike * np.log1p(stakes * (0.5 - null))
        return won + lost + even


def bounded_pairs(count: int, difference_sum: float, difference_sum_sq: float) -> Moments:
    """Pairs of losses in [0, 1] from the sums of d and d², as moments of z.

    Raises:
        ValueError: no such differences in [−1, 1] exist, or a sum is not a number.
    """
    slack = 1e-9 * (1 + count)
    if not (count >= 0 and abs(difference_sum) <= count + slack and difference_sum_sq <= count + slack):
        raise ValueError(f"no {count} differences in [−1, 1] have sum {difference_sum} and squares {difference_sum_sq}")
    if not difference_sum**2 <= count * (difference_sum_sq + slack):
        raise ValueError(f"no {count} differences have sum {difference_sum} and sum of squares {difference_sum_sq}")
    return Moments.of(count, (count + difference_sum) / 2, (count + 2 * difference_sum + difference_sum_sq) / 4)


def log_worse(pairs: bets.Sample, tolerated: float) -> float:
    """log e-value against "the candidate's mean loss exceeds stable's by at most `tolerated`", 0 ≤ tolerated < 1."""
    return bets.log_evidence_above(pairs, (1 + tolerated) / 2)


def log_within(pairs: bets.Sample, tolerated: float) -> float:
    """log e-value against "the candidate's mean loss exceeds stable's by at least `tolerated`"."""
    return bets.log_evidence_below(pairs, (1 + tolerated) / 2)


def difference_interval(pairs: bets.Sample, alpha: float) -> tuple[float, float]:
    """Confidence sequence for the mean difference, within [−1, 1]."""
    low, high = bets.mean_interval(pairs, alpha)
    return 2 * low - 1, 2 * high - 1
