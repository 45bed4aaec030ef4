"""Is the candidate less accurate than stable by more than is tolerated? Betting on the labelled rows of whole cohorts.

Null: in every cohort the candidate's mean loss is at most stable's plus `tolerated` (μ_c ≤ μ_s + δ); both may drift as
they like. A cohort's bets stake λ_c on each candidate row against m_c and λ_s on each stable row, the other way round,
against m_s, with m_c = m_s + δ and n_c·λ_c = n_s·λ_s:

    Π (1 + λ_c(x − m_c)) · Π (1 − λ_s(y − m_s))

For rows that are independent given the past its mean is a product of functions linear in the true means, so the
logarithm of the mean is concave in them; with balanced stakes its gradient at (m_c, m_s) is normal to the null's edge, and
the value there is 0. Hence the mean is at most one on the whole null, wherever on the edge (m_c, m_s) was put; a guess from
earlier cohorts decides the power alone. The capitals themselves are bounded from below by the cohort's sums (`moments`).

Evidence is half from the start and half restarted after every cohort with weights that sum to one, so that accuracy lost
late is found too. Sources: Waudby-Smith, Ramdas 2024; Turner, Ly, Grünwald (arXiv 2106.02693) for two arms; Shin, Ramdas,
Rinaldo 2024 (arXiv 2203.03532) for the restarts.
"""

from dataclasses import dataclass, field
from math import log

import numpy as np

from penstock.judge.labels.bets import STAKES, log_mean
from penstock.judge.labels.difference import StratifiedDifference
from penstock.judge.labels.moments import FloatArray, Moments, comparable

_EDGE = 1e-3


@dataclass(frozen=True, slots=True)
class Comparison:
    """log capital per stake: against harm's null from the start and restarted, and against "worse than tolerated"."""

    worse: tuple[float, ...] = field(default=(0.0,) * len(STAKES))
    worse_late: tuple[float, ...] = field(default=(log(0.5),) * len(STAKES))
    within: tuple[float, ...] = field(default=(0.0,) * len(STAKES))
    cohorts: int = 0
    difference: StratifiedDifference = field(default=StratifiedDifference())

    def after(self, candidate: Moments, stable: Moments, tolerated: float, expected: float) -> "Comparison":
        """With one more cohort of labelled rows; one that is not `comparable` tells nothing and changes nothing.

        `tolerated`: the rise of the mean loss that is no harm, in [0, 1). `expected`: stable's mean loss before any of
        its rows was seen, in [0, 1]; a bad guess costs power in the first cohort only.
        """
        if not comparable(candidate, stable):
            return self
        level = self._level(tolerated, expected)
        harm = _growth(candidate, level + tolerated, stable.mirrored(), 1 - level)
        health = _growth(candidate.mirrored(), 1 - level - tolerated, stable, level)
        restart = -log((self.cohorts + 2) * (self.cohorts + 3))
        return Comparison(
            tuple((np.array(self.worse) + harm).tolist()),
            tuple(np.logaddexp(np.array(self.worse_late) + harm, restart).tolist()),
            tuple((np.array(self.within) + health).tolist()),
            self.cohorts + 1,
            self.difference.after(candidate, stable, expected),
        )

    @property
    def log_worse(self) -> float:
        """log e-value against "never worse than tolerated"."""
        return log_mean(np.array([log_mean(np.array(self.worse)), log_mean(np.array(self.worse_late))]))

    @property
    def log_within(self) -> float:
        """log e-value against "always at least as bad as just tolerated"."""
        return log_mean(np.array(self.within))

    def _level(self, tolerated: float, expected: float) -> float:
        return min(max(self.difference.stable.guess(expected), _EDGE), 1 - tolerated - _EDGE)


def _growth(up: Moments, up_null: float, down: Moments, down_null: float) -> FloatArray:
    """Balanced stakes, the largest of which can ruin neither side."""
    ratio = down.count / up.count
    bets = STAKES * min(1 / up_null, ratio / down_null)
    return up.log_growth(bets, up_null) + down.log_growth(bets / ratio, down_null)
