"""From the user's `spec.rollout` to the judge's criteria."""

from collections.abc import Iterable

from penstock.api.guardrail import Evidence, Metric
from penstock.api.guardrail import Guardrail as GuardrailSpec
from penstock.api.rollout import Rollout
from penstock.judge.budget import request_share
from penstock.judge.criteria import Criteria, Guardrail, Tolerance, Unit

_COLUMNS = {Metric.FAILED: "failed", Metric.REFUSED: "refused", Metric.LATENCY: "slow"}


def criteria_of(rollout: Rollout, reserved: Iterable[str] = ()) -> Criteria:
    """The contract that a release under `rollout` is judged by, frozen when it starts.

    `reserved` names the kinds of evidence beside requests that get their share of falseRollback (see `judge.budget`).
    """
    sticky = rollout.stickiness is not None
    return Criteria(
        guardrails=tuple(_guardrail(rail, sticky=sticky) for rail in rollout.guardrails),
        false_rollback=rollout.false_rollback.fraction,
        missed_regression=rollout.missed_regression.fraction,
        share=request_share(reserved),
        deadline=rollout.deadline.seconds,
    )


def _guardrail(rail: GuardrailSpec, *, sticky: bool) -> Guardrail:
    unit = Unit.STRATA if rail.evidence_unit is Evidence.STRATA else Unit.REQUESTS
    if sticky:
        unit = Unit.USERS
    tolerance = Tolerance(rail.tolerate.ratio_limit, rail.tolerate.points_limit)
    return Guardrail(str(rail.name), _COLUMNS[rail.metric], tolerance, unit)
