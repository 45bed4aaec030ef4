"""The installation: rendered as it stands, complete, and with no more rights than the code has calls."""

import sys
from pathlib import Path

import pytest
import yaml
from penstock.api.contract import RUN_AS_USER
from penstock.render.router_access import CLUSTER_ROLE
from penstock.runtime.config import read_config
from penstock.runtime.watching import WATCHES

sys.path.insert(0, str(Path(__file__).parents[2] / "manifests"))

import render

MANIFESTS = render.HERE
OVERLAYS = [path.name for path in sorted((MANIFESTS / "overlays").iterdir())]


def found(kind: str, name: str, overlay: str = "default") -> dict:
    objects = render.render(MANIFESTS / "overlays" / overlay)
    (only,) = (item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name)
    return only


def test_install_yaml_is_what_the_default_overlay_renders_to() -> None:
    assert render.INSTALL.read_text() == render.text(render.render(MANIFESTS / "overlays" / "default"))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_configures_the_operator_completely(overlay: str) -> None:
    environment = found("ConfigMap", "penstock-operator", overlay)["data"] | {"PENSTOCK_NAMESPACE": "penstock-system"}
    config = read_config(environment)
    container = found("Deployment", "penstock-operator", overlay)["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == config.defaults.agent_image
    assert config.namespaces == (("models",) if overlay == "namespaced" else ())
    ports = [port["containerPort"] for port in container["ports"]]
    assert ports == [config.port]


def test_the_operators_pod_meets_the_restricted_level() -> None:
    spec = found("Deployment", "penstock-operator")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": RUN_AS_USER,
        "runAsGroup": RUN_AS_USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def rights(name: str) -> set[tuple[str, str, str]]:
    rules = found("ClusterRole", name)["rules"]
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_operator_reads_no_secrets_edits_no_ones_wishes_and_hands_on_one_role() -> None:
    granted = rights("penstock-operator")
    assert not {resource for _, resource, _ in granted} & {"secrets", "roles", "*"}
    assert "*" not in {verb for _, _, verb in granted} | {group for group, _, _ in granted}
    assert {verb for _, resource, verb in granted if resource == "modeldeployments"} == {"get", "list", "watch"}
    (binding,) = (rule for rule in found("ClusterRole", "penstock-operator")["rules"] if "bind" in rule["verbs"])
    assert binding["resourceNames"] == [CLUSTER_ROLE]
    assert {verb for _, _, verb in rights(CLUSTER_ROLE)} == {"list", "watch"}


def test_the_operator_may_watch_exactly_what_it_watches() -> None:
    watched = {(watch.kind.api_version.rpartition("/")[0], watch.kind.plural) for watch in WATCHES}
    assert {(group, resource) for group, resource, verb in rights("penstock-operator") if verb == "watch"} == watched


def test_the_namespaced_overlay_gives_no_rights_in_all_namespaces_but_a_look_at_nodes_and_namespaces() -> None:
    objects = render.render(MANIFESTS / "overlays" / "namespaced")
    bound = [item["roleRef"]["name"] for item in objects if item["kind"] == "ClusterRoleBinding"]
    assert bound == ["penstock-operator-cluster"]
    (rule,) = found("ClusterRole", "penstock-operator-cluster", "namespaced")["rules"]
    assert (rule["resources"], rule["verbs"]) == (["nodes", "namespaces"], ["get"])


def test_what_the_renderer_does_not_know_it_refuses(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"resources": [], "namePrefix": "x-"}))
    with pytest.raises(render.UnknownToRenderError, match="namePrefix"):
        render.render(tmp_path)
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"resources": [], "patches": [{"path": "patch.yaml"}]}))
    (tmp_path / "patch.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: absent}\n")
    with pytest.raises(render.UnknownToRenderError, match="absent"):
        render.render(tmp_path)
