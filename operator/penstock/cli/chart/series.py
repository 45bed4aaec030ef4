"""What a chart of a judged release shows, whoever fills it in."""

from dataclasses import dataclass
from itertools import pairwise


@dataclass(slots=True)
class EvidenceSeries:
    """The evidence of one release over time, one point per look; filled in as the looks come.

    Args:
        release: its name.
        t: seconds of each look, not falling; a release may begin at any second.
        log_evalue: per guardrail the natural logarithm of the evidence of harm, as long as `t`.
        threshold: the line at which one guardrail alone takes the release back (`verdict.per_metric_threshold`).
        log_promotion: per guardrail the natural logarithm of the evidence that harm is excluded, as long as `t`.
        threshold_promotion: the line that every guardrail must reach for a promotion.
        weight: the candidate's share of traffic at each look, 0 to 1, as long as `t`.
        verdict_at: second of the decisive verdict; None while there is none.
        verdict: that verdict (Promote, Rollback, Inconclusive) or the last one (Hold).
    """

    release: str
    t: list[float]
    log_evalue: dict[str, list[float]]
    threshold: float
    log_promotion: dict[str, list[float]]
    threshold_promotion: float
    weight: list[float]
    verdict_at: float | None
    verdict: str

    def check(self) -> None:
        """Raises ValueError when the looks do not fit together."""
        curves = {f"log_evalue[{name}]": values for name, values in self.log_evalue.items()}
        curves |= {f"log_promotion[{name}]": values for name, values in self.log_promotion.items()}
        for name, values in (curves | {"weight": self.weight}).items():
            if len(values) != len(self.t):
                raise ValueError(f"{name} has {len(values)} values for {len(self.t)} looks: give one for each")
        if any(later < earlier for earlier, later in pairwise(self.t)):
            raise ValueError("t falls: give the looks in the order of time")
