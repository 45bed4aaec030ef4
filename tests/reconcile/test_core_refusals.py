"""Bad input and a world that does not allow: a reason, a sentence, a next step, while stable serves on."""

from dataclasses import replace
from datetime import timedelta

import pytest
from core_bench.cluster import crashing, holds, rolls_back_at
from core_bench.scenes import BEGIN, Scene, manifest, new_scene, revision, stable_scene
from penstock.api.errors import Problem
from penstock.api.metadata import ObjectMeta
from penstock.api.reasons import Reason
from penstock.reconcile.deployment import reconcile
from penstock.reconcile.effects import Apply, Create, Delete, Requeue, Status
from penstock.reconcile.unusable import reconcile_unusable
from penstock.world import Obstacle, Unusable

V1, V2 = revision(1), revision(2)


def seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


def users(kind: str, name: str, **fields: object) -> dict[str, object]:
    """An object of a user's own."""
    version = {"Service": "v1", "NetworkPolicy": "networking.k8s.io/v1", "Deployment": "apps/v1"}.get(kind, "v1")
    metadata = {"name": name, "namespace": "risk", "labels": {"app": "shop"}}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": {"own": True}} | fields


@pytest.mark.parametrize(
    ("kind", "name"),
    [("Service", "fraud"), ("NetworkPolicy", "fraud"), ("Deployment", V1), ("Service", V1), ("ModelRevision", V1)],
)
def test_a_taken_name_is_left_alone_and_nothing_is_made(kind: str, name: str) -> None:
    scene = new_scene()
    scene.api.create(users(kind, name, spec={"replicas": 3, "template": {"metadata": {"labels": {}}, "spec": {}}}))
    taken = dict(scene.api.objects[(kind, name)])
    scene.cluster.elapse(seconds(5))
    taken = scene.api.objects[(kind, name)]
    scene.operator.settle()
    assert scene.api.objects[(kind, name)] is taken
    assert scene.status["phase"] == "Refused"
    assert scene.condition("Stalled")["reason"] == "NameTaken"
    assert f"{kind} {name}" in scene.status["message"]
    made = {key for key in scene.api.objects if key != (kind, name)}
    assert made - {("ModelDeployment", "fraud")} <= {
        it for it in made if it[1].startswith("penstock-router") or it[0] == "Router"
    }
    scene.api.delete(kind, name)
    scene.run(seconds(20))
    assert scene.status["phase"] == "Stable"


def test_a_name_taken_later_stops_progress_but_not_serving_or_rollback() -> None:
    scene = stable_scene(holds).wants(2).run(seconds(15))
    scene.api.delete("Service", "fraud")
    scene.api.create(users("Service", "fraud"))
    taken = scene.api.objects[("Service", "fraud")]
    scene.run(seconds(30))
    assert scene.api.objects[("Service", "fraud")] is taken
    assert scene.arms() == {V1: 95, V2: 5}
    assert scene.condition("Stalled")["reason"] == "NameTaken"
    scene.cluster.counter.judge = rolls_back_at(5)
    scene.run(seconds(5))
    assert scene.arms() == {V1: 100}


def test_what_the_api_server_refused_is_told_and_nothing_is_tried_in_that_pass() -> None:
    scene = new_scene()
    world = scene.operator.world()
    assert world is not None
    refused = replace(world, obstacle=Obstacle(Reason.FORBIDDEN, "may not create deployments.apps in risk"))
    effects = list(reconcile(refused))
    assert not [it for it in effects if isinstance(it, (Create, Apply, Delete))]
    (status,) = [it for it in effects if isinstance(it, Status)]
    assert status.status.phase == "Refused"
    assert "deployments.apps" in status.status.message
    assert any(isinstance(it, Requeue) for it in effects)
    assert [it for it in reconcile(world) if isinstance(it, Create)], "the next pass tries again"


def test_in_a_namespace_that_is_being_deleted_nothing_is_made() -> None:
    scene = new_scene()
    world = scene.operator.world()
    assert world is not None
    effects = list(reconcile(replace(world, namespace_terminating=True)))
    assert not [it for it in effects if isinstance(it, (Create, Apply, Delete))]
    (status,) = [it for it in effects if isinstance(it, Status)]
    assert status.status.conditions[0].reason is Reason.NAMESPACE_TERMINATING


def test_a_deployment_that_is_being_deleted_is_left_alone() -> None:
    scene = stable_scene().wants(2)
    scene.api.edit("ModelDeployment", "fraud", {"metadata": {"deletionTimestamp": "2026-11-24T06:10:00Z"}})
    world = scene.operator.world()
    assert world is not None
    assert list(reconcile(world)) == []


def unusable(scene: Scene) -> Unusable:
    document = scene.deployment
    metadata = ObjectMeta.model_validate(document["metadata"], by_alias=True, by_name=False)
    problems = (Problem("spec.rollout.steps", "weights must rise from step to step"),)
    return Unusable(scene.api.now, metadata, document.get("status", {}), problems)


def test_a_spec_that_cannot_be_read_is_told_and_stable_is_kept_in_the_status() -> None:
    scene = stable_scene()
    (effect,) = reconcile_unusable(unusable(scene))
    assert isinstance(effect, Status)
    status = effect.status
    assert (status.phase, status.stable.revision) == ("Refused", V1)
    assert "spec.rollout.steps" in status.message
    conditions = {str(it.type): it for it in status.conditions}
    assert conditions["Stalled"].reason is Reason.INVALID_SPEC
    assert conditions["Available"].status == "True"
    scene.operator.attempt(effect)
    assert list(reconcile_unusable(unusable(scene))) == []


@pytest.mark.parametrize(
    ("reason", "code", "phase"),
    [
        ("ModelUnreachable", 75, "Holding"),
        ("DigestMismatch", 78, "Refused"),
        ("NotAModel", 78, "Refused"),
        ("ScikitLearnMismatch", 78, "Refused"),
        ("ModelForbidden", 78, "Refused"),
    ],
)
def test_what_a_pod_says_of_its_model_is_told_while_stable_serves(reason: str, code: int, phase: str) -> None:
    scene = stable_scene()
    words = f'{{"reason": "{reason}", "kind": "BadInput", "message": "what is wrong, and what to do"}}'
    scene.cluster.behaviour[V2] = crashing(2, code, words)
    scene.wants(2).run(seconds(30))
    assert scene.status["phase"] == phase
    assert scene.condition("Ready")["reason"] == reason
    assert scene.status["message"] == "what is wrong, and what to do"
    assert scene.condition("Available")["status"] == "True"
    assert scene.arms() == {V1: 100, V2: 0}
    scene.wants(1).run(seconds(5))
    assert scene.kstatus == "Current"


def test_a_stalled_deployment_is_told_once_though_its_pods_go_on_talking() -> None:
    scene = stable_scene()
    scene.cluster.behaviour[V2] = crashing(3, message="at 06:00:01")
    scene.wants(2).run(seconds(30))
    scene.cluster.behaviour[V2] = crashing(4, message="at 06:01:01")
    told = set(scene.api.events)
    version = scene.deployment["metadata"]["resourceVersion"]
    scene.run(seconds(120))
    assert scene.deployment["metadata"]["resourceVersion"] == version
    assert set(scene.api.events) == told


def test_nothing_is_said_of_the_time_before_the_deployment_was_made() -> None:
    scene = new_scene()
    assert scene.deployment["metadata"]["creationTimestamp"] == BEGIN.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert manifest(1)["spec"] == scene.deployment["spec"]
