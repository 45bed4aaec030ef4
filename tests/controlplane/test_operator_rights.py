"""The operator's rights: enough for everything that it does, and none that it never uses."""

import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))

from operator_bench import audit, models
from operator_bench.waiting import until

pytest_plugins = ["operator_bench.fixtures"]
pytestmark = [pytest.mark.controlplane, pytest.mark.xdist_group("controlplane")]

INSTALL = Path(__file__).parents[2] / "manifests" / "install.yaml"


def granted() -> set[tuple[str, str, str]]:
    """What the manifests grant: API group, resource, verb."""
    objects = yaml.safe_load_all(INSTALL.read_text())
    role = next(o for o in objects if o["kind"] == "ClusterRole" and o["metadata"]["name"] == "penstock-operator")
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(trail) -> set[tuple[str, str, str]]:
    """What the operator has done so far. An apply that created counts as patch and create: it needs both."""
    found = set()
    for event in trail.events():
        ref = event.get("objectRef", {})
        resource = "/".join(filter(None, (ref.get("resource"), ref.get("subresource"))))
        found.add((ref.get("apiGroup", ""), resource, event["verb"]))
        if event["verb"] == "patch" and event["responseStatus"].get("code") == 201:
            found.add((ref.get("apiGroup", ""), resource, "create"))
            if resource == "rolebindings":
                found.add((ref.get("apiGroup", ""), "clusterroles", "bind"))
    return found


def test_every_right_is_used_and_none_is_missing(bench):
    admin, namespace = bench.admin, bench.admin.namespace("rights")
    metadata = {"namespace": namespace, "name": "default"}
    admin.apply(
        {"apiVersion": "penstock.dev/v1alpha1", "kind": "Router", "metadata": metadata, "spec": {"replicas": 1}}
    )
    admin.apply(models.deployment(namespace, "fraud"))
    models.until_phase(admin, namespace, "fraud", "Stable", log=bench.operator.tail)
    # More revisions than are kept; none of these gets traffic.
    for version in range(2, 15):
        admin.apply(models.deployment(namespace, "fraud", version))
        until(
            lambda: models.status(admin, namespace, "fraud")["current"], lambda: f"it is seen\n{bench.operator.tail()}"
        )
    until(
        lambda: len(admin.items("ModelRevision", namespace)) <= 12,
        lambda: f"old revisions are forgotten\n{bench.operator.tail()}",
        120,
    )
    admin.delete("ModelDeployment", namespace, "fraud")
    until(lambda: not admin.items("Pod", namespace), "a Router that a person wrote stays, without pods")
    assert admin.get("Router", namespace, "default") is not None
    admin.delete("Router", namespace, "default")
    admin.apply(models.deployment(namespace, "fraud"))
    models.until_phase(admin, namespace, "fraud", "Stable", log=bench.operator.tail)
    admin.delete("ModelDeployment", namespace, "fraud")
    until(lambda: admin.get("Router", namespace, "default") is None, "one that the operator made goes")
    missing = granted() - used(bench.trail)
    assert missing == set()
    assert [audit.told(event) for event in bench.trail.denials()] == []
