"""One guardrail of `spec.rollout`: what is counted, and how much worse the candidate may be."""

from enum import StrEnum
from typing import ClassVar, Self

from penstock.api.base import Part, Rule
from penstock.api.references import Label
from penstock.api.scalars import Duration, Ratio, ShareOrAuto, share_within

MOST_THRESHOLDS = 8
"""Latency thresholds that routers count for one model."""


class Metric(StrEnum):
    """What is counted, of the requests assigned to a side."""

    FAILED = "failed"
    REFUSED = "refused"
    LATENCY = "latency"


class Evidence(StrEnum):
    """Which differences between the sides count as independent."""

    REQUESTS = "Requests"
    STRATA = "Strata"


class Tolerate(Part):
    """How much worse than stable is still no harm. Harm is beyond both ratio and points."""

    atomic: ClassVar[bool] = True

    ratio: Ratio | None = None
    """Highest tolerated rate of the candidate as a multiple of stable's, 1 to 100, such as "1.5". Left out beside
    points: 1."""
    points: ShareOrAuto | None = None
    """Highest tolerated rate above stable's, in percentage points, such as 1%; auto takes the smallest that can be
    decided within the deadline at the measured traffic. Left out beside ratio: 0%."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="tolerate-not-empty",
            cel="has(self.ratio) || has(self.points)",
            message='tolerate needs ratio, points or both: write {ratio: "1.5", points: 1%}, or leave tolerate out',
            holds=lambda tolerate: tolerate.ratio is not None or tolerate.points is not None,
        ),
        Rule(
            name="tolerate-points-range",
            cel=f"!has(self.points) || {share_within('self.points', 'v <= 50.0')}",
            message="points must be at most 50%, or auto; 1% is usual",
            holds=lambda tolerate: tolerate.points_limit is None or tolerate.points_limit <= 0.5,
            field="points",
        ),
    )

    @property
    def ratio_limit(self) -> float:
        """The tolerated ratio of rates, at least 1; 1 when only points are named."""
        return 1.0 if self.ratio is None else float(self.ratio.value)

    @property
    def points_limit(self) -> float | None:
        """The tolerated difference of rates as a fraction (1% is 0.01); 0 when only a ratio is named, None for auto."""
        if self.points is None:
            return 0.0
        return None if self.points.is_auto else self.points.fraction


DEFAULT_TOLERATE = Tolerate(ratio=Ratio("1.5"), points=ShareOrAuto("1%"))


class Guardrail(Part):
    """Something that must not get worse than on the stable revision."""

    name: Label
    """Name of the guardrail in evidence, metrics and messages."""
    metric: Metric
    """What is counted: failed (5xx, timeouts, resets, answers that are no numbers), refused (4xx that a model can
    cause), or latency (answers slower than threshold)."""
    threshold: Duration | None = None
    """For metric latency: an answer that takes longer counts, such as 50ms."""
    tolerate: Tolerate = DEFAULT_TOLERATE
    """How much worse than stable is still no harm; harm is beyond both ratio and points. Left out: ratio "1.5" and
    points 1%."""
    evidence: Evidence | None = None
    """What counts as independent: Requests, or Strata where one cause hits many requests at once (bursts). Left out:
    Strata for latency, Requests for the others."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="latency-has-threshold",
            cel="self.metric != 'latency' || has(self.threshold)",
            message="metric latency needs a threshold: write threshold: 50ms",
            holds=lambda guardrail: guardrail.metric is not Metric.LATENCY or guardrail.threshold is not None,
            field="threshold",
        ),
        Rule(
            name="threshold-only-for-latency",
            cel="self.metric == 'latency' || !has(self.threshold)",
            message="only metric latency has a threshold: remove it, or set metric: latency",
            holds=lambda guardrail: guardrail.metric is Metric.LATENCY or guardrail.threshold is None,
            field="threshold",
        ),
        Rule(
            name="threshold-positive",
            cel="!has(self.threshold) || self.threshold.matches('[1-9]')",
            message="threshold must be longer than nothing: write threshold: 50ms",
            holds=lambda guardrail: guardrail.threshold is None or guardrail.threshold.milliseconds > 0,
            field="threshold",
        ),
    )

    @classmethod
    def failed(cls) -> Self:
        """The guardrail on failures that a release has by default."""
        return cls(name=Label("failed"), metric=Metric.FAILED)

    @classmethod
    def refused(cls) -> Self:
        """The guardrail on refusals that a release has by default."""
        return cls(name=Label("refused"), metric=Metric.REFUSED)

    @property
    def evidence_unit(self) -> Evidence:
        """What counts as independent, the default of the metric filled in."""
        if self.evidence is not None:
            return self.evidence
        return Evidence.STRATA if self.metric is Metric.LATENCY else Evidence.REQUESTS
