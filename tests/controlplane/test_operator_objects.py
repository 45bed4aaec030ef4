"""The operator on a real API server: whose objects it writes, repairs and removes."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from operator_bench import models
from operator_bench.admin import MADE
from operator_bench.waiting import until

pytest_plugins = ["operator_bench.fixtures"]
pytestmark = [pytest.mark.controlplane, pytest.mark.xdist_group("controlplane")]

ROUTER = "penstock-router-default"


def user_service(namespace: str, name: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"selector": {"app": "someone-elses"}, "ports": [{"port": 8000}]},
    }


def left(admin, namespace: str) -> list[str]:
    """Everything in a namespace that is the operator's, or was made for what is."""
    found = [
        f"{kind} {item['metadata']['name']}"
        for kind in (*MADE, "ReplicaSet", "Pod")
        for item in admin.items(kind, namespace)
    ]
    return [name for name in found if name not in ("ConfigMap kube-root-ca.crt", "ServiceAccount default")]


def test_a_users_service_of_that_name_is_never_touched(bench):
    admin, namespace = bench.admin, bench.admin.namespace("taken")
    theirs = admin.apply(user_service(namespace, "fraud"))
    admin.apply(models.deployment(namespace, "fraud"))
    refused = models.until_phase(admin, namespace, "fraud", "Refused", log=bench.operator.tail)
    assert models.condition(refused, "Stalled") == ("True", "NameTaken")
    assert "Service fraud" in refused["message"]
    after = admin.get("Service", namespace, "fraud")
    assert (after["metadata"]["resourceVersion"], after["metadata"]["uid"]) == (
        theirs["metadata"]["resourceVersion"],
        theirs["metadata"]["uid"],
    )
    admin.delete("Service", namespace, "fraud")
    models.until_phase(admin, namespace, "fraud", "Stable", log=bench.operator.tail)
    ours = until(lambda: admin.get("Service", namespace, "fraud"), "the name is ours once it is free")
    assert ours["spec"]["selector"]["penstock.dev/router"] == "default"


@pytest.fixture(scope="module")
def settled(bench):
    namespace = bench.admin.namespace("repair")
    bench.admin.apply(models.deployment(namespace, "fraud"))
    status = models.until_phase(bench.admin, namespace, "fraud", "Stable", log=bench.operator.tail)
    until(
        lambda: models.condition(bench.admin.get("Router", namespace, "default")["status"], "Ready")[0] == "True",
        lambda: f"the router is ready\n{bench.operator.tail()}",
    )
    return namespace, status


def essence(document: dict) -> dict:
    """What an object asks for, without what the API server keeps on it."""
    parts = {key: value for key, value in document.items() if key not in ("metadata", "status")}
    metadata = document["metadata"]
    return {**parts, "labels": metadata.get("labels"), "owners": metadata.get("ownerReferences")}


def test_edited_children_are_as_they_were(bench, settled):
    admin, (namespace, status) = bench.admin, settled
    revision = status["stable"]["revision"]
    edits = [
        ("Deployment", revision, {"spec": {"replicas": 5}}),
        (
            "Deployment",
            revision,
            {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}},
        ),
        ("Deployment", ROUTER, {"spec": {"replicas": 7}}),
        ("Service", revision, {"spec": {"selector": {"penstock.dev/revision": "another"}}}),
        ("Service", "fraud", {"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 9}]}}),
        ("NetworkPolicy", "fraud", {"spec": {"ingress": None}}),
        ("ConfigMap", ROUTER, {"data": {"table.json": '{"models": []}'}}),
        ("RoleBinding", ROUTER, {"subjects": None}),
        ("PodDisruptionBudget", ROUTER, {"spec": {"maxUnavailable": 2}}),
        ("ServiceAccount", ROUTER, {"automountServiceAccountToken": True}),
    ]
    before = {(kind, name): essence(admin.get(kind, namespace, name)) for kind, name, _ in edits}
    for kind, name, change in edits:
        admin.merge(kind, namespace, name, change)

    def differing() -> list[str]:
        return [
            f"{kind} {name}: {found} was {was}"
            for (kind, name), was in before.items()
            if (found := essence(admin.get(kind, namespace, name))) != was
        ]

    until(lambda: not differing(), lambda: f"{differing()}\n{bench.operator.tail()}")


def test_deleted_children_are_made_again(bench, settled):
    admin, (namespace, status) = bench.admin, settled
    revision = status["stable"]["revision"]
    gone = [
        ("Deployment", revision),
        ("Service", revision),
        ("Service", "fraud"),
        ("NetworkPolicy", "fraud"),
        ("Deployment", ROUTER),
        ("Service", ROUTER),
        ("ConfigMap", ROUTER),
        ("ServiceAccount", ROUTER),
        ("RoleBinding", ROUTER),
        ("NetworkPolicy", ROUTER),
        ("PodDisruptionBudget", ROUTER),
    ]
    before = {(kind, name): admin.get(kind, namespace, name)["metadata"]["uid"] for kind, name in gone}
    port = models.table(admin, namespace)["fraud"]["port"]
    for kind, name in gone:
        admin.delete(kind, namespace, name)

    def missing() -> list[str]:
        found = {(kind, name): admin.get(kind, namespace, name) for kind, name in gone}
        return [
            f"{kind} {name}"
            for (kind, name), document in found.items()
            if document is None or document["metadata"]["uid"] == before[kind, name]
        ]

    until(lambda: not missing(), lambda: f"{missing()}\n{bench.operator.tail()}")
    models.until_phase(admin, namespace, "fraud", "Stable", log=bench.operator.tail)
    until(lambda: "fraud" in models.table(admin, namespace), "the model is in the table again")
    service = admin.get("Service", namespace, "fraud")
    assert service["spec"]["ports"][0]["targetPort"] == models.table(admin, namespace)["fraud"]["port"]
    assert 20001 <= port <= 29999


def test_a_deleted_deployment_leaves_nothing_and_the_last_one_no_router(bench):
    admin, namespace = bench.admin, bench.admin.namespace("deletion")
    for name in ("one", "two"):
        admin.apply(models.deployment(namespace, name))
    for name in ("one", "two"):
        models.until_phase(admin, namespace, name, "Stable", log=bench.operator.tail)
    admin.delete("ModelDeployment", namespace, "one")
    until(lambda: "one" not in models.table(admin, namespace), "the table forgets a deleted model")
    until(
        lambda: not [name for name in left(admin, namespace) if " one" in name],
        lambda: f"nothing of the deleted model is left: {left(admin, namespace)}",
    )
    assert admin.get("Router", namespace, "default") is not None
    admin.delete("ModelDeployment", namespace, "two")
    until(lambda: not left(admin, namespace), lambda: f"nothing is left: {left(admin, namespace)}")


def test_what_is_deleted_without_an_operator_is_gone_once_one_runs(bench):
    admin, namespace = bench.admin, bench.admin.namespace("unattended")
    admin.apply(models.deployment(namespace, "fraud"))
    models.until_phase(admin, namespace, "fraud", "Stable", log=bench.operator.tail)
    bench.operator.kill()
    try:
        admin.delete("ModelDeployment", namespace, "fraud")
        until(lambda: admin.get("ModelDeployment", namespace, "fraud") is None, "no finalizer holds it up", 10)
    finally:
        bench.operator.start()
    until(lambda: not left(admin, namespace), lambda: f"nothing is left: {left(admin, namespace)}")


def test_a_namespace_can_be_deleted_with_everything_in_it(bench):
    admin, namespace = bench.admin, bench.admin.namespace("leaving")
    admin.apply(models.deployment(namespace, "fraud"))
    models.until_phase(admin, namespace, "fraud", "Stable", log=bench.operator.tail)
    admin.call("DELETE", f"/api/v1/namespaces/{namespace}")
    until(
        lambda: admin.answer("GET", f"/api/v1/namespaces/{namespace}").status_code == 404,
        lambda: f"the namespace is gone: {left(admin, namespace)}\n{bench.operator.tail()}",
    )
