"""A newest spec that cannot be read: it is told, and what runs goes on by the last one that could."""

import json
from datetime import timedelta

import pytest
from core_bench.cluster import promotes, rolls_back_at
from core_bench.scenes import STAYS, Scene, digest, lasting, revision, stable_scene
from penstock.api.errors import BadManifestError
from penstock.api.kstatus import kubectl_wait
from penstock.reconcile.in_force import ANNOTATION_IN_FORCE, LONGEST, readable

V1, V2 = revision(1), revision(2)
BROKEN = {"deadline": "soon"}


def seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


def in_release(judge, **rollout: object) -> Scene:
    scene = stable_scene(judge, rollout=STAYS["rollout"] | rollout).wants(2).run(seconds(15))
    assert scene.arms() == {V1: 95, V2: 5}
    return scene


def note(scene: Scene, name: str) -> dict[str, object]:
    found = scene.api.get("ModelRevision", name)
    assert found is not None
    return json.loads(found["metadata"]["annotations"][ANNOTATION_IN_FORCE])


def test_a_bad_candidate_is_taken_back_though_the_newest_spec_cannot_be_read() -> None:
    scene = in_release(promotes).edit(rollout=BROKEN).run(seconds(10))
    assert scene.arms() == {V1: 95, V2: 5}
    scene.cluster.counter.judge = rolls_back_at(5)
    scene.run(seconds(10))
    assert scene.arms() == {V1: 100}
    assert scene.record(V2)["role"] == "Rejected"
    assert scene.status["history"][0]["outcome"] == "RolledBack"


def test_it_is_told_with_the_field_and_that_the_spec_before_stays_in_force() -> None:
    scene = in_release(promotes).edit(rollout=BROKEN).run(seconds(10))
    assert (scene.status["phase"], scene.kstatus) == ("Refused", "Failed")
    assert scene.condition("Stalled")["reason"] == "InvalidSpec"
    assert scene.condition("Available")["status"] == "True"
    assert scene.condition("Released")["status"] == "False"
    assert scene.status["message"].startswith(
        "The last spec that could be read stays in force, because this one cannot:"
    )
    assert "spec.rollout.deadline" in scene.status["message"]
    assert scene.status["candidate"]["revision"] == V2
    assert not kubectl_wait(scene.deployment)


def test_a_release_goes_on_to_its_promotion_by_the_spec_in_force() -> None:
    scene = stable_scene(promotes).wants(2).run(seconds(10)).edit(rollout=BROKEN).run(seconds(90))
    assert scene.arms() == {V2: 100}
    assert scene.record(V2)["role"] == "Stable"
    assert scene.status["phase"] == "Refused"


def test_a_spec_that_can_be_read_again_is_in_force_at_once() -> None:
    scene = in_release(promotes).edit(rollout=BROKEN, runtime={"replicas": 9}).run(seconds(10))
    assert scene.replicas()[V1] == 4
    scene.edit(rollout={"deadline": "2h"}).run(seconds(10))
    assert scene.status["phase"] == "Releasing"
    assert scene.replicas()[V1] == 9
    assert note(scene, V2)["generation"] == scene.deployment["metadata"]["generation"]


def test_children_are_repaired_by_the_spec_in_force() -> None:
    scene = stable_scene().edit(service={"port": "eighty"}).run(seconds(5))
    before = lasting(scene.api)
    scene.api.delete("Service", "fraud")
    scene.run(seconds(10))
    assert lasting(scene.api) == before


def test_the_router_follows_the_spec_in_force() -> None:
    scene = stable_scene(traffic={"timeout": "3s"}).edit(traffic={"timeout": "soon"})
    scene.api.delete("ConfigMap", "penstock-router-default")
    scene.run(seconds(10))
    (model,) = json.loads(scene.api.objects[("ConfigMap", "penstock-router-default")]["data"]["table.json"])["models"]
    assert model["traffic"]["timeout"] == "3000ms"


def test_of_the_specs_that_were_noted_the_newest_counts() -> None:
    scene = in_release(promotes).wants(1).edit(runtime={"replicas": 6}).run(seconds(5))
    assert note(scene, V1)["generation"] > note(scene, V2)["generation"]
    scene.edit(model={"digest": "none"}).run(seconds(5))
    assert scene.replicas()[V1] == 6
    assert scene.arms() == {V1: 100}


def test_the_note_is_written_once_for_each_generation() -> None:
    scene = stable_scene()
    version = scene.api.get("ModelRevision", V1)["metadata"]["resourceVersion"]
    scene.run(seconds(60))
    assert scene.api.get("ModelRevision", V1)["metadata"]["resourceVersion"] == version
    assert note(scene, V1) == {"generation": 1, "spec": scene.deployment["spec"]}


def test_a_spec_too_large_to_be_noted_is_not() -> None:
    env = [{"name": f"V{index}", "value": "x" * 4096} for index in range(LONGEST // 4096 + 1)]
    scene = stable_scene(runtime={"replicas": 4, "env": env})
    stable = scene.status["stable"]["revision"]
    assert ANNOTATION_IN_FORCE not in scene.api.get("ModelRevision", stable)["metadata"].get("annotations", {})


@pytest.mark.parametrize(
    "noted",
    [None, "garbage", "[]", '{"generation": 1}', '{"generation": 1, "spec": {"model": {}}}'],
    ids=["nothing", "no JSON", "no object", "no spec", "unreadable itself"],
)
def test_without_a_spec_that_can_be_read_the_newest_is_refused(noted: str | None) -> None:
    scene = stable_scene().edit(model={"digest": "none"})
    scene.api.objects[("ModelRevision", V1)]["metadata"]["annotations"] = {ANNOTATION_IN_FORCE: noted} if noted else {}
    with pytest.raises(BadManifestError, match=r"spec\.model\.digest"):
        readable(scene.deployment, scene.api.list("ModelRevision", {}))


def test_a_revision_of_another_deployment_of_that_name_says_nothing() -> None:
    scene = stable_scene().edit(model={"digest": "none"})
    others = {**scene.deployment, "metadata": {**scene.deployment["metadata"], "uid": "another"}}
    with pytest.raises(BadManifestError):
        readable(others, scene.api.list("ModelRevision", {}))
    in_force, problems = readable(scene.deployment, scene.api.list("ModelRevision", {}))
    assert in_force["spec"]["model"]["digest"] == digest(1)
    assert [problem.field for problem in problems] == ["spec.model.digest"]
