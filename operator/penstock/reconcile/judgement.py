"""From the judge's verdict to what decides here and what people read."""

import math

from penstock.api.guardrail import Metric
from penstock.api.reasons import Reason
from penstock.api.references import Label
from penstock.api.status import ArmCounts, EvidenceRow
from penstock.judge.criteria import Criteria
from penstock.judge.verdict import Counts, MetricVerdict, Verdict, sentence
from penstock.world import Decision, Judgement

_METRICS = {"failed": Metric.FAILED, "refused": Metric.REFUSED, "slow": Metric.LATENCY}
_REASONS = {reason.value: reason for reason in Reason}
_MOST_ROWS = 10
_LARGEST = 1e6


def judgement_of(verdict: Verdict, criteria: Criteria) -> Judgement:
    """The judgement that a verdict under these criteria stands for."""
    metrics = {guardrail.name: _METRICS[guardrail.metric] for guardrail in criteria.guardrails}
    return Judgement(
        decision=Decision(verdict.decision.value),
        reason=_REASONS[verdict.reason.value],
        says=sentence(verdict, criteria),
        log_evalue=verdict.log_evalue,
        highest_harm=max((metric.interval[1] for metric in verdict.metrics), default=1.0),
        rows=tuple(_row(metric, metrics[metric.name]) for metric in verdict.metrics[:_MOST_ROWS]),
    )


def _row(verdict: MetricVerdict, metric: Metric) -> EvidenceRow:
    return EvidenceRow(
        name=Label(verdict.name),
        metric=metric,
        stable=_counts(verdict.stable),
        candidate=_counts(verdict.candidate),
        log_evalue=_decimal(verdict.log_evalue),
        threshold=_decimal(verdict.threshold),
        log_evalue_promotion=_decimal(verdict.log_evalue_promotion),
        threshold_promotion=_decimal(verdict.threshold_promotion),
        to_promotion=verdict.to_promotion,
        says=_says(verdict),
    )


def _counts(counts: Counts) -> ArmCounts:
    return ArmCounts(requests=counts.requests, events=counts.events)


def _decimal(number: float) -> str:
    """Two decimals, within what JSON and people can take: no infinity, no exponent."""
    if math.isnan(number):
        return "0.00"
    return f"{max(-_LARGEST, min(_LARGEST, number)):.2f}"


def _says(verdict: MetricVerdict) -> str:
    if verdict.log_evalue >= verdict.threshold:
        return "Worse beyond tolerance."
    if verdict.log_evalue_promotion >= verdict.threshold_promotion:
        return "Harm beyond tolerance is excluded."
    if verdict.to_promotion is None:
        return "Not decided yet."
    return f"Not decided yet; about {verdict.to_promotion:,} more requests if it is as good as stable."
