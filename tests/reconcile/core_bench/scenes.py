"""Ready-made worlds: a namespace with one deployment, an operator, and time to let pass."""

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.api.kstatus import kstatus_of
from penstock.api.modeldeployment import ModelDeploymentSpec
from penstock.reconcile.wanted import content_hash

from core_bench.api_model import ApiModel, Document
from core_bench.cluster import Cluster, Counter, Judge, holds
from core_bench.operator import Operator

BEGIN = datetime(2026, 11, 24, 6, 0, 0, tzinfo=UTC)
STEPS = ({"weight": 5, "minRequests": 100}, {"pause": {"duration": "10s"}}, {"weight": 50})
STAYS = {"rollout": {"steps": [{"weight": 5}, {"pause": {"duration": "1h"}}, {"weight": 50}]}}
"""A release that stays at 5 %."""
TICK = timedelta(seconds=5)


def digest(version: int) -> str:
    """The digest of a model's version."""
    return "sha256:" + f"{version:064x}"


def manifest(version: int, **spec: Any) -> Document:
    """A ModelDeployment that asks for a version of its model."""
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "fraud", "namespace": "risk"},
        "spec": {
            "model": {"uri": "s3://models/fraud", "digest": digest(version)},
            "runtime": {"replicas": 4},
            "rollout": {"steps": list(STEPS)},
        }
        | spec,
    }


def revision(version: int, **spec: Any) -> str:
    """Name of the revision of a version."""
    made = ModelDeploymentSpec.model_validate(manifest(version, **spec)["spec"], by_alias=True, by_name=False)
    return f"fraud-{content_hash(made)[:10]}"


@dataclass
class Scene:
    """A namespace and its operator."""

    api: ApiModel
    cluster: Cluster
    operator: Operator

    def run(self, span: timedelta, tick: timedelta = TICK) -> "Scene":
        """Let time pass, reconciling after each tick."""
        end = self.api.now + span
        self.operator.settle()
        while self.api.now < end:
            self.cluster.elapse(tick)
            self.operator.settle()
        return self

    def edit(self, **changes: Any) -> "Scene":
        """A person edits the spec."""
        self.api.edit("ModelDeployment", "fraud", {"spec": changes})
        return self

    def wants(self, version: int) -> "Scene":
        """A person asks for another version."""
        return self.edit(model={"digest": digest(version)})

    def annotate(self, **verbs: str | None) -> "Scene":
        """A person asks for an action."""
        annotations = {f"penstock.dev/{verb}": value for verb, value in verbs.items()}
        self.api.edit("ModelDeployment", "fraud", {"metadata": {"annotations": annotations}})
        return self

    @property
    def deployment(self) -> Document:
        """The deployment as it is."""
        found = self.api.get("ModelDeployment", "fraud")
        assert found is not None
        return found

    @property
    def status(self) -> Mapping[str, Any]:
        """Its status."""
        return dict(self.deployment.get("status") or {})

    @property
    def kstatus(self) -> str:
        """What kstatus concludes."""
        return kstatus_of(self.deployment).value

    def condition(self, kind: str) -> Mapping[str, Any]:
        """One condition; empty when it is not there."""
        return next((it for it in self.status.get("conditions", ()) if it["type"] == kind), {})

    def record(self, name: str) -> Mapping[str, Any]:
        """A revision's record."""
        found = self.api.get("ModelRevision", name)
        assert found is not None, f"there is no {name}"
        return dict(found["record"])

    def arms(self) -> dict[str, int]:
        """Weight by revision, in percent, as the router has it."""
        table = self.api.get("ConfigMap", "penstock-router-default")
        assert table is not None
        (model,) = json.loads(table["data"]["table.json"])["models"]
        return {arm["revision"]: arm["weight"] // 100 for arm in model["arms"]}

    def replicas(self) -> dict[str, int]:
        """Pods wanted by revision."""
        return {
            name: document["spec"]["replicas"]
            for (kind, name), document in self.api.objects.items()
            if kind == "Deployment" and name.startswith("fraud-")
        }

    def copy(self) -> "Scene":
        """The same world once more."""
        return copy.deepcopy(self)


def new_scene(judge: Judge = holds, version: int = 1, **spec: Any) -> Scene:
    """A namespace with a deployment that nobody has looked at yet."""
    api = ApiModel(BEGIN)
    api.create(manifest(version, **spec))
    cluster = Cluster(api, Counter(judge))
    return Scene(api, cluster, Operator(api, cluster))


def stable_scene(judge: Judge = holds, **spec: Any) -> Scene:
    """A namespace in which version 1 serves."""
    scene = new_scene(judge, **spec).run(timedelta(seconds=20))
    assert scene.status["phase"] == "Stable"
    return scene


_TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|\d{8}T\d{6}Z")
_MOMENTARY = {
    "resourceVersion",
    "managedFields",
    "generation",
    "observedGeneration",
    "judge",
    "evidence",
    "penstock.dev/fingerprint",
}


def lasting(api: ApiModel) -> dict[str, Any]:
    """All objects without what differs from run to run: identities, versions, times."""
    names = {document["metadata"]["uid"]: "/".join(key) for key, document in api.objects.items()}
    return {"/".join(key): _lasting(document, names) for key, document in sorted(api.objects.items())}


def _lasting(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _lasting(it, names) for key, it in value.items() if key not in _MOMENTARY}
    if isinstance(value, list):
        return [_lasting(it, names) for it in value]
    if isinstance(value, str):
        text = _TIMES.sub("<time>", names.get(value, value))
        for uid, name in names.items():
            text = text.replace(uid, name)
        return text
    return value
