"""Ready is said only when calls get through: Service, port, router pods that have the model, and pods behind them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from core_bench.cluster import never_ready, promotes
from core_bench.operator import perform
from core_bench.published import assert_published
from core_bench.scenes import Scene, manifest, new_scene, revision, stable_scene
from penstock.api.kstatus import kstatus_of, kubectl_wait
from penstock.reconcile.deployment import reconcile
from penstock.reconcile.effects import Requeue, Status
from penstock.reconcile.router import reconcile_router
from penstock.world import RouteView, World

V1, V2 = revision(1), revision(2)
ROUTER = "penstock-router-default"


def seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


def ready(scene: Scene) -> bool:
    return kubectl_wait(scene.deployment)


def world_of(scene: Scene) -> World:
    world = scene.operator.world()
    assert world is not None
    return world


def told(scene: Scene, world: World) -> Scene:
    """The scene after a pass over another view of it has told what it sees, and done nothing else."""
    seen = scene.copy()
    for effect in reconcile(world):
        if isinstance(effect, Status):
            perform(seen.api, effect)
    return seen


def test_nobody_takes_a_deployment_that_was_not_looked_at_for_ready() -> None:
    scene = new_scene()
    assert (ready(scene), scene.kstatus) == (False, "InProgress")


def test_a_new_spec_is_not_ready_by_the_word_about_the_one_before() -> None:
    scene = stable_scene()
    assert (ready(scene), scene.kstatus) == (True, "Current")
    scene.wants(2)
    assert (ready(scene), scene.kstatus) == (False, "InProgress")


@pytest.mark.parametrize(
    ("route", "reason"),
    [
        ({"port": None, "epoch": None, "confirmed": None, "stable": ""}, "RouterNotReady"),
        ({"ready_pods": 0, "confirmed": None}, "RouterNotReady"),
        ({"confirmed": None}, "WeightUnconfirmed"),
        ({"confirmed": 0}, "WeightUnconfirmed"),
    ],
    ids=["no port", "no router pod", "no router tells", "the routers are behind"],
)
def test_the_first_revision_is_starting_until_the_router_has_it(route: dict[str, object], reason: str) -> None:
    scene = stable_scene()
    scene.api.edit("ModelDeployment", "fraud", {"status": None})
    world = world_of(scene)
    seen = told(scene, replace(world, route=replace(world.route, **route)))
    assert seen.status["phase"] == "Starting"
    assert seen.condition("Ready")["status"] == "Unknown"
    assert seen.condition("Ready")["reason"] == reason
    assert not ready(seen)


def test_a_first_deployment_is_starting_until_its_router_pods_are_ready_and_nobody_is_alarmed() -> None:
    scene = new_scene()
    scene.cluster.behaviour[ROUTER] = never_ready
    scene.run(seconds(30))
    assert (scene.status["phase"], scene.kstatus) == ("Starting", "InProgress")
    assert scene.condition("Available")["reason"] == "RouterNotReady"
    assert not [event for event in scene.api.events.values() if event["type"] == "Warning"]
    del scene.cluster.behaviour[ROUTER]
    scene.run(seconds(10))
    assert (scene.status["phase"], ready(scene)) == ("Stable", True)


def test_the_pass_that_makes_the_service_does_not_say_yet_that_it_is_there() -> None:
    scene = stable_scene()
    scene.api.delete("Service", "fraud")
    scene.operator.once()
    assert ("Service", "fraud") in scene.api.objects
    assert scene.status["phase"] == "Unavailable"
    assert scene.condition("Available")["reason"] == "ServiceNotReady"
    scene.operator.settle()
    assert ready(scene)


def test_a_service_that_leads_elsewhere_is_not_the_way() -> None:
    scene = stable_scene()
    scene.api.edit("Service", "fraud", {"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 20099}]}})
    scene.operator.once()
    assert scene.condition("Ready")["reason"] == "ServiceNotReady"


def test_a_service_of_that_name_that_is_somebody_elses_stalls_what_served() -> None:
    scene = stable_scene()
    scene.api.delete("Service", "fraud")
    theirs = scene.api.create(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "fraud", "namespace": "risk"}, "spec": {}}
    )
    scene.run(seconds(10))
    assert scene.condition("Stalled")["reason"] == "NameTaken"
    assert scene.condition("Available")["status"] == "False"
    assert scene.api.get("Service", "fraud") == theirs


@pytest.mark.parametrize("broken", [V1, ROUTER], ids=["the model's pods", "the router's pods"])
def test_what_served_and_does_not_any_more_is_unavailable_until_it_does(broken: str) -> None:
    scene = stable_scene()
    scene.cluster.behaviour[broken] = never_ready
    scene.run(seconds(10))
    assert (scene.status["phase"], scene.kstatus, ready(scene)) == ("Unavailable", "InProgress", False)
    assert scene.condition("Available")["status"] == "False"
    del scene.cluster.behaviour[broken]
    scene.run(seconds(10))
    assert (scene.status["phase"], ready(scene)) == ("Stable", True)


def test_a_promotion_is_ready_when_every_router_has_confirmed_it() -> None:
    scene = stable_scene(promotes).wants(2).run(seconds(60))
    assert scene.status["phase"] == "Watching"
    before = scene.copy()
    before.api.objects[("ModelDeployment", "fraud")]["status"] |= {"epoch": scene.status["epoch"] - 1}
    world = world_of(before)
    behind = told(before, replace(world, route=replace(world.route, confirmed=scene.status["epoch"] - 1)))
    assert behind.status["phase"] == "Releasing"
    assert behind.condition("Ready")["reason"] == "WeightUnconfirmed"
    assert told(before, world).status["phase"] == "Watching"


def test_a_router_that_cannot_be_asked_for_a_moment_takes_no_ready_back() -> None:
    scene = stable_scene()
    world = world_of(scene)
    silent = replace(world, route=replace(world.route, confirmed=None))
    assert not [effect for effect in reconcile(silent) if isinstance(effect, Status)]


def test_ready_when_serving_is_not_ready_while_nothing_serves() -> None:
    scene = stable_scene(rollout={"steps": [{"weight": 5}], "readyWhen": "Serving"}).wants(2).run(seconds(15))
    assert (scene.status["phase"], ready(scene)) == ("Releasing", True)
    scene.cluster.behaviour[ROUTER] = never_ready
    scene.run(seconds(10))
    assert (scene.status["phase"], ready(scene)) == ("Unavailable", False)


@pytest.mark.parametrize("pods", [True, False], ids=["ready again", "not ready any more"])
def test_the_router_calls_deployments_whose_word_about_it_is_old(pods: bool) -> None:
    scene = new_scene()
    if pods:
        scene.cluster.behaviour[ROUTER] = never_ready
    scene.run(seconds(20))
    world = scene.operator.router_world()
    changed = replace(world, pods=tuple(replace(pod, ready=pods) for pod in world.pods))
    called = [effect.name for effect in reconcile_router(changed) if isinstance(effect, Requeue)]
    assert called == ["fraud"]
    assert [effect for effect in reconcile_router(world) if isinstance(effect, Requeue)] == []


def test_a_view_without_anything_is_no_way() -> None:
    scene = stable_scene()
    seen = told(scene, replace(world_of(scene), route=RouteView()))
    assert seen.condition("Available")["status"] == "False"
    assert seen.status["phase"] == "Unavailable"


@pytest.mark.parametrize("changes", [{"phase": "RolledBack"}, {"observedGeneration": 9}, {"url": ""}], ids=str)
def test_the_check_of_what_is_published_can_fail(changes: dict[str, object]) -> None:
    document = stable_scene().deployment
    assert_published(document)
    with pytest.raises(AssertionError):
        assert_published({**document, "status": {**document["status"], **changes}})


@pytest.mark.parametrize("status", ["True", "False", "Unknown"])
@pytest.mark.parametrize(("observed", "generation"), [(1, 1), (1, 2), (2, 1)])
def test_kubectl_wait_looks_at_the_conditions_own_generation(status: str, observed: int, generation: int) -> None:
    condition = {"type": "Ready", "status": status, "observedGeneration": observed}
    document = {"metadata": {"generation": generation}, "status": {"observedGeneration": 9, "conditions": [condition]}}
    assert kubectl_wait(document) == (status == "True" and observed >= generation)
    assert not kubectl_wait(document, "Available")


def test_manifests_of_the_bench_begin_unseen() -> None:
    document = {**manifest(1), "status": {"observedGeneration": -1}}
    assert kstatus_of({**document, "metadata": {"generation": 1}}) == "InProgress"
