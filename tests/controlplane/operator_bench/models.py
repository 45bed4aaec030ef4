"""ModelDeployments as people write them, and how they stand."""

import json
from typing import Any

from operator_bench.admin import Admin, Json
from operator_bench.waiting import until

STEPS = [{"weight": 10, "minRequests": 20}, {"weight": 50, "minRequests": 20}]


def digest(version: int) -> str:
    """Some content."""
    return f"sha256:{version:064x}"


def deployment(namespace: str, name: str, version: int = 1, **spec: Any) -> Json:
    """A ModelDeployment of this version of a model, with one pod and short steps."""
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "model": {"uri": f"s3://models/{name}/{version}", "digest": digest(version)},
            "runtime": {"replicas": 1},
            "rollout": {"steps": STEPS},
            **spec,
        },
    }


def status(admin: Admin, namespace: str, name: str) -> Json:
    """Its status as it is now."""
    found = admin.get("ModelDeployment", namespace, name)
    assert found is not None, f"{namespace}/{name} is not there"
    observed = found.get("status", {})
    return {**observed, "current": observed.get("observedGeneration") == found["metadata"]["generation"]}


def condition(found: Json, kind: str) -> tuple[str, str]:
    """Status and reason of a condition, empty when it is not there."""
    return next(((c["status"], c["reason"]) for c in found.get("conditions", []) if c["type"] == kind), ("", ""))


def until_phase(admin: Admin, namespace: str, name: str, *phases: str, seconds: float = 90.0, log: Any = "") -> Json:
    """Its status once it is about the newest spec and in one of these phases."""

    def there() -> Json | None:
        found = status(admin, namespace, name)
        return found if found["current"] and found.get("phase") in phases else None

    def what() -> str:
        said = log() if callable(log) else log
        return f"{namespace}/{name} is {' or '.join(phases)}: {status(admin, namespace, name)}\n{said}"

    return until(there, what, seconds)


def table(admin: Admin, namespace: str) -> dict[str, Json]:
    """The router's table, by model."""
    found = admin.get("ConfigMap", namespace, "penstock-router-default")
    return (
        {} if found is None else {model["name"]: model for model in json.loads(found["data"]["table.json"])["models"]}
    )
