"""Do both arms together fail more than in the hour before the release?

A comparison of arms cannot see harm that reaches both: a candidate that overloads a shared feature store makes stable
fail as well. This guard compares all traffic of a release with the hour before it. Harm shown: hold and alert. If the
rate then returns below the limit soon after the weight went to 0, the candidate was the cause: roll back. If it does
not, a rollback would not help.

The probability of ever holding a release whose failure rate never exceeds the limit is at most alpha: half of it for
the limit's estimate (Clopper and Pearson, Biometrika 26 (1934), on the hour before), half for the test (Ville's
inequality for a mixture of likelihood ratios, each a supermartingale at every rate up to the limit, from the start and
from every later stratum with weights 1/(j(j+1))). The rollback has no such bound: an incident that ends by itself just
then looks the same.
"""

from dataclasses import dataclass
from enum import Enum
from math import log

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

Vector = NDArray[np.float64]

ODDS = np.array([1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0])


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests and how many of them failed, all arms together."""

    requests: int
    failures: int

    def __post_init__(self) -> None:
        if not 0 <= self.failures <= self.requests:
            raise ValueError(f"{self.failures} failures of {self.requests} requests cannot be; refuse the row")


@dataclass(frozen=True, slots=True)
class Guard:
    """Tolerated failure rate of all traffic, None without requests before the release, and the log threshold (nats).

    `patience` is how long after the weight went to 0, in seconds, failures may go on before they exonerate the
    candidate.
    """

    limit: float | None
    line: float
    patience: float


class Finding(Enum):
    """What the guard says. Only RECOVERED asks for a rollback; HARMED, WITHDRAWN and PERSISTS hold the release."""

    NO_BASELINE = "noBaseline"
    CLEAR = "clear"
    HARMED = "harmed"
    WITHDRAWN = "withdrawn"
    RECOVERED = "recovered"
    PERSISTS = "persists"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Log e-values per alternative, from the first stratum and from later ones, after so many strata."""

    strata: int = 0
    start: tuple[float, ...] = (0.0,) * len(ODDS)
    late: tuple[float, ...] = (-1e300,) * len(ODDS)

    @property
    def nats(self) -> float:
        """Log of the mixture: half from the start, half from later onsets, evenly over the alternatives."""
        return float(np.logaddexp.reduce([*self.start, *self.late])) - log(2 * len(ODDS))


@dataclass(frozen=True, slots=True)
class SharedHarm:
    """State of the guard. `withdrawn_at` is when the weight went to 0 after harm was shown, in seconds."""

    finding: Finding = Finding.CLEAR
    harm: Evidence = Evidence()
    recovery: Evidence = Evidence()
    persistence: Evidence = Evidence()
    withdrawn_at: float | None = None


class Exposure(Enum):
    """Whether the candidate had any weight in the stratum."""

    CARRYING = "carrying"
    WITHDRAWN = "withdrawn"


def guard(
    before: Counts, ratio: float = 2.0, points: float = 0.01, alpha: float = 0.01, patience: float = 300.0
) -> Guard:
    """Guard from the counts of the hour before the release: harm is a failure rate beyond both `ratio` times and
    `points` above the rate before.

    Raises ValueError unless ratio >= 1, points >= 0, 0 < alpha < 1 and patience > 0.
    """
    if not (ratio >= 1 and points >= 0 and 0 < alpha < 1 and patience > 0):
        raise ValueError("ratio must be at least 1, points at least 0, alpha in (0, 1) and patience above 0")
    line = log(2 / alpha)
    if before.requests == 0:
        return Guard(None, line, patience)
    succeeded = before.requests - before.failures
    rate = float(betaincinv(before.failures + 1, succeeded, 1 - alpha / 2)) if succeeded else 1.0
    return Guard(min(1.0, max(rate * ratio, rate + points)), line, patience)


def advance(guard: Guard, state: SharedHarm, time: float, exposure: Exposure, counts: Counts) -> SharedHarm:
    """One closed stratum of all traffic, at `time` in seconds. RECOVERED and PERSISTS are final; a release
    that goes on after them starts with a new state."""
    if guard.limit is None:
        return SharedHarm(Finding.NO_BASELINE)
    if state.finding in (Finding.RECOVERED, Finding.PERSISTS):
        return state
    if state.finding is Finding.CLEAR:
        if exposure is Exposure.WITHDRAWN:
            return state
        harm = _bet(state.harm, counts, guard.limit, ODDS)
        return SharedHarm(Finding.HARMED if harm.nats >= guard.line else Finding.CLEAR, harm)
    if exposure is Exposure.CARRYING:
        return SharedHarm(Finding.HARMED, state.harm)
    since = time if state.withdrawn_at is None else state.withdrawn_at
    recovery = _bet(state.recovery, counts, guard.limit, 1 / ODDS)
    # What fails only before patience has ended may be a queue that drains; what still fails after it is not the
    # candidate.
    persistence = state.persistence
    if time - since > guard.patience:
        persistence = _bet(persistence, counts, guard.limit, ODDS)
    finding = Finding.WITHDRAWN
    if recovery.nats >= guard.line:
        finding = Finding.RECOVERED
    elif persistence.nats >= guard.line:
        finding = Finding.PERSISTS
    return SharedHarm(finding, state.harm, recovery, persistence, since)


def _bet(evidence: Evidence, counts: Counts, limit: float, odds: Vector) -> Evidence:
    """Multiply in a stratum's likelihood ratios of rates with these odds ratios to the limit."""
    # A limit of 1 tolerates everything; just below it the odds stay finite and the evidence nil.
    capped = min(limit, 1 - 1e-9)
    rates = capped * odds / (1 - capped + capped * odds)
    succeeded = counts.requests - counts.failures
    gains = counts.failures * np.log(rates / capped) + succeeded * np.log((1 - rates) / (1 - capped))
    strata = evidence.strata + 1
    start = np.array(evidence.start) + gains
    late = np.logaddexp(evidence.late, -log(strata * (strata + 1))) + gains
    return Evidence(strata, tuple(start.tolist()), tuple(late.tolist()))
