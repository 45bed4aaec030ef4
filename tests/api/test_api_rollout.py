"""What a rollout means when something is left out."""

import pytest
from penstock.api import load, load_rollout
from penstock.api.guardrail import Evidence, Metric
from penstock.api.rollout import OnDeadline, ReadyWhen, Rollout, Strategy

HEAD = """
apiVersion: penstock.dev/v1alpha1
kind: ModelDeployment
metadata: {name: fraud}
spec:
  model: {uri: s3://models/fraud}
"""


def rollout(text: str) -> Rollout:
    return load(f"{HEAD}  rollout: {text}\n").spec.rollout


def test_a_manifest_without_rollout_has_the_default_one() -> None:
    default = load(HEAD).spec.rollout
    assert default == Rollout()
    assert default.strategy is Strategy.CANARY
    assert [step.weight for step in default.steps] == [1, 5, 25, None, 50]
    assert default.steps[1].min_requests == 500
    assert default.steps[3].pause is not None
    assert default.steps[3].pause.duration.seconds == 600
    assert (default.false_rollback.fraction, default.missed_regression.fraction) == (0.01, 0.01)
    assert (default.deadline.seconds, default.on_deadline) == (86_400, OnDeadline.HOLD)
    assert (default.watch_for.seconds, default.ready_when) == (3_600, ReadyWhen.RELEASED)
    assert default.stickiness is None
    assert default.holdback is None


def test_without_guardrails_failures_and_refusals_are_guarded() -> None:
    guardrails = rollout("{falseRollback: 5%}").guardrails
    assert [(g.name, g.metric, g.tolerate.ratio_limit, g.tolerate.points_limit) for g in guardrails] == [
        ("failed", Metric.FAILED, 1.5, 0.01),
        ("refused", Metric.REFUSED, 1.5, 0.01),
    ]


def test_a_list_of_guardrails_replaces_the_default_one() -> None:
    guardrails = rollout("{guardrails: [{name: slow, metric: latency, threshold: 50ms}]}").guardrails
    assert [g.name for g in guardrails] == ["slow"]
    assert guardrails[0].threshold is not None
    assert guardrails[0].threshold.milliseconds == 50


@pytest.mark.parametrize(
    ("tolerate", "ratio", "points"),
    [
        ("{ratio: 1}", 1, 0),
        ('{ratio: "1.5"}', 1.5, 0),
        ("{ratio: 1.5}", 1.5, 0),
        ("{points: 2%}", 1, 0.02),
        ("{points: auto}", 1, None),
        ('{ratio: "2", points: 0.5%}', 2, 0.005),
    ],
)
def test_a_side_of_tolerate_that_is_left_out_tolerates_nothing(tolerate: str, ratio: float, points: float) -> None:
    (guardrail,) = rollout(f"{{guardrails: [{{name: failed, metric: failed, tolerate: {tolerate}}}]}}").guardrails
    assert (guardrail.tolerate.ratio_limit, guardrail.tolerate.points_limit) == (ratio, points)


@pytest.mark.parametrize(
    ("guardrail", "unit"),
    [
        ("{name: a, metric: failed}", Evidence.REQUESTS),
        ("{name: a, metric: refused}", Evidence.REQUESTS),
        ("{name: a, metric: latency, threshold: 1s}", Evidence.STRATA),
        ("{name: a, metric: failed, evidence: Strata}", Evidence.STRATA),
        ("{name: a, metric: latency, threshold: 1s, evidence: Requests}", Evidence.REQUESTS),
    ],
)
def test_bursty_metrics_are_judged_by_strata(guardrail: str, unit: Evidence) -> None:
    assert rollout(f"{{guardrails: [{guardrail}]}}").guardrails[0].evidence_unit is unit


def test_an_immediate_rollout_needs_no_steps() -> None:
    assert rollout("{strategy: Immediate}").strategy is Strategy.IMMEDIATE


def test_a_rollout_survives_a_round_trip_as_written() -> None:
    made = rollout(
        '{steps: [{weight: 5}], deadline: 90m, guardrails: [{name: f, metric: failed, tolerate: {ratio: "1.50"}}]}'
    )
    written = made.model_dump(mode="json", exclude_unset=True)
    assert written == {
        "steps": [{"weight": 5}],
        "deadline": "90m",
        "guardrails": [{"name": "f", "metric": "failed", "tolerate": {"ratio": "1.50"}}],
    }
    assert Rollout.model_validate(written) == made


def test_the_rollout_alone_can_be_read_from_a_manifest_without_model_or_name() -> None:
    text = "apiVersion: penstock.dev/v1alpha1\nkind: ModelDeployment\nspec: {rollout: {falseRollback: 5%}}\n"
    assert load_rollout(text).false_rollback.fraction == 0.05
