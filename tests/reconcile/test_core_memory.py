"""What survives: a lost status, another operator, edited and deleted children, older records."""

import copy
from dataclasses import replace
from datetime import timedelta

import pytest
from core_bench.cluster import holds, promotes, rolls_back_at
from core_bench.scenes import STAYS, Scene, lasting, manifest, revision, stable_scene
from penstock.render.templates import TEMPLATES

V1, V2 = revision(1), revision(2)


def seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


def in_release() -> Scene:
    return stable_scene(**STAYS).wants(2).run(seconds(15))


def children(scene: Scene) -> dict[str, object]:
    return {key: it for key, it in lasting(scene.api).items() if not key.startswith("ModelDeployment/")}


@pytest.mark.parametrize("judge", [holds, promotes, rolls_back_at(50)], ids=["holding", "promoting", "rolling back"])
@pytest.mark.parametrize("after", [0, 5, 15, 30, 60])
def test_a_blanked_status_loses_nothing(judge, after: int) -> None:
    scene = stable_scene(judge).wants(2).run(seconds(after))
    untouched = scene.copy()
    scene.api.edit("ModelDeployment", "fraud", {"status": None})
    scene.operator.settle()
    untouched.operator.settle()
    assert children(scene) == children(untouched)
    told, expected = dict(scene.status), dict(untouched.status)
    for status in (told, expected):
        status["conditions"] = [{**it, "lastTransitionTime": "-"} for it in status["conditions"]]
        status.pop("evidence")
        status.pop("message")
        for condition in status["conditions"]:
            condition.pop("message")
    if told["phase"] != "Releasing":
        assert told == expected
    scene.run(seconds(60))
    untouched.run(seconds(60))
    assert children(scene) == children(untouched)


def test_an_operator_with_other_defaults_restarts_nothing() -> None:
    scene = in_release()
    before = {name: scene.api.get("Deployment", name)["spec"]["template"] for name in (V1, V2)}
    scene.operator.defaults = replace(scene.operator.defaults, serving_image="penstock/serving:2.0")
    scene.run(seconds(30))
    assert {name: scene.api.get("Deployment", name)["spec"]["template"] for name in (V1, V2)} == before
    assert scene.arms().keys() == {V1, V2}
    scene.wants(3).run(seconds(15))
    (server,) = scene.api.get("Deployment", revision(3))["spec"]["template"]["spec"]["containers"]
    assert server["image"] == "penstock/serving:2.0"


def test_running_pods_keep_their_place_and_new_revisions_take_the_new_one() -> None:
    scene = stable_scene()
    before = copy.deepcopy(scene.api.get("Deployment", V1)["spec"]["template"])
    scene.edit(runtime={"podTemplate": {"nodeSelector": {"pool": "big"}}}).run(seconds(10))
    assert scene.api.get("Deployment", V1)["spec"]["template"] == before
    scene.wants(2).run(seconds(10))
    assert scene.api.get("Deployment", V2)["spec"]["template"]["spec"]["nodeSelector"] == {"pool": "big"}


def test_scaling_is_no_release() -> None:
    scene = stable_scene().edit(runtime={"replicas": 7}).run(seconds(10))
    assert scene.replicas() == {V1: 7}
    assert scene.status["replicas"] == 7
    assert scene.status["observedGeneration"] == 2
    assert scene.status["phase"] == "Stable"
    assert len(scene.status["history"]) == 1


@pytest.mark.parametrize(
    ("kind", "name", "edit"),
    [
        ("Deployment", V1, {"spec": {"replicas": 0}}),
        ("Deployment", V1, {"spec": {"template": {"spec": {"automountServiceAccountToken": True}}}}),
        ("Deployment", V1, {"metadata": {"labels": {"penstock.dev/revision": "other"}}}),
        ("Service", "fraud", {"spec": {"selector": {"app": "other"}}}),
        ("Service", "fraud", {"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 20099}]}}),
        ("Service", V1, {"spec": {"selector": {"penstock.dev/revision": "other"}}}),
        ("NetworkPolicy", "fraud", {"spec": {"ingress": []}}),
        ("ConfigMap", "penstock-router-default", {"data": {"table.json": '{"models": []}'}}),
        ("ConfigMap", "penstock-router-default", {"data": {"table.json": "not even JSON"}}),
        ("Deployment", "penstock-router-default", {"spec": {"replicas": 1}}),
        ("RoleBinding", "penstock-router-default", {"subjects": []}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_edited_children_are_repaired(kind: str, name: str, edit: dict[str, object]) -> None:
    scene = stable_scene()
    before = lasting(scene.api)
    scene.api.edit(kind, name, edit)
    assert lasting(scene.api) != before
    scene.operator.settle()
    scene.cluster.elapse(seconds(5))
    scene.operator.settle()
    assert lasting(scene.api) == before


def test_a_field_that_is_not_ours_is_left_to_who_set_it() -> None:
    scene = stable_scene()
    scene.api.edit("Deployment", V1, {"spec": {"template": {"spec": {"serviceAccountName": "other"}}}})
    writes = scene.api.writes
    scene.operator.settle()
    assert scene.api.writes == writes


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Deployment", V1), ("Deployment", V2), ("Service", "fraud"), ("Service", V2), ("NetworkPolicy", "fraud"),
        ("ConfigMap", "penstock-router-default"), ("Deployment", "penstock-router-default"),
        ("Service", "penstock-router-default"), ("ServiceAccount", "penstock-router-default"),
        ("PodDisruptionBudget", "penstock-router-default"),
    ],
)  # fmt: skip
def test_deleted_children_are_made_again(kind: str, name: str) -> None:
    scene = in_release()
    before = lasting(scene.api)
    scene.api.delete(kind, name)
    scene.operator.settle()
    after = lasting(scene.api)
    assert after.keys() == before.keys()
    scene.run(seconds(10))
    assert scene.arms() == {V1: 95, V2: 5}


def test_a_deleted_router_comes_back_with_the_same_ports() -> None:
    scene = in_release()
    before = children(scene)
    scene.api.delete("Router", "default")
    scene.api.collect_garbage()
    assert ("ConfigMap", "penstock-router-default") not in scene.api.objects
    scene.cluster.serving.clear()
    scene.run(seconds(10))
    assert children(scene).keys() == before.keys()
    assert scene.arms() == {V1: 95, V2: 5}


def test_a_serving_revision_that_was_deleted_by_hand_serves_on() -> None:
    scene = in_release()
    spec = copy.deepcopy(scene.api.get("ModelRevision", V1)["spec"])
    scene.api.delete("ModelRevision", V1)
    scene.run(seconds(5))
    assert scene.api.get("ModelRevision", V1)["spec"] == spec
    assert scene.record(V1)["role"] == "Stable"
    assert scene.arms() == {V1: 95, V2: 5}
    assert scene.replicas()[V1] == 4


def test_without_any_record_what_serves_is_adopted() -> None:
    scene = stable_scene()
    scene.api.delete("ModelRevision", V1)
    scene.api.delete("ConfigMap", "penstock-router-default")
    scene.cluster.serving.clear()
    scene.run(seconds(10))
    assert scene.record(V1)["role"] == "Stable"
    assert scene.arms() == {V1: 100}


def test_a_deployment_that_nothing_is_known_of_goes() -> None:
    scene = in_release()
    scene.api.edit("Deployment", V2, {"metadata": {"annotations": {"penstock.dev/revision-spec": "garbage"}}})
    scene.api.delete("ModelRevision", V2)
    scene.wants(1).run(seconds(5))
    assert scene.replicas() == {V1: 4}
    assert ("Service", V2) not in scene.api.objects


def test_a_serving_revision_that_cannot_be_read_back_is_released_anew() -> None:
    scene = stable_scene()
    garbage = {"penstock.dev/revision-spec": "garbage", "penstock.dev/placement": "garbage"}
    scene.api.edit("Deployment", V1, {"metadata": {"annotations": garbage}})
    scene.api.delete("ModelRevision", V1)
    scene.run(seconds(10))
    assert scene.record(V1)["role"] == "Stable"
    assert scene.arms() == {V1: 100}


def test_records_from_a_backup_do_not_fall_behind_the_routers() -> None:
    scene = in_release()
    record = copy.deepcopy(scene.api.get("ModelRevision", V2)["record"])
    scene.wants(1).run(seconds(10)).wants(2).run(seconds(15))
    epoch = scene.status["epoch"]
    scene.api.edit("ModelRevision", V2, {"record": record})
    scene.run(seconds(10))
    assert scene.status["epoch"] > epoch
    assert scene.arms() == {V1: 95, V2: 5}


def test_nothing_of_a_deployment_is_left_behind() -> None:
    scene = in_release()
    scene.api.delete("ModelDeployment", "fraud")
    scene.api.collect_garbage()
    scene.operator.settle()
    scene.api.collect_garbage()
    assert scene.api.objects == {}


def test_a_deployment_of_the_same_name_adopts_nothing_of_the_one_before() -> None:
    scene = in_release()
    old = scene.api.get("Service", "fraud")["metadata"]["uid"]
    scene.api.delete("ModelDeployment", "fraud")
    scene.api.create(manifest(1))
    scene.operator.settle()
    assert scene.api.get("Service", "fraud")["metadata"]["uid"] == old
    assert scene.status["phase"] == "Starting"
    assert "still being removed" in scene.status["message"]
    scene.run(seconds(20))
    assert scene.status["phase"] == "Stable"
    assert scene.api.get("Service", "fraud")["metadata"]["uid"] != old
    assert len(scene.status["history"]) == 1


def test_old_revisions_are_forgotten_rejections_and_the_newest_epoch_are_not() -> None:
    spec = {"rollout": {"strategy": "Immediate", "watchFor": "0s"}}
    scene = stable_scene(**spec)
    for version in range(2, 20):
        scene.wants(version).run(seconds(60), tick=seconds(20))
        assert scene.status["phase"] == "Stable"
    revisions = [name for kind, name in scene.api.objects if kind == "ModelRevision"]
    assert len(revisions) == 12
    assert revision(19) in revisions
    assert revision(18) in revisions
    assert V1 not in revisions
    assert len(scene.status["history"]) == 19
    assert scene.status["epoch"] == 38


def test_pods_of_a_revision_from_before_a_template_stay_as_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = stable_scene()
    before = copy.deepcopy(scene.api.get("Deployment", V1))
    later = TEMPLATES | {2: lambda *of: TEMPLATES[1](*of) | {"terminationGracePeriodSeconds": 99}}
    for module in ("render.templates", "reconcile.children", "reconcile.obstacles"):
        monkeypatch.setattr(f"penstock.{module}.TEMPLATES", later)
    monkeypatch.setattr("penstock.reconcile.wanted.CURRENT", 2)
    scene.edit(service={"annotations": {"a": "b"}}).run(seconds(10))
    assert scene.api.get("Deployment", V1) == before
    scene.wants(2).run(seconds(10))
    assert scene.api.get("Deployment", V1)["spec"]["template"] == before["spec"]["template"]
    of_the_new = scene.api.get("Deployment", V2)["spec"]["template"]["spec"]
    assert of_the_new["terminationGracePeriodSeconds"] == 99


def test_a_revision_of_a_newer_operator_is_left_alone() -> None:
    scene = in_release()
    document = scene.api.objects[("ModelRevision", V1)]
    document["spec"]["templateVersion"] = 99
    before = copy.deepcopy(scene.api.get("Deployment", V1))
    scene.edit(runtime={"replicas": 9}).run(seconds(10))
    assert scene.api.get("Deployment", V1)["spec"] == before["spec"]
    assert scene.status["phase"] == "Refused"
    assert "newer operator" in scene.status["message"]
    scene.cluster.counter.judge = rolls_back_at(5)
    scene.run(seconds(5))
    assert scene.arms() == {V1: 100}
