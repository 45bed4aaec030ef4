"""`spec.rollout`: how a new revision gets its traffic, and what takes it back."""

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import Field

from penstock.api.base import MAP_BY_NAME, Part, Rule
from penstock.api.guardrail import MOST_THRESHOLDS, Guardrail, Metric
from penstock.api.references import CookieName, HeaderName
from penstock.api.scalars import Duration, Share, share_within


class Strategy(StrEnum):
    """How a new revision replaces the stable one."""

    CANARY = "Canary"
    IMMEDIATE = "Immediate"


class OnDeadline(StrEnum):
    """What ends a release that is undecided at its deadline."""

    HOLD = "Hold"
    ROLLBACK = "Rollback"


class ReadyWhen(StrEnum):
    """What `Ready` stands for while a release is under way."""

    RELEASED = "Released"
    SERVING = "Serving"


class Pause(Part):
    """A wait at the weight reached so far."""

    atomic: ClassVar[bool] = True

    duration: Duration
    """How long to wait, such as 10m. Guardrails are judged meanwhile."""


class Step(Part):
    """One step of a canary: a weight to reach, or a pause at the weight reached so far."""

    weight: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None
    """Percent of the traffic that the candidate gets, 1 to 100. Weights rise from step to step."""
    min_requests: Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)] | None = None
    """Requests that the candidate must have answered at this weight before the next step."""
    pause: Pause | None = None
    """A wait at the weight reached so far."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="step-weight-or-pause",
            cel="has(self.weight) != has(self.pause)",
            message="a step is either a weight or a pause: write {weight: 5} or {pause: {duration: 10m}}",
            holds=lambda step: (step.weight is None) != (step.pause is None),
        ),
        Rule(
            name="step-min-requests-with-weight",
            cel="!has(self.minRequests) || has(self.weight)",
            message="minRequests counts requests at a weight: put both in one step, like {weight: 5, minRequests: 500}",
            holds=lambda step: step.min_requests is None or step.weight is not None,
            field="minRequests",
        ),
    )


class Stickiness(Part):
    """What keeps a user on the side that first answered. With it the unit of evidence is the user, not the request."""

    atomic: ClassVar[bool] = True

    header: HeaderName | None = None
    """Request header that names the user, such as x-user-id. Requests without it are assigned one by one."""
    cookie: CookieName | None = None
    """Cookie that the application sets and that names the user or session. Penstock sets none."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="stickiness-header-or-cookie",
            cel="has(self.header) != has(self.cookie)",
            message="stickiness needs exactly one of header and cookie: write {header: x-user-id} or {cookie: session}",
            holds=lambda stickiness: (stickiness.header is None) != (stickiness.cookie is None),
        ),
    )


DEFAULT_STEPS = (
    Step(weight=1),
    Step(weight=5, min_requests=500),
    Step(weight=25),
    Step(pause=Pause(duration=Duration("10m"))),
    Step(weight=50),
)


def _weights(rollout: "Rollout") -> list[int]:
    return [step.weight for step in rollout.steps if step.weight is not None]


def _is_error_rate(share: Share) -> bool:
    return 0 < share.fraction <= 0.2


class Rollout(Part):
    """How a new revision gets its traffic, and what takes it back."""

    strategy: Strategy = Strategy.CANARY
    """Canary raises the share of traffic in steps while the guardrails are judged. Immediate sends everything to the
    new revision as soon as it is ready, and watches it."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=20)] = DEFAULT_STEPS
    """Steps of a Canary, in order; after the last one the revision is promoted once the evidence allows it. Left out:
    1 %, 5 % with 500 requests, 25 %, a pause of 10m, 50 %."""
    false_rollback: Share = Share("1%")
    """Highest probability, over a whole release, that request evidence takes back a candidate within tolerance."""
    missed_regression: Share = Share("1%")
    """Highest probability, over a whole release, that a candidate beyond tolerance is promoted."""
    guardrails: Annotated[tuple[Guardrail, ...], Field(min_length=1, max_length=10), MAP_BY_NAME] = (
        Guardrail.failed(),
        Guardrail.refused(),
    )
    """What must not get worse than on the stable revision. Left out: `failed` and `refused`, each tolerated up to
    ratio "1.5" or points 1%. A list given here replaces both: name them again to keep them."""
    stickiness: Stickiness | None = None
    """Keeps a user on the side that first answered. Not in this version, which assigns every request on its own; counts
    of sticky releases can be replayed."""
    watch_for: Duration = Duration("1h")
    """How long after the promotion the previous revision stays warm and the new one stays under watch."""
    holdback: Share | None = None
    """Share of traffic that the previous revision keeps during watchFor, to compare with. Not in this version."""
    deadline: Duration = Duration("24h")
    """How long a release may take before onDeadline ends it."""
    on_deadline: OnDeadline = OnDeadline.HOLD
    """What ends a release that is undecided at its deadline: Hold keeps the weight and reports Stalled, Rollback sends
    all traffic back to the stable revision. A release is never promoted for want of evidence."""
    ready_when: ReadyWhen = ReadyWhen.RELEASED
    """What Ready stands for: Released waits until a release has ended, Serving only needs the stable revision to serve
    (for pipelines that must not wait for a long release)."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="steps-begin-with-weight",
            cel="!has(self.steps) || self.steps.size() == 0 || has(self.steps[0].weight)",
            message="the first step must be a weight, as in {weight: 1}: before it nothing can be observed",
            holds=lambda rollout: not rollout.steps or rollout.steps[0].weight is not None,
            field="steps",
        ),
        Rule(
            name="steps-rise",
            cel=(
                "!has(self.steps) || (self.steps.filter(s, has(s.weight)).map(s, s.weight).isSorted() && "
                "self.steps.filter(s, has(s.weight)).all(s, self.steps.exists_one(t, has(t.weight) && "
                "t.weight == s.weight)))"
            ),
            message="weights must rise from step to step: order them like 1, 5, 25, 50 and leave out repeated ones",
            holds=lambda rollout: all(lower < upper for lower, upper in pairwise(_weights(rollout))),
            field="steps",
        ),
        Rule(
            name="steps-only-in-canary",
            cel="!has(self.steps) || !has(self.strategy) || self.strategy == 'Canary'",
            message="only strategy Canary has steps: leave steps out, or set strategy: Canary",
            holds=lambda rollout: "steps" not in rollout.model_fields_set or rollout.strategy is Strategy.CANARY,
            field="steps",
        ),
        Rule(
            name="false-rollback-range",
            cel=f"!has(self.falseRollback) || {share_within('self.falseRollback', 'v > 0.0 && v <= 20.0')}",
            message="falseRollback must be above 0% and at most 20%; 1% is usual",
            holds=lambda rollout: _is_error_rate(rollout.false_rollback),
            field="falseRollback",
        ),
        Rule(
            name="missed-regression-range",
            cel=f"!has(self.missedRegression) || {share_within('self.missedRegression', 'v > 0.0 && v <= 20.0')}",
            message="missedRegression must be above 0% and at most 20%; 1% is usual",
            holds=lambda rollout: _is_error_rate(rollout.missed_regression),
            field="missedRegression",
        ),
        Rule(
            name="holdback-not-in-this-version",
            cel="!has(self.holdback)",
            message=(
                "holdback is not in this version: leave it out; watchFor keeps the previous revision warm without traffic"
            ),
            holds=lambda rollout: rollout.holdback is None,
            field="holdback",
        ),
        Rule(
            name="latency-guardrails-at-most-8",
            cel=(
                f"!has(self.guardrails) || self.guardrails.filter(g, g.metric == 'latency').size() <= {MOST_THRESHOLDS}"
            ),
            message=(
                f"at most {MOST_THRESHOLDS} guardrails may have metric latency, because routers count no more: remove some"
            ),
            holds=lambda rollout: sum(it.metric is Metric.LATENCY for it in rollout.guardrails) <= MOST_THRESHOLDS,
            field="guardrails",
        ),
        Rule(
            name="deadline-positive",
            cel="!has(self.deadline) || self.deadline.matches('[1-9]')",
            message="deadline must be longer than nothing: write 24h, or leave it out",
            holds=lambda rollout: rollout.deadline.milliseconds > 0,
            field="deadline",
        ),
    )
