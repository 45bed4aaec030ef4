"""A plan as one JSON object: times in seconds, rates and shares as parts of 1."""

from collections.abc import Sequence
from typing import Any

from penstock.cli.planning.facts import GuardrailFacts, Plan, PromotionFacts, RegressionFacts, Spread, StepFacts


def as_json(plan: Plan) -> dict[str, Any]:
    """The facts of a plan."""
    fleet = plan.fleet
    return {
        "name": plan.name,
        "requestsPerSecond": plan.traffic,
        "routers": plan.routers,
        "deadlineSeconds": plan.deadline,
        "falseRollback": plan.false_rollback,
        "missedRegression": plan.missed_regression,
        "promotion": _promotion(plan.promotion),
        "steps": [_step(step) for step in plan.steps],
        "guardrails": [_guardrail(guardrail) for guardrail in plan.guardrails],
        "points": [
            {"points": choice.points, "decidable": choice.decidable, "promotion": _promotion(choice.promotion)}
            for choice in plan.points
        ],
        "autoPoints": plan.auto,
        "warnings": [{"says": caution.says, "decidableInstead": list(caution.remedies)} for caution in plan.cautions],
        "fleet": None
        if fleet is None
        else {
            "models": fleet.models,
            "releasesPerYear": fleet.releases,
            "falseRollbacksPerYearAtMost": fleet.false_rollbacks,
        },
    }


def _promotion(facts: PromotionFacts) -> dict[str, Any]:
    return {
        "beforeDeadline": facts.share,
        "seconds": _spread(facts.seconds),
        "requests": _spread(facts.requests),
        "simulatedReleases": facts.simulated,
    }


def _step(step: StepFacts) -> dict[str, Any]:
    return {
        "weight": step.weight,
        "waitsFor": step.cause,
        "minRequests": step.min_requests,
        "minRequestsNamed": step.named,
        "pauseSeconds": step.pause,
        "beginsSeconds": step.begins,
        "endsSeconds": step.ends,
        "candidateRequests": step.requests,
    }


def _guardrail(facts: GuardrailFacts) -> dict[str, Any]:
    return {
        "names": list(facts.names),
        "stableRate": facts.base,
        "tolerate": {"ratio": facts.ratio, "points": facts.points, "pointsAuto": facts.auto},
        "toleratedRate": facts.tolerated,
        "shield": facts.shield,
        "regressions": _regressions(facts.regressions),
        "curve": _regressions(facts.curve),
    }


def _regressions(found: Sequence[RegressionFacts]) -> list[dict[str, Any]]:
    return [
        {
            "label": regression.label,
            "rate": regression.rate,
            "outlook": regression.outlook,
            "rolledBack": regression.rolled_back,
            "promoted": regression.promoted,
            "secondsToVerdict": _spread(regression.seconds),
            "candidateRequests": _spread(regression.requests),
            "badAnswersMedian": regression.failures,
            "simulatedReleases": regression.simulated,
        }
        for regression in found
    ]


def _spread(spread: Spread | None) -> dict[str, float | None] | None:
    return None if spread is None else {"p10": spread.low, "median": spread.median, "p95": spread.high}
