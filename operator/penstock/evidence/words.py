"""The judge's verdict in the terms of the snapshot and of `status`."""

from penstock.api.guardrail import Metric
from penstock.api.reasons import Reason
from penstock.api.references import Label
from penstock.api.status import ArmCounts, EvidenceRow
from penstock.judge.criteria import Criteria, Guardrail
from penstock.judge.verdict import Counts, MetricVerdict, Verdict, sentence
from penstock.world import Decision, Judgement

_METRICS = {"failed": Metric.FAILED, "refused": Metric.REFUSED, "slow": Metric.LATENCY}
_REASONS = {reason.value: reason for reason in Reason}
_CAP = 1e6


def judgement_of(verdict: Verdict, criteria: Criteria) -> Judgement:
    """What decides, and what is shown."""
    rows = tuple(_row(metric, rail) for metric, rail in zip(verdict.metrics, criteria.guardrails, strict=True))
    return Judgement(
        decision=Decision(verdict.decision.value),
        reason=_REASONS[verdict.reason.value],
        says=sentence(verdict, criteria),
        log_evalue=verdict.log_evalue,
        highest_harm=max(metric.interval[1] for metric in verdict.metrics),
        rows=rows,
    )


def _row(metric: MetricVerdict, rail: Guardrail) -> EvidenceRow:
    return EvidenceRow(
        name=Label(metric.name),
        metric=_METRICS[rail.metric],
        stable=ArmCounts(requests=metric.stable.requests, events=metric.stable.events),
        candidate=ArmCounts(requests=metric.candidate.requests, events=metric.candidate.events),
        log_evalue=decimal(metric.log_evalue),
        threshold=decimal(metric.threshold),
        log_evalue_promotion=decimal(metric.log_evalue_promotion),
        threshold_promotion=decimal(metric.threshold_promotion),
        to_promotion=metric.to_promotion,
        says=f"{_rate(metric.candidate)} on the candidate, {_rate(metric.stable)} on stable",
    )


def decimal(number: float) -> str:
    """A number as `status` holds it: JSON knows no infinity, so it is cut at a million."""
    return f"{min(_CAP, max(-_CAP, number)):.4f}"


def _rate(counts: Counts) -> str:
    share = f" ({counts.events / counts.requests:.2%})" if counts.requests else ""
    return f"{counts.events:,} of {counts.requests:,}{share}"
