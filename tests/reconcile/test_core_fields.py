"""Every field that a deployment's spec accepts does something, or is refused with a word on what to do instead."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from core_bench.cluster import Judge, holds, promotes
from core_bench.scenes import digest, lasting, manifest, new_scene
from penstock.api.errors import BadManifestError
from penstock.api.live import read
from penstock.api.modeldeployment import ModelDeployment, ModelDeploymentSpec
from penstock.api.schema import object_schema
from penstock.reconcile.criteria import criteria_of

STEPS = [{"weight": 5}, {"weight": 50}]
LATER = [{"weight": 20}, {"weight": 50}]
KEY = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE" + "A" * 86 + "==\n-----END PUBLIC KEY-----\n"
AUTHORITY = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
SHOWN: Mapping[str, Any] = {
    "model.uri": "s3://models/other",
    "model.digest": digest(7),
    "model.signedBy.publicKey": KEY,
    "model.signedBy.authorities": AUTHORITY,
    "model.access.serviceAccountName": "reader",
    "model.access.secretRef.name": "keys",
    "model.access.caRef.name": "authorities",
    "runtime.replicas": 7,
    "runtime.image": "registry.example/server:1",
    "runtime.env": [{"name": "THREADS", "value": "2"}],
    "runtime.resources.requests": {"cpu": "200m"},
    "runtime.resources.limits": {"memory": "1Gi"},
    "runtime.trust.skopsTypes": ["fraud.features.Ratio"],
    "runtime.trust.scikitLearnMismatch": "Allow",
    "runtime.podTemplate.nodeSelector": {"pool": "big"},
    "runtime.podTemplate.tolerations": [{"key": "gpu", "operator": "Exists"}],
    "runtime.podTemplate.priorityClassName": "high",
    "runtime.podTemplate.imagePullSecrets": [{"name": "registry"}],
    "traffic.timeout": "3s",
    "traffic.tryTimeout": "250ms",
    "traffic.maxBody": "2Mi",
    "traffic.idempotent": False,
    "rollout.strategy": "Immediate",
    "rollout.steps": LATER,
    "rollout.watchFor": "0s",
    "rollout.onDeadline": "Rollback",
    "rollout.deadline": "10s",
    "service.type": "NodePort",
    "service.port": 8080,
    "service.annotations": {"a": "b"},
    "paused": True,
}
"""Fields by which the objects in the cluster differ, and another value than the usual."""
BESIDE: Mapping[str, Mapping[str, Any]] = {
    "rollout.deadline": {"rollout.onDeadline": "Rollback"},
    "rollout.onDeadline": {"rollout.deadline": "10s"},
}
"""What must be set as well for a field to show."""
JUDGED: Mapping[str, Any] = {
    "rollout.falseRollback": "2%",
    "rollout.missedRegression": "2%",
    "rollout.guardrails": [{"name": "slow", "metric": "latency", "threshold": "50ms"}],
    "rollout.deadline": "10s",
}
"""Fields by which the judge's contract differs."""
TOLD: Mapping[str, Any] = {"rollout.readyWhen": "Serving"}
"""Fields by which the status differs."""
REFUSED: Mapping[str, Any] = {
    "rollout.stickiness.header": "x-user-id",
    "rollout.stickiness.cookie": "session",
    "rollout.holdback": "5%",
}
"""Fields that this version does not have."""


def leaves(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, child in schema["properties"].items():
        below = f"{path}.{name}".lstrip(".")
        if "properties" in child:
            yield from leaves(child, below)
        else:
            yield below


def spec_with(changes: Mapping[str, Any]) -> dict[str, Any]:
    """A spec with some fields changed."""
    spec: dict[str, Any] = manifest(1, rollout={"steps": STEPS, "deadline": "1h"})["spec"]
    for path, value in changes.items():
        *above, last = path.split(".")
        part = spec
        for name in above:
            part = part.setdefault(name, {})
        part[last] = value
    if spec["rollout"].get("strategy") == "Immediate":
        del spec["rollout"]["steps"]
    return spec


def life(spec: Mapping[str, Any], judge: Judge) -> tuple[Any, Any]:
    """What is in the cluster, and what is told, at some moments of two releases of this spec."""
    scene = new_scene(judge, **spec)
    seen: list[Any] = []
    for version in (1, 2):
        if version == 2:
            scene.wants(9)
        for _ in range(3):
            scene.run(timedelta(seconds=30), tick=timedelta(seconds=10))
            objects = lasting(scene.api)
            seen.append(
                ({key: it for key, it in objects.items() if not key.startswith("ModelDeployment/")}, scene.status)
            )
    return [objects for objects, _ in seen], [
        [(it["type"], it["status"]) for it in status["conditions"]] for _, status in seen
    ]


def test_every_field_is_accounted_for() -> None:
    known = {*SHOWN, *JUDGED, *TOLD, *REFUSED}
    assert set(leaves(object_schema(ModelDeploymentSpec))) == known


@pytest.mark.parametrize("path", SHOWN)
def test_a_field_changes_what_is_in_the_cluster(path: str) -> None:
    beside = BESIDE.get(path, {})
    judge = holds if beside else promotes
    assert life(spec_with({**beside, path: SHOWN[path]}), judge)[0] != life(spec_with(beside), judge)[0]


@pytest.mark.parametrize("path", JUDGED)
def test_a_field_changes_what_is_judged(path: str) -> None:
    def criteria(spec: Mapping[str, Any]) -> Any:
        return criteria_of(ModelDeploymentSpec.model_validate(spec, by_alias=True, by_name=False).rollout)

    assert criteria(spec_with({path: JUDGED[path]})) != criteria(spec_with({}))


@pytest.mark.parametrize("path", TOLD)
def test_a_field_changes_what_is_told(path: str) -> None:
    assert life(spec_with({path: TOLD[path]}), holds)[1] != life(spec_with({}), holds)[1]


@pytest.mark.parametrize("path", REFUSED)
def test_a_field_of_another_version_is_refused(path: str) -> None:
    with pytest.raises(BadManifestError, match="is not in this version: leave it out"):
        read(ModelDeployment, manifest(1) | {"spec": spec_with({path: REFUSED[path]})})
