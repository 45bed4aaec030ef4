"""The API server's model that the core is tried against behaves like the real one, and the real one takes what the core
makes and gives it back as it was asked for."""

import copy
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "reconcile"))

from core_bench.api_model import (
    AlreadyExistsError,
    ApiModel,
    ConflictError,
    Document,
    InvalidError,
    NotFoundError,
)
from core_bench.operator import DEFAULTS
from core_bench.real_api import APPLY, RealApi
from core_bench.scenes import manifest as deployment_manifest
from core_bench.scenes import stable_scene
from penstock.reconcile.drift import first_difference

pytestmark = [pytest.mark.controlplane, pytest.mark.xdist_group("controlplane")]

ROOT = Path(__file__).parents[2]
MODEL_NAMESPACE = "api-model"
NAMESPACE = "risk"
NOW = datetime(2026, 11, 24, 6, 0, 0, tzinfo=UTC)
REFUSALS = (AlreadyExistsError, ConflictError, InvalidError, NotFoundError)


class ApiServer(Protocol):
    kubeconfig: Path


@pytest.fixture(scope="module")
def prepared(apiserver: ApiServer) -> ApiServer:
    """The definitions are served, and the namespaces are there, with the strictest pod security enforced."""
    real = RealApi(apiserver.kubeconfig, "default")
    for path in sorted((ROOT / "crds").glob("*.penstock.dev.yaml")):
        definition = yaml.safe_load(path.read_text())
        name = definition["metadata"]["name"]
        address = f"apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager=test&force=true"
        real.request("PATCH", address, definition, APPLY)
        _until_served(real, definition["spec"]["names"]["plural"])
    for name in (MODEL_NAMESPACE, NAMESPACE):
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        real.request("PATCH", f"api/v1/namespaces/{name}?fieldManager=test&force=true", document, APPLY)
    return apiserver


def _until_served(real: RealApi, plural: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            real.request("GET", f"apis/penstock.dev/v1alpha1/namespaces/default/{plural}")
        except NotFoundError:
            assert time.monotonic() < deadline, f"{plural} is not served"
            time.sleep(0.1)
        else:
            return


def config_map(values: Mapping[str, str], annotations: Mapping[str, str]) -> Document:
    return _object("v1", "ConfigMap", annotations) | {"data": dict(values)}


def service(values: Mapping[str, str], annotations: Mapping[str, str]) -> Document:
    ports = [
        {"name": name, "port": ord(name), "protocol": "TCP", "targetPort": int(value)} for name, value in values.items()
    ] or [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}]
    return _object("v1", "Service", annotations) | {
        "spec": {"clusterIP": "None", "selector": {"app": "x"}, "ports": ports}
    }


def model_revision(values: Mapping[str, str], annotations: Mapping[str, str]) -> Document:
    spec = {
        "deployment": "fraud",
        "model": {"uri": "s3://models/fraud", "digest": "sha256:" + "0" * 64},
        "image": "penstock/serving:1",
        "templateVersion": 1,
    }
    record = {"since": "2026-11-24T06:00:00Z"} | ({"message": values["a"]} if "a" in values else {})
    if "b" in values:
        spec["templateVersion"] = int(values["b"])
    return _object("penstock.dev/v1alpha1", "ModelRevision", annotations) | {"spec": spec, "record": record}


def model_deployment(values: Mapping[str, str], annotations: Mapping[str, str]) -> Document:
    made = deployment_manifest(1)
    if "a" in values:
        made["spec"]["runtime"]["replicas"] = int(values["a"])
    if "b" in values:
        made["spec"]["service"] = {"annotations": {"b": values["b"]}}
    return _object("penstock.dev/v1alpha1", "ModelDeployment", annotations) | {"spec": made["spec"]}


def _object(api_version: str, kind: str, annotations: Mapping[str, str]) -> Document:
    metadata = {"name": "x", "namespace": MODEL_NAMESPACE, "labels": {"app": "x"}, "annotations": dict(annotations)}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


KINDS = {
    "ConfigMap": config_map,
    "Service": service,
    "ModelRevision": model_revision,
    "ModelDeployment": model_deployment,
}

NUMBERS = st.sampled_from(["1", "2", "3"])
VALUES = st.dictionaries(st.sampled_from(["a", "b"]), NUMBERS, max_size=2)
NOTES = st.dictionaries(st.sampled_from(["x.dev/m", "x.dev/n"]), NUMBERS, max_size=2)
WHICH = st.sampled_from(["this", "older", "other"])
REQUESTS = st.one_of(
    st.tuples(st.just("create"), VALUES, NOTES),
    st.tuples(st.just("apply"), VALUES, NOTES),
    st.tuples(st.just("apply this"), VALUES, NOTES, WHICH, WHICH),
    st.tuples(st.just("note"), st.sampled_from(["x.dev/m", "y.dev/other"]), NUMBERS),
    st.tuples(st.just("select"), NUMBERS),
    st.tuples(st.just("status"), NUMBERS, WHICH, WHICH),
    st.tuples(st.just("delete"), WHICH),
)


@given(
    kind=st.sampled_from(sorted(KINDS)),
    first=st.tuples(VALUES, NOTES),
    requests=st.lists(REQUESTS, min_size=1, max_size=8),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_api_servers_answer_alike(
    prepared: ApiServer, kind: str, first: tuple[Any, Any], requests: list[tuple[Any, ...]]
) -> None:
    real, model = RealApi(prepared.kubeconfig, MODEL_NAMESPACE), ApiModel(NOW)
    _clear(real, kind)
    seen: list[tuple[Document, Document]] = []
    for request in [("create", *first), *requests]:
        answers = [_ask(api, kind, request, [pair[i] for pair in seen]) for i, api in enumerate((real, model))]
        assert answers[0] == answers[1], request
        there = real.get(kind, "x"), model.get(kind, "x")
        assert (there[0] is None) == (there[1] is None), request
        if there[0] is not None and there[1] is not None:
            _assert_alike(there[0], there[1], seen, request)
            seen.append((copy.deepcopy(there[0]), copy.deepcopy(there[1])))
    _clear(real, kind)


def _clear(real: RealApi, kind: str) -> None:
    try:
        real.delete(kind, "x")
    except NotFoundError:
        return


def _ask(api: Any, kind: str, request: tuple[Any, ...], seen: list[Document]) -> str:
    """What became of the request, in a word. Each API server is told of its own versions and identities."""
    newest = seen[-1]["metadata"] if seen else {"uid": "?", "resourceVersion": "1"}
    oldest = seen[0]["metadata"] if seen else newest

    def version(which: str) -> str:
        return str({"this": newest, "older": oldest, "other": newest}[which]["resourceVersion"])

    def identity(which: str) -> str:
        return "00000000-1111-1111-1111-000000000000" if which == "other" else str(newest["uid"])

    try:
        match request:
            case ("create", values, notes):
                api.create(KINDS[kind](values, notes))
            case ("apply", values, notes):
                if api.get(kind, "x") is None:
                    return "nothing to apply to"
                api.apply(KINDS[kind](values, notes))
            case ("apply this", values, notes, of_version, of_identity):
                made = KINDS[kind](values, notes)
                made["metadata"] |= {"uid": identity(of_identity), "resourceVersion": version(of_version)}
                api.apply(made)
            case ("note", name, value):
                if api.get(kind, "x") is None:
                    return "nothing to edit"
                api.edit(kind, "x", {"metadata": {"annotations": {name: value}}})
            case ("select", value):
                if kind != "Service" or api.get(kind, "x") is None:
                    return "selects nothing"
                api.edit(kind, "x", {"spec": {"selector": {"other": value}}})
            case ("status", value, of_version, of_identity):
                if kind != "ModelDeployment":
                    return "has no status"
                api.replace_status(kind, "x", identity(of_identity), version(of_version), {"epoch": int(value)})
            case ("delete", of_identity):
                api.delete(kind, "x", identity(of_identity))
    except REFUSALS as refusal:
        return type(refusal).__name__
    return "done"


def _assert_alike(real: Document, model: Document, seen: list[tuple[Document, Document]], request: Any) -> None:
    ours = {name: value for name, value in model.items() if name != "metadata"}
    assert first_difference(ours, real) is None, request
    for name in ("labels", "annotations"):
        assert real["metadata"].get(name, {}) == model["metadata"].get(name, {}), (request, name)
    assert real.get("spec", {}).get("selector") == model.get("spec", {}).get("selector"), request
    for name in ("data", "record", *(["status"] if real["kind"] == "ModelDeployment" else [])):
        assert real.get(name, {}) == model.get(name, {}), (request, name)
    assert real["metadata"].get("generation") == model["metadata"].get("generation"), request
    if seen and seen[-1][1]["metadata"]["uid"] == model["metadata"]["uid"]:
        changed = [
            now["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
            for now, before in zip((real, model), seen[-1], strict=True)
        ]
        assert changed[0] or not changed[1], request


@pytest.fixture(scope="module")
def made(prepared: ApiServer) -> Iterator[tuple[RealApi, list[Document]]]:
    """Everything that the core makes for a deployment and its router, really made."""
    real = RealApi(prepared.kubeconfig, NAMESPACE)
    scene = stable_scene(
        traffic={"maxBody": "2Mi"},
        service={"annotations": {"example.org/kept": "yes"}},
        model={
            "uri": "pvc://models/fraud",
            "digest": "sha256:" + "1" * 64,
            "access": {
                "serviceAccountName": "reader",
                "secretRef": {"name": "keys"},
                "caRef": {"name": "authorities"},
            },
        },
        runtime={
            "replicas": 2,
            "env": [{"name": "MODE", "value": ""}, {"name": "LEVEL", "value": "2"}],
            "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}, "limits": {"memory": "1Gi"}},
            "podTemplate": {
                "nodeSelector": {"kubernetes.io/os": "linux"},
                "tolerations": [{"key": "models", "operator": "Exists", "effect": "NoSchedule"}],
                "imagePullSecrets": [{"name": "registry"}],
            },
        },
    )
    owners = {}
    for kind, name in (("ModelDeployment", "fraud"), ("Router", "default")):
        document = scene.api.objects[(kind, name)]
        metadata = {"name": name, "namespace": NAMESPACE}
        fresh = {"apiVersion": document["apiVersion"], "kind": kind, "metadata": metadata}
        spec = {"spec": document["spec"]} if "spec" in document else {}
        owners[document["metadata"]["uid"]] = real.create(fresh | spec)["metadata"]["uid"]
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader", "namespace": NAMESPACE}}
    real.request("POST", f"api/v1/namespaces/{NAMESPACE}/serviceaccounts", account)
    wanted = [_owned(copy.deepcopy(asked), owners) for asked in scene.api.applied.values() if _is_ours(asked)]
    for document in wanted:
        real.create(document)
    yield real, wanted
    for kind, name in (("ModelDeployment", "fraud"), ("Router", "default")):
        real.delete(kind, name)


def _is_ours(asked: Document) -> bool:
    return "ownerReferences" in asked["metadata"]


def _owned(asked: Document, owners: Mapping[str, str]) -> Document:
    for reference in asked["metadata"]["ownerReferences"]:
        reference["uid"] = owners[reference["uid"]]
    return asked


def test_what_the_core_makes_is_taken_and_comes_back_as_asked(made: tuple[RealApi, list[Document]]) -> None:
    real, wanted = made
    kinds = {document["kind"] for document in wanted}
    assert kinds >= {
        "ModelRevision", "Deployment", "Service", "NetworkPolicy", "ConfigMap", "ServiceAccount", "RoleBinding",
        "PodDisruptionBudget",
    }  # fmt: skip
    for document in wanted:
        name = f"{document['kind']} {document['metadata']['name']}"
        live = real.get(document["kind"], document["metadata"]["name"])
        assert live is not None
        assert first_difference(document, live) is None, name


def test_an_apply_that_changes_nothing_leaves_the_version_alone(made: tuple[RealApi, list[Document]]) -> None:
    real, wanted = made
    for document in wanted:
        if document["kind"] == "Deployment":
            continue  # its controller writes its status meanwhile
        once = real.apply(document)
        assert real.apply(document)["metadata"]["resourceVersion"] == once["metadata"]["resourceVersion"]


def test_pods_of_both_kinds_pass_the_restricted_level(made: tuple[RealApi, list[Document]]) -> None:
    """The Deployments' controllers make the pods, which admission would refuse."""
    real, _ = made
    deadline = time.monotonic() + 30
    wanted = {"model-server", "router"}
    while wanted:
        pods = real.list("Pod", {"app.kubernetes.io/managed-by": "penstock"})
        wanted -= {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods}
        assert time.monotonic() < deadline, f"no pod of {wanted} was admitted"
        time.sleep(0.2)


def test_the_operators_images_are_named(made: tuple[RealApi, list[Document]]) -> None:
    _, wanted = made
    workloads = [document for document in wanted if document["kind"] == "Deployment"]
    images = {
        container["image"]
        for document in workloads
        for part in ("initContainers", "containers")
        for container in document["spec"]["template"]["spec"][part]
    }
    assert images == {DEFAULTS.serving_image, DEFAULTS.agent_image, DEFAULTS.router_image}


def test_writing_a_status_takes_nothing_from_who_owns_the_rest(prepared: ApiServer) -> None:
    """What a user's own manager applied, it can take away again, also after the operator has written a status."""
    real = RealApi(prepared.kubeconfig, MODEL_NAMESPACE)
    document = model_deployment({}, {"x.dev/m": "1"})
    document["metadata"]["name"] = "owned"
    path = (
        f"apis/penstock.dev/v1alpha1/namespaces/{MODEL_NAMESPACE}/modeldeployments/owned?fieldManager=user&force=true"
    )
    made = real.request("PATCH", path, document, APPLY)["metadata"]
    real.replace_status("ModelDeployment", "owned", made["uid"], made["resourceVersion"], {"epoch": 1})
    with pytest.raises(ConflictError):
        real.replace_status("ModelDeployment", "owned", made["uid"], made["resourceVersion"], {"epoch": 2})
    document["metadata"] |= {"annotations": {}, "labels": {}}
    after = real.request("PATCH", path, document, APPLY)
    assert "annotations" not in after["metadata"]
    assert "labels" not in after["metadata"]
    assert after["status"] == {"epoch": 1, "observedGeneration": -1}
    real.delete("ModelDeployment", "owned")


def test_managed_fields_tell_when_a_record_was_last_written(prepared: ApiServer) -> None:
    """The core keeps the judge's memory no more often than once a minute, by these times."""
    real = RealApi(prepared.kubeconfig, MODEL_NAMESPACE)
    document = model_revision({"a": "1"}, {})
    document["metadata"]["name"] = "written"
    first = _times(real.create(document))
    assert len(first) == 1
    deadline = time.monotonic() + 10
    times, number = first, 0
    while times == first:
        assert time.monotonic() < deadline
        number += 1
        document["record"]["message"] = str(number)
        times = _times(real.apply(document))
    assert max(times) > max(first)
    assert _times(real.apply(document)) == times
    real.delete("ModelRevision", "written")


def _times(document: Document) -> list[str]:
    fields = document["metadata"]["managedFields"]
    return [entry["time"] for entry in fields if entry["manager"] == "penstock" and "subresource" not in entry]
