"""Reading manifests: one ModelDeployment in, every problem out."""

import pytest
from penstock.api import BadManifestError, ModelDeployment, Problem, load, load_rollout
from penstock.api.live import read

GOOD = """
apiVersion: penstock.dev/v1alpha1
kind: ModelDeployment
metadata: {name: fraud, namespace: risk}
spec:
  model: {uri: s3://models/fraud}
"""
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: risk}\n"


def refusal(text: str) -> BadManifestError:
    with pytest.raises(BadManifestError) as raised:
        load(text)
    return raised.value


def test_objects_beside_the_deployment_are_passed_over() -> None:
    assert load(f"{NAMESPACE}---\n{GOOD}---\n").metadata.namespace == "risk"


def test_json_is_read_too() -> None:
    text = (
        '{"apiVersion": "penstock.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "fraud"},'
        ' "spec": {"model": {"uri": "s3://models/fraud"}}}'
    )
    assert load(text).metadata.name == "fraud"


def test_a_status_is_no_part_of_what_is_wanted() -> None:
    assert load(GOOD + "status: {phase: NoSuchPhase}\n").status.phase is None


def test_every_problem_is_told_at_once() -> None:
    error = refusal(GOOD.replace("fraud}", "fraud, digest: abc}") + "  paused: maybe\n  rollout: {deadline: soon}\n")
    assert [problem.field for problem in error.problems] == [
        "spec.model.digest",
        "spec.rollout.deadline",
        "spec.paused",
    ]
    assert len(str(error).splitlines()) == 3


def test_rules_that_are_broken_together_are_told_together() -> None:
    error = refusal(GOOD + "  rollout: {falseRollback: 30%, deadline: 0s, steps: [{pause: {duration: 1m}}]}\n")
    assert [problem.field for problem in error.problems] == [
        "spec.rollout.steps",
        "spec.rollout.falseRollback",
        "spec.rollout.deadline",
    ]


def test_a_list_that_is_short_because_its_entries_are_wrong_is_not_called_short() -> None:
    error = refusal(GOOD + "  rollout: {guardrails: [{name: a, metric: accuracy}]}\n")
    assert [problem.field for problem in error.problems] == ["spec.rollout.guardrails[0].metric"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "found no ModelDeployment but nothing"),
        ("just words", "found no ModelDeployment but str"),
        (NAMESPACE, "found no ModelDeployment but Namespace"),
        (f"{GOOD}---\n{GOOD}", "found 2 ModelDeployments: keep one to a file"),
        ("a: [", "this is no YAML"),
        (GOOD + "  paused: true\n  paused: false\n", "the key paused occurs twice: remove one"),
        (GOOD.replace("v1alpha1", "v1"), "apiVersion: must be 'penstock.dev/v1alpha1', not 'penstock.dev/v1'"),
        (GOOD.replace("name: fraud", "name: null"), "metadata.name: must be a string"),
        (GOOD.replace("name: fraud", "name: ''"), "metadata.name: must not be empty: write a value"),
        (GOOD + f"  rollout: {'x' * 1000}\n", "must be a mapping of fields, not 'xxx"),
        (
            GOOD + "  rollout: {steps: [{sleep: 1}]}\n",
            "unknown field: remove it (known here: weight, minRequests, pause)",
        ),
        (GOOD + "  rollout: {stickiness: {heeder: x}}\n", "unknown field: did you mean header?"),
        (GOOD + "  rollout: often\n", "spec.rollout: must be a mapping of fields, not 'often'"),
        (GOOD + "  rollout: {steps: {weight: 1}}\n", "spec.rollout.steps: must be a list"),
        (GOOD + "  rollout: {false_rollback: 1%}\n", "unknown field: did you mean falseRollback?"),
        (
            GOOD + "  runtime: {env: [{name: A, value: 1}]}\n",
            "spec.runtime.env[0].value: must be a string: put 1 in quotes",
        ),
        (GOOD + "  runtime: {image: [a]}\n", "spec.runtime.image: ['a'] is no string"),
        (GOOD + "  runtime: {resources: 1}\n", "spec.runtime.resources: must be a mapping of fields"),
        (
            GOOD + "  runtime: {resources: {limits: {cpu: [1]}}}\n",
            "spec.runtime.resources.limits.cpu: [1] is no string",
        ),
        (GOOD + "  service: {annotations: 7}\n", "spec.service.annotations: must be a mapping of fields"),
        (GOOD + f"  service: {{annotations: {{a: {'x' * 1025}}}}}\n", "is longer than 1024 characters: shorten it"),
    ],
)
def test_what_is_wrong_is_named(text: str, says: str) -> None:
    refused = str(refusal(text))
    assert says in refused
    assert all(len(line) < 250 for line in refused.splitlines())


def test_a_rollout_read_alone_is_still_checked_whole() -> None:
    with pytest.raises(BadManifestError, match="unknown field") as raised:
        load_rollout(GOOD.replace("  model: {uri: s3://models/fraud}", "  modell: {}"))
    assert [problem.field for problem in raised.value.problems] == ["spec.modell"]
    with pytest.raises(BadManifestError, match=r"spec.rollout.steps\[0\].pause.duration: is required"):
        load_rollout(GOOD + "  rollout: {steps: [{pause: {}}]}\n")


def test_a_problem_without_field_is_a_sentence() -> None:
    assert str(Problem("", "too many")) == "too many"
    assert str(Problem("spec", "is odd")) == "spec: is odd"


CANDIDATE = {"revision": "fraud-1", "weight": 5, "since": "2026-01-01T00:00:00Z"}
LIVE = {
    "apiVersion": "penstock.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "fraud", "uid": "u1", "generation": 3, "resourceVersion": "17", "managedFields": []},
    "spec": {"model": {"uri": "s3://models/fraud"}, "fieldOfTomorrow": 1, "rollout": {"alsoOfTomorrow": True}},
    "status": {"epoch": 4, "phase": "Releasing", "candidate": CANDIDATE},
}


def test_a_live_object_may_have_fields_of_a_newer_definition() -> None:
    live = read(ModelDeployment, LIVE)
    assert (live.metadata.uid, live.metadata.generation, live.status.epoch) == ("u1", 3, 4)
    assert live.status.candidate is not None
    assert live.status.candidate.weight == 5


def test_a_status_that_cannot_be_read_counts_as_none() -> None:
    live = read(ModelDeployment, {**LIVE, "status": {"epoch": 4, "phase": "PhaseOfTomorrow"}})
    assert live.status.phase is None
    assert live.metadata.uid == "u1"


def test_a_live_object_that_breaks_a_rule_is_refused() -> None:
    with pytest.raises(BadManifestError, match=r"spec\.model: is required"):
        read(ModelDeployment, {**LIVE, "spec": {}})
