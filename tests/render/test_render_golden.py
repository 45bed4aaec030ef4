"""What is rendered, held to files that are read in review. PENSTOCK_UPDATE_GOLDEN=1 writes them anew.

The pod template of a version that was released must never change: its golden files with it.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from penstock.api import contract
from penstock.api.modelrevision import ModelRevisionSpec, Record, Release, Role
from penstock.api.reasons import Reason
from penstock.api.rollout import Rollout
from penstock.api.router import RouterSpec
from penstock.api.runtime import Placement
from penstock.api.service import SERVICE_GRPC_PORT, Service, ServiceType
from penstock.reconcile.terms import terms_of
from penstock.render.disruption_budget import router_disruption_budget
from penstock.render.metadata import Owner
from penstock.render.model_revision import model_revision
from penstock.render.network_policy import router_network_policy, serving_network_policy
from penstock.render.revision_service import revision_service
from penstock.render.router_access import router_role_binding, router_service_account
from penstock.render.router_deployment import router_deployment
from penstock.render.router_object import router_object
from penstock.render.router_service import router_service
from penstock.render.router_table import router_table
from penstock.render.service import service
from penstock.render.serving_deployment import serving_deployment
from penstock.render.templates import CURRENT, TEMPLATES, UnknownTemplateError
from penstock.world import Defaults, Manifest

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2026, 11, 24, 6, 0, 0, tzinfo=UTC)
MODEL = Owner("penstock.dev/v1alpha1", "ModelDeployment", "risk", "fraud", "11111111-1111-1111-1111-111111111111")
ROUTER = Owner("penstock.dev/v1alpha1", "Router", "risk", "default", "22222222-2222-2222-2222-222222222222")
NAME = "penstock-router-default"
REVISION = "fraud-0123456789"
DEFAULTS = Defaults("penstock/serving:1.0", "penstock/router:1.0", "penstock/operator:1.0", "penstock-system")


def revision_spec(**changes: object) -> ModelRevisionSpec:
    document = {
        "deployment": "fraud",
        "model": {"uri": "s3://models/fraud", "digest": "sha256:" + "0" * 64},
        "image": "penstock/serving:1.0",
        "templateVersion": 1,
    } | changes
    return ModelRevisionSpec.model_validate(document, by_alias=True, by_name=False)


FULL = revision_spec(
    model={
        "uri": "pvc://models/fraud/v1",
        "digest": "sha256:" + "1" * 64,
        "access": {"serviceAccountName": "reader", "secretRef": {"name": "keys"}, "caRef": {"name": "authorities"}},
    },
    env=[{"name": "OMP_NUM_THREADS", "value": "1"}, {"name": "EMPTY"}],
    resources={"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
)
TRUSTING = revision_spec(trust={"skopsTypes": ["fraud.features.Ratio", "fraud.Rank"], "scikitLearnMismatch": "Allow"})
KEY = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE" + "A" * 86 + "==\n-----END PUBLIC KEY-----\n"
AUTHORITY = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
SIGNED, CERTIFIED = (
    revision_spec(model={"uri": "s3://models/fraud", "digest": "sha256:" + "2" * 64, "signedBy": by})
    for by in ({"publicKey": KEY}, {"authorities": AUTHORITY})
)
PLACEMENT = Placement.model_validate(
    {
        "nodeSelector": {"pool": "models"},
        "tolerations": [{"key": "models", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "high",
        "imagePullSecrets": [{"name": "registry"}],
    },
    by_alias=True,
    by_name=False,
)
RELEASE = Release(started_at=NOW, epoch=7, step=1, step_since=NOW, weight=5, terms=terms_of(Rollout()))

RENDERED = {
    "serving-deployment": serving_deployment(MODEL, REVISION, revision_spec(), 2, Placement()),
    "serving-deployment-full": serving_deployment(MODEL, REVISION, FULL, 5, PLACEMENT),
    "serving-deployment-trusting": serving_deployment(MODEL, REVISION, TRUSTING, 2, Placement()),
    "serving-deployment-signed": serving_deployment(MODEL, REVISION, SIGNED, 2, Placement()),
    "serving-deployment-certified": serving_deployment(MODEL, REVISION, CERTIFIED, 2, Placement()),
    "service": service(MODEL, Service(), "default", 20001),
    "service-grpc-for-all": service(MODEL, Service(port=SERVICE_GRPC_PORT), "default", 20001),
    "service-load-balancer": service(
        MODEL,
        Service.model_validate(
            {"type": "LoadBalancer", "port": 8000, "annotations": {"example.org/scheme": "internal"}}
        ),
        "default",
        20002,
    ),
    "revision-service": revision_service(MODEL, REVISION),
    "serving-network-policy": serving_network_policy(MODEL),
    "model-revision": model_revision(MODEL, REVISION, revision_spec(), Record(since=NOW, release=RELEASE), {}),
    "model-revision-rejected": model_revision(
        MODEL,
        REVISION,
        revision_spec(),
        Record(role=Role.REJECTED, reason=Reason.WORSE, message="Worse on failed.", since=NOW, release=RELEASE),
        {"penstock.dev/answered": "[]"},
    ),
    "router": router_object("risk", "default"),
    "router-deployment": router_deployment(ROUTER, NAME, RouterSpec(), DEFAULTS),
    "router-deployment-own-image": router_deployment(
        ROUTER,
        NAME,
        RouterSpec.model_validate(
            {
                "replicas": 3,
                "image": "envoyproxy/envoy:v1.36.2",
                "resources": {"requests": {"cpu": "1"}},
                "podTemplate": {"nodeSelector": {"pool": "edge"}},
            },
            by_alias=True,
            by_name=False,
        ),
        DEFAULTS,
    ),
    "router-table": router_table(ROUTER, NAME, '{"models": []}\n'),
    "router-service-account": router_service_account(ROUTER, NAME),
    "router-role-binding": router_role_binding(ROUTER, NAME),
    "router-service": router_service(ROUTER, NAME),
    "router-disruption-budget": router_disruption_budget(ROUTER, NAME),
    "router-network-policy": router_network_policy(ROUTER, NAME, "penstock-system"),
}


class Plain(yaml.SafeDumper):
    """YAML without anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


@pytest.mark.parametrize("name", RENDERED)
def test_it_is_as_in_the_file(name: str) -> None:
    text = yaml.dump(RENDERED[name], Dumper=Plain, sort_keys=False, width=120)
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("PENSTOCK_UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_no_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(RENDERED)


def pods() -> list[tuple[str, Manifest]]:
    return [(name, it["spec"]["template"]["spec"]) for name, it in RENDERED.items() if it["kind"] == "Deployment"]


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["initContainers"], *pod["containers"]]


@pytest.mark.parametrize(("name", "pod"), pods())
def test_no_pod_has_more_rights_than_it_needs(name: str, pod: Manifest) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    with_token = [it["name"] for it in containers(pod) for mount in it["volumeMounts"] if mount["name"] == "token"]
    assert with_token == (["agent"] if name.startswith("router") else [])


@pytest.mark.parametrize(("name", "pod"), pods())
def test_every_mount_has_its_volume(name: str, pod: Manifest) -> None:
    mounted = {mount["name"] for container in containers(pod) for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_fetch_alone_can_write_where_models_are() -> None:
    """What lies there beside a package, a proof that was made again, is believed for that."""
    for _, pod in pods():
        writing = [
            container["name"]
            for container in containers(pod)
            for mount in container["volumeMounts"]
            if mount["name"] == "models" and not mount.get("readOnly")
        ]
        mounted = [volume["name"] for volume in pod["volumes"]]
        assert writing == (["fetch"] if "models" in mounted else [])
    assert sum("models" in (volume["name"] for volume in pod["volumes"]) for _, pod in pods()) >= 5


def test_fetch_judges_by_the_servers_trust_and_holds_what_the_server_may_hold() -> None:
    """It opens the server's estimator, where a compiled form is proved again."""
    for name, limit in (("serving-deployment", "512Mi"), ("serving-deployment-full", "1Gi")):
        fetch = RENDERED[name]["spec"]["template"]["spec"]["initContainers"][0]
        assert fetch["resources"]["limits"] == {"memory": limit}
    pod = RENDERED["serving-deployment-trusting"]["spec"]["template"]["spec"]
    trust = {contract.ENV_SKOPS_TRUSTED, contract.ENV_SCIKIT_LEARN_MISMATCH}
    of = [
        {variable["name"]: variable["value"] for variable in container["env"] if variable["name"] in trust}
        for container in (pod["initContainers"][0], pod["containers"][0])
    ]
    assert of[0] == of[1]
    assert of[0].keys() == trust


@pytest.mark.parametrize("kind", ServiceType)
def test_no_port_is_opened_to_the_world_unasked(kind: ServiceType) -> None:
    ports = service(MODEL, Service(type=kind), "default", 20001)["spec"]["ports"]
    inside = [80, SERVICE_GRPC_PORT] if kind is ServiceType.CLUSTER_IP else [80]
    assert [port["port"] for port in ports] == inside


def test_helpers_are_native_sidecars() -> None:
    for _, pod in pods():
        always = [it["name"] for it in pod["initContainers"] if it.get("restartPolicy") == "Always"]
        assert always == [it["name"] for it in pod["initContainers"] if it["name"] != "fetch"]
        assert len(pod["containers"]) == 1


def test_a_users_variable_cannot_hide_what_penstock_sets() -> None:
    """The last of two variables of one name counts."""
    (server,) = RENDERED["serving-deployment-full"]["spec"]["template"]["spec"]["containers"]
    names = [variable["name"] for variable in server["env"]]
    assert names.index("OMP_NUM_THREADS") < names.index(contract.ENV_MODEL_NAME)


def test_a_revision_keeps_its_template() -> None:
    assert sorted(TEMPLATES) == list(range(1, CURRENT + 1))
    with pytest.raises(UnknownTemplateError, match="newer than this operator"):
        serving_deployment(MODEL, REVISION, revision_spec(templateVersion=CURRENT + 1), 1, Placement())
