"""The precondition of every experiment: users fall on the arms in the declared shares.

A mismatch means that assignment, exposure or logging treats the arms differently, and then no comparison of outcomes can
be trusted (Fabijan and others, KDD 2019). The test is sequential and exact (`multinomial`); shares may be changed during
the experiment, each span of constant shares having its own prior and their evidence being multiplied.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, log

from scipy.special import logsumexp

from penstock.judge.experiments.multinomial import log_evidence

CONCENTRATIONS = (100.0, 10_000.0)
"""Prior weights of the declared shares, mixed half and half: for gross mismatches soon (as the savvi package) and for
those of about one part in a hundred (as the ssrm package)."""


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Users per arm since the shares were last changed, and the evidence of the spans before.

    `peak` is the largest log e-value so far; a mismatch once shown stays shown.
    """

    shares: tuple[float, ...]
    counts: tuple[int, ...]
    closed: float = 0.0
    peak: float = 0.0
    concentrations: tuple[float, ...] = CONCENTRATIONS

    @classmethod
    def declared(cls, shares: Sequence[float], concentrations: tuple[float, ...] = CONCENTRATIONS) -> "SampleRatio":
        """Before the first user."""
        if not all(share > 0 for share in shares) or abs(sum(shares) - 1) > 1e-9 or len(shares) < 2:
            raise ValueError(f"shares must be at least two, positive and sum to one, got {tuple(shares)}")
        return cls(tuple(shares), (0,) * len(shares), concentrations=concentrations)

    def after(self, users: Sequence[int]) -> "SampleRatio":
        """With more newly exposed users, one count per arm."""
        if len(users) != len(self.shares) or min(users) < 0:
            raise ValueError(f"need one count of new users per arm, not negative, got {tuple(users)}")
        counts = tuple(have + new for have, new in zip(self.counts, users, strict=True))
        more = replace(self, counts=counts)
        return replace(more, peak=max(self.peak, more.log_evidence))

    def reshared(self, shares: Sequence[float]) -> "SampleRatio":
        """The declared shares change; users from now on are held against the new ones."""
        fresh = SampleRatio.declared(shares, self.concentrations)
        return replace(fresh, closed=self.log_evidence, peak=self.peak)

    @property
    def log_evidence(self) -> float:
        """log e-value against the declared shares, now."""
        mixed = [log_evidence(self.counts, self.shares, concentration) for concentration in self.concentrations]
        return self.closed + float(logsumexp(mixed)) - log(len(mixed))

    @property
    def p_value(self) -> float:
        """Valid at every look."""
        return exp(-self.peak)
