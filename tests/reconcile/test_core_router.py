"""One router for all models of a namespace: its table, its ports, its own life."""

import copy
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from core_bench.cluster import unschedulable
from core_bench.operator import Operator
from core_bench.scenes import STAYS, Scene, manifest, new_scene, revision, stable_scene
from penstock.api.kstatus import kstatus_of
from penstock.api.names import FIRST_MODEL_PORT, LAST_MODEL_PORT
from penstock.api.reasons import Reason
from penstock.reconcile import ports
from penstock.reconcile.deployment import reconcile
from penstock.reconcile.effects import Create, Delete, Requeue, Status
from penstock.reconcile.ports import ports_of
from penstock.reconcile.router import reconcile_router
from penstock.reconcile.routing_view import route_view
from penstock.router.kubernetes_source import Addresses, with_addresses
from penstock.router.routing import ModelRoute
from penstock.router.wire import TableReader
from penstock.world import AgentReport, Live, Obstacle, RoutedModel

V1, V2 = revision(1), revision(2)
ROUTER = "penstock-router-default"


def seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


def _at(address: str) -> Addresses:
    """A Service of one ready pod."""
    return Addresses((f"{address}:8080",), (f"{address}:8001",))


def table(scene: Scene) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = json.loads(scene.api.objects[("ConfigMap", ROUTER)]["data"]["table.json"])["models"]
    return models


def routes(scene: Scene) -> dict[str, ModelRoute]:
    """The table as an agent reads it, once it has looked up the addresses."""
    text = scene.api.objects[("ConfigMap", ROUTER)]["data"]["table.json"]
    read = TableReader().read(with_addresses(text, {V1: _at("10.0.0.1"), V2: _at("10.0.0.2")}))
    assert not read.refused
    assert not read.unnamed
    return dict(read.models)


def with_models(*names: str) -> Scene:
    """Several deployments, each with its own operator's passes."""
    scene = stable_scene()
    for name in names:
        document = manifest(1)
        document["metadata"]["name"] = name
        scene.api.create(document)
        beside = copy.copy(scene.cluster)
        beside.name = name
        Operator(scene.api, beside).once()
    scene.operator.settle()
    return scene


def test_the_agents_read_what_the_operator_writes() -> None:
    scene = stable_scene(
        traffic={"timeout": "3s", "tryTimeout": "250ms", "maxBody": "2Mi", "idempotent": False},
        rollout=STAYS["rollout"] | {"guardrails": [{"name": "slow", "metric": "latency", "threshold": "50ms"}]},
    )
    scene.wants(2).run(seconds(20))
    route = routes(scene)["fraud"]
    assert (route.timeout, route.try_timeout, route.max_body, route.idempotent) == (3000, 250, 2 * 2**20, False)
    assert [(it.name, it.milliseconds) for it in route.thresholds] == [("slow", 50)]
    assert (route.stable.revision, route.stable.weight) == (V1, 9500)
    assert route.candidate is not None
    assert (route.candidate.revision, route.candidate.weight) == (V2, 500)
    assert route.uid == scene.deployment["metadata"]["uid"]
    assert route.release.startswith(f"{V2}@2026")
    assert route.port == FIRST_MODEL_PORT
    assert route.epoch == scene.status["epoch"]


def test_before_the_first_revision_is_ready_callers_get_an_answer_but_no_pod() -> None:
    scene = new_scene()
    scene.operator.settle()
    (model,) = table(scene)
    assert model["arms"] == [{"revision": V1, "role": "stable", "weight": 10000, "endpoints": []}]
    scene.run(seconds(20))
    (model,) = table(scene)
    assert model["arms"] == [{"revision": V1, "role": "stable", "weight": 10000, "service": V1}]


def test_the_candidate_is_known_to_the_routers_before_it_gets_traffic() -> None:
    scene = stable_scene()
    scene.cluster.behaviour[V2] = unschedulable
    scene.wants(2).run(seconds(10))
    assert scene.arms() == {V1: 100, V2: 0}


def test_each_model_has_a_port_of_its_own_for_life() -> None:
    scene = with_models("aaa", "zzz")
    found = {model["name"]: model["port"] for model in table(scene)}
    assert found == {"fraud": 20001, "aaa": 20002, "zzz": 20003}
    scene.api.delete("ModelDeployment", "fraud")
    scene.api.collect_garbage()
    scene.operator.settle()
    assert {model["name"]: model["port"] for model in table(scene)} == {"aaa": 20002, "zzz": 20003}


def test_the_service_leads_to_the_models_port() -> None:
    scene = stable_scene()
    ports = scene.api.objects[("Service", "fraud")]["spec"]["ports"]
    assert {port["name"]: port["targetPort"] for port in ports} == {"http": FIRST_MODEL_PORT, "grpc": FIRST_MODEL_PORT}


def models(scene: Scene) -> tuple[RoutedModel, ...]:
    return scene.operator.router_world().models


def test_should_the_table_be_lost_the_services_know_the_ports() -> None:
    scene = with_models("aaa", "zzz")
    by_age = {"fraud": 20001, "aaa": 20002, "zzz": 20003}
    (fraud, *_) = [it for it in models(scene) if it.deployment.metadata.name == "fraud"]
    moved = copy.deepcopy(scene.api.objects[("Service", "fraud")])
    moved["spec"]["ports"][0]["targetPort"] = 20500
    others = [it for it in models(scene) if it.deployment.metadata.name != "fraud"]
    assert ports_of([replace(fraud, service=Live(moved)), *others], {}, frozenset())["fraud"] == 20500
    assert ports_of(models(scene), {}, frozenset()).keys() == by_age.keys()


def test_of_two_models_that_claim_one_port_the_older_keeps_it() -> None:
    scene = with_models("aaa")
    older, younger = sorted(models(scene), key=lambda it: it.deployment.metadata.name, reverse=True)
    claims = copy.deepcopy(scene.api.objects[("Service", "fraud")])
    claims["metadata"]["ownerReferences"][0]["uid"] = younger.deployment.metadata.uid
    found = ports_of([replace(younger, service=Live(claims)), older], {}, frozenset())
    assert found == {"fraud": 20001, "aaa": 20002}


@pytest.mark.parametrize("target", [8080, "http", None, 30500])
def test_a_port_that_is_none_of_ours_is_not_taken_over(target: object) -> None:
    scene = stable_scene()
    odd = copy.deepcopy(scene.api.objects[("Service", "fraud")])
    odd["spec"]["ports"] = [] if target is None else [{"targetPort": target}]
    (model,) = models(scene)
    assert ports_of([replace(model, service=Live(odd))], {}, frozenset()) == {"fraud": FIRST_MODEL_PORT}


def test_when_no_port_is_left_the_model_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_PORTS", range(FIRST_MODEL_PORT, FIRST_MODEL_PORT + 1))
    scene = with_models("aaa")
    scene.run(seconds(10))
    router = scene.api.objects[("Router", "default")]
    assert router["status"]["unrendered"][0]["name"] == "aaa"
    assert router["status"]["conditions"][0]["reason"] == "PortsExhausted"
    beside = copy.copy(scene.cluster)
    beside.name = "aaa"
    Operator(scene.api, beside).once()
    made = scene.api.objects[("ModelDeployment", "aaa")]
    available = next(it for it in made["status"]["conditions"] if it["type"] == "Available")
    assert available["status"] == "False"
    assert str(LAST_MODEL_PORT) in router["status"]["message"]


def test_a_model_that_cannot_be_read_keeps_its_routes() -> None:
    scene = with_models("aaa")
    world = scene.operator.router_world()
    left = tuple(it for it in world.models if it.deployment.metadata.name != "aaa")
    effects = list(reconcile_router(replace(world, models=left, unreadable=("aaa",))))
    assert effects == []


def test_the_router_goes_with_the_last_model() -> None:
    scene = with_models("aaa")
    scene.api.delete("ModelDeployment", "fraud")
    scene.api.collect_garbage()
    scene.operator.settle()
    assert ("Router", "default") in scene.api.objects
    scene.api.delete("ModelDeployment", "aaa")
    world = scene.operator.router_world()
    (gone,) = reconcile_router(world)
    assert isinstance(gone, Delete)
    assert gone.uid == scene.api.objects[("Router", "default")]["metadata"]["uid"]
    scene.operator.settle()
    scene.api.collect_garbage()
    assert scene.api.objects == {}
    assert list(reconcile_router(scene.operator.router_world())) == []


def test_a_router_that_a_person_wrote_stays_without_pods() -> None:
    scene = new_scene()
    written = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Router",
        "metadata": {"name": "default", "namespace": "risk"},
        "spec": {"replicas": 3},
    }
    scene.api.create(written)
    scene.run(seconds(20))
    assert scene.api.objects[("Deployment", ROUTER)]["spec"]["replicas"] == 3
    scene.api.delete("ModelDeployment", "fraud")
    scene.api.collect_garbage()
    scene.operator.settle()
    assert set(scene.api.objects) == {("Router", "default")}


def test_a_router_that_is_being_deleted_is_waited_for() -> None:
    scene = stable_scene()
    scene.api.edit("Router", "default", {"metadata": {"deletionTimestamp": "2026-11-24T06:10:00Z"}})
    assert all(isinstance(effect, Requeue) for effect in reconcile_router(scene.operator.router_world()))


def test_a_taken_name_is_told_and_left_alone() -> None:
    scene = new_scene()
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": ROUTER, "namespace": "risk"}, "data": {}}
    taken = scene.api.create(foreign)
    scene.run(seconds(20))
    assert scene.api.objects[("ConfigMap", ROUTER)] == taken
    router = scene.api.objects[("Router", "default")]
    assert router["status"]["conditions"][0]["reason"] == "NameTaken"
    assert kstatus_of(router) == "Failed"
    assert scene.condition("Stalled")["reason"] == "NameTaken"
    assert f"There is a ConfigMap {ROUTER} that does not belong to this Router" in scene.status["message"]
    scene.api.delete("ConfigMap", ROUTER)
    scene.run(seconds(20))
    assert scene.status["phase"] == "Stable"


def test_the_table_comes_before_everything_else() -> None:
    scene = new_scene()
    for _ in range(2):
        scene.operator.once()
    scene.api.delete("ConfigMap", ROUTER)
    scene.api.delete("Deployment", ROUTER)
    first, *_ = reconcile_router(scene.operator.router_world())
    assert isinstance(first, Create)
    assert first.manifest["kind"] == "ConfigMap"


def reports(scene: Scene, **changes: Any) -> tuple[AgentReport, ...]:
    uid, epoch = scene.deployment["metadata"]["uid"], scene.status["epoch"]
    made = AgentReport("", {uid: epoch}, {uid: 1}, {})
    names = [pod.name for pod in scene.cluster.router_pods()]
    return tuple(replace(made, pod=name, **changes) for name in names)


@pytest.mark.parametrize(
    ("changes", "reason", "kstatus"),
    [
        ({}, Reason.ROUTING, "Current"),
        ({"kept_back": {"fraud": "Envoy refuses its routes"}}, Reason.MODEL_NOT_RENDERED, "Failed"),
        ({"table_problem": "routing table: is no JSON"}, Reason.UPDATE_REJECTED, "Failed"),
    ],
)
def test_what_agents_say_is_told(changes: dict[str, Any], reason: Reason, kstatus: str) -> None:
    scene = stable_scene()
    world = replace(scene.operator.router_world(), reports=reports(scene, **changes))
    for effect in reconcile_router(world):
        scene.operator.attempt(effect)
    router = scene.api.objects[("Router", "default")]
    assert router["status"]["conditions"][0]["reason"] == reason.value
    assert kstatus_of(router) == kstatus
    if "kept_back" in changes:
        assert router["status"]["unrendered"] == [{"name": "fraud", "message": "Envoy refuses its routes"}]


def test_a_router_that_a_person_wrote_is_ready_without_models_and_has_no_pods() -> None:
    scene = stable_scene()
    scene.api.edit("Router", "default", {"metadata": {"labels": None}})
    scene.api.delete("ModelDeployment", "fraud")
    scene.run(seconds(20))
    assert set(scene.api.objects) == {("Router", "default")}
    router = scene.api.objects[("Router", "default")]
    assert kstatus_of(router) == "Current"
    assert router["status"]["models"] == 0
    scene.api.create(manifest(1))
    scene.run(seconds(20))
    assert scene.status["phase"] == "Stable"


def test_pods_that_are_not_ready_are_told_with_their_cause() -> None:
    scene = new_scene()
    scene.cluster.behaviour[ROUTER] = unschedulable
    scene.run(seconds(20))
    router = scene.api.objects[("Router", "default")]
    assert router["status"]["conditions"][0]["reason"] == "Unschedulable"
    assert kstatus_of(router) == "InProgress"
    assert scene.status["phase"] == "Starting"
    assert scene.condition("Available")["reason"] == "RouterNotReady"


def test_what_the_api_server_refused_is_told() -> None:
    scene = stable_scene()
    world = replace(scene.operator.router_world(), obstacle=Obstacle(Reason.FORBIDDEN, "may not create rolebindings"))
    (status,) = reconcile_router(world)
    assert isinstance(status, Status)
    assert status.status.conditions[0].reason is Reason.FORBIDDEN


def test_in_a_namespace_that_is_being_deleted_nothing_is_made() -> None:
    scene = new_scene()
    assert list(reconcile_router(replace(scene.operator.router_world(), namespace_terminating=True))) == []


def test_a_router_that_may_not_be_made_is_not_tried_in_the_pass_that_tells() -> None:
    scene = new_scene()
    obstacle = Obstacle(Reason.FORBIDDEN, "may not create routers")
    assert list(reconcile_router(replace(scene.operator.router_world(), obstacle=obstacle))) == []


def view(scene: Scene, told: tuple[AgentReport, ...]) -> Any:
    world = scene.operator.world()
    assert world is not None
    config_map = Live(scene.api.objects[("ConfigMap", ROUTER)])
    return route_view(world.deployment.metadata, None, config_map, scene.cluster.router_pods(), told)


def test_a_weight_is_confirmed_when_every_ready_router_has_it() -> None:
    scene = stable_scene()
    one, other = reports(scene)
    uid, epoch = scene.deployment["metadata"]["uid"], scene.status["epoch"]
    assert view(scene, (one, other)).confirmed == epoch
    assert view(scene, (one, replace(other, epochs={uid: epoch - 1}))).confirmed == epoch - 1
    assert view(scene, (one, replace(other, epochs={}))).confirmed is None
    assert view(scene, (one,)).confirmed is None
    assert view(scene, ()).confirmed is None
    assert view(scene, (one, replace(other, candidates={uid: 0}))).reachable == 0
    assert view(scene, (one, other)).reachable == 1


def test_a_pod_that_is_not_ready_need_not_confirm() -> None:
    scene = stable_scene()
    lame, other = scene.cluster.router_pods()
    scene.cluster.pods[lame.name]["status"]["conditions"] = []
    told = tuple(report for report in reports(scene) if report.pod == other.name)
    assert view(scene, told).confirmed == scene.status["epoch"]
    assert view(scene, told).ready_pods == 1


def test_the_table_of_a_predecessor_says_nothing_of_its_successor() -> None:
    scene = stable_scene()
    world = scene.operator.world()
    assert world is not None
    successor = world.deployment.metadata.model_copy(update={"uid": "another"})
    config_map = Live(scene.api.objects[("ConfigMap", ROUTER)])
    found = route_view(successor, None, config_map, scene.cluster.router_pods(), reports(scene))
    assert (found.port, found.epoch, found.stable) == (None, None, "")


def test_a_deployment_calls_its_router_until_the_table_is_at_its_epoch() -> None:
    scene = stable_scene(**STAYS).wants(2)
    world = scene.operator.world()
    assert world is not None
    effects = list(reconcile(world))
    calls = [at for at, effect in enumerate(effects) if isinstance(effect, Requeue) and effect.queue == "Router"]
    records = [at for at, effect in enumerate(effects) if isinstance(effect, Create)]
    assert calls == [1]
    assert records[0] == 0
    scene.run(seconds(5))
    world = scene.operator.world()
    assert world is not None
    assert not [it for it in reconcile(world) if isinstance(it, Requeue) and it.queue == "Router"]
