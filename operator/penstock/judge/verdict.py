"""What the judge says, in numbers and in one sentence."""

import math
from dataclasses import dataclass
from enum import StrEnum

from penstock.judge.criteria import Criteria, Guardrail


class Decision(StrEnum):
    """The four verdicts."""

    PROMOTE = "Promote"
    ROLLBACK = "Rollback"
    HOLD = "Hold"
    INCONCLUSIVE = "Inconclusive"


class Reason(StrEnum):
    """Why. Part of the API: reasons are only ever added."""

    HARM_EXCLUDED = "HarmExcluded"
    WORSE = "Worse"
    COLLECTING = "Collecting"
    SIGNS_OF_HARM = "SignsOfHarm"
    NO_EVIDENCE = "NoEvidence"
    NO_CANDIDATE_TRAFFIC = "NoCandidateTraffic"
    NO_STABLE_TRAFFIC = "NoStableTraffic"
    MISSING_COUNT = "MissingCount"
    DOUBTFUL_COUNTERS = "DoubtfulCounters"
    STALE_EVIDENCE = "StaleEvidence"
    FEW_USERS = "FewUsers"
    NO_USER_COUNTS = "NoUserCounts"
    ONE_OUTAGE = "OneOutage"
    DEADLINE_EXCEEDED = "DeadlineExceeded"


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests (users, in a sticky release) and events of one arm so far."""

    requests: int
    events: int


@dataclass(frozen=True, slots=True)
class MetricVerdict:
    """One guardrail's evidence.

    `log_evalue` against `threshold` is the evidence of harm, `log_evalue_promotion` against `threshold_promotion` that of
    its absence (natural logarithms). `interval` is candidate rate − stable rate, valid at every look. `to_rollback`:
    candidate requests still needed if every one of them failed; `to_promotion`: total requests still needed if the
    candidate is as good as stable; None where no number of requests would do.
    """

    name: str
    log_evalue: float
    threshold: float
    log_evalue_promotion: float
    threshold_promotion: float
    stable: Counts
    candidate: Counts
    tolerated_ratio: float
    tolerated_points: float
    interval: tuple[float, float]
    to_rollback: int | None
    to_promotion: int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's word on a release at time `t` (seconds of its counters).

    `metric` names the guardrail that the reason speaks of, where there is one. `earliest` is the earliest time at which a
    promotion could be decided at the traffic so far, None when it cannot be told.
    """

    t: float
    decision: Decision
    reason: Reason
    metric: str
    log_evalue: float
    threshold: float
    metrics: tuple[MetricVerdict, ...]
    faults: tuple[tuple[str, int], ...]
    earliest: float | None
    stable_requests: int
    candidate_requests: int

    @property
    def decisive(self) -> bool:
        """Whether traffic should move because of it."""
        return self.decision in (Decision.PROMOTE, Decision.ROLLBACK)


def per_metric_threshold(criteria: Criteria) -> float:
    """log of the e-value at which one guardrail alone carries the mean over all to its line."""
    return criteria.rollback_threshold + math.log(len(criteria.guardrails))


def sentence(verdict: Verdict, criteria: Criteria) -> str:
    """One sentence that a person understands."""
    subject = next((m for m in verdict.metrics if m.name == verdict.metric), None)
    match verdict.reason:
        case Reason.HARM_EXCLUDED:
            return (
                f"The candidate is not worse than tolerated: harm on every guardrail is excluded at "
                f"{_percent(criteria.missed_regression)} risk of missing a regression."
            )
        case Reason.WORSE if subject is not None:
            return (
                f"The candidate is worse on {subject.name!r}: {_rate(subject.candidate)} against {_rate(subject.stable)} on "
                f"stable, beyond the tolerated {_tolerance(subject)}; a false alarm has at most "
                f"{_percent(criteria.false_rollback)} probability over the whole release."
            )
        case Reason.SIGNS_OF_HARM if subject is not None:
            return (
                f"The candidate looks worse on {subject.name!r} ({_rate(subject.candidate)} against "
                f"{_rate(subject.stable)}), not yet surely enough to take it back."
            )
        case Reason.COLLECTING if subject is not None:
            needed = (
                ""
                if subject.to_promotion is None
                else f"; about {subject.to_promotion:,} more requests if it is as good as stable"
            )
            return f"Nothing decided yet; {subject.name!r} needs more evidence{needed}."
        case Reason.MISSING_COUNT:
            return f"No counts of {verdict.metric!r} arrive; make the routers count it or remove the guardrail."
        case Reason.FEW_USERS:
            return (
                "Too few users for a sticky release to be decided; remove stickiness, or put a mirror stage before it."
            )
        case Reason.NO_USER_COUNTS:
            return "The release is sticky but its rows carry no users; only counts per user are evidence here."
        case Reason.ONE_OUTAGE:
            return "All failures come from one outage of one candidate pod, which alone never takes a release back."
        case Reason.NO_CANDIDATE_TRAFFIC:
            return "No requests reach the candidate; look at its weight, its pods and the traffic."
        case Reason.NO_STABLE_TRAFFIC:
            return "No requests reach stable, so there is nothing to compare with; leave it a share of traffic."
        case Reason.DOUBTFUL_COUNTERS:
            names = ", ".join(f"{name} ×{count}" for name, count in verdict.faults)
            return (
                f"Some counters cannot be trusted ({names}); those seconds are left out, nothing is promoted meanwhile."
            )
        case Reason.STALE_EVIDENCE:
            return "No counters arrive any more; look at the routers. Nothing is decided without evidence."
        case Reason.DEADLINE_EXCEEDED:
            return (
                "The deadline has passed without enough evidence either way; "
                "`penstock plan` tells which tolerance is decidable at this traffic."
            )
        case _:
            return "No evidence yet: no stratum has closed."


def _percent(value: float) -> str:
    return f"{100.0 * value:.3g} %"


def _rate(counts: Counts) -> str:
    if counts.requests == 0:
        return "0 of 0"
    return f"{counts.events:,} of {counts.requests:,} ({_percent(counts.events / counts.requests)})"


def _tolerance(metric: MetricVerdict) -> str:
    ratio = f"{metric.tolerated_ratio:g} × stable"
    return f"{ratio} and {100.0 * metric.tolerated_points:g} points" if metric.tolerated_points > 0.0 else ratio


def tolerated_points(guardrail: Guardrail, resolved: float) -> float:
    """The guardrail's difference, with `auto` replaced by what was resolved for this release."""
    return resolved if guardrail.tolerance.points is None else guardrail.tolerance.points
