"""The agent against a real API server: its table from a ConfigMap, its addresses from EndpointSlices."""

import base64
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from penstock.router.kubernetes_source import Addresses, addresses, with_addresses
from router_bench import servers
from router_bench.callers import failures, send
from router_bench.routers import Json, Router, arm, free_port, model, until

sys.path.append(str(Path(__file__).parents[2]))

from localcluster.testing import RunningCluster, running

pytestmark = [pytest.mark.router, pytest.mark.xdist_group("router")]

SPACE = "models"
ROUTER = "penstock-router-default"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A real API server with the agent's account and rights."""
    with running("control-plane", tmp_path_factory.mktemp("cluster")) as cluster:
        rules = [
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        ]
        account = {"kind": "ServiceAccount", "name": ROUTER, "namespace": SPACE}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ROUTER}
        named = {"name": ROUTER, "namespace": SPACE}
        rbac = "rbac.authorization.k8s.io/v1"
        for manifest in (
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named},
            {"apiVersion": rbac, "kind": "Role", "metadata": named, "rules": rules},
            {"apiVersion": rbac, "kind": "RoleBinding", "metadata": named, "roleRef": role, "subjects": [account]},
        ):
            _apply(cluster, manifest)
        yield cluster


@pytest.fixture
def account(cluster: RunningCluster, tmp_path: Path) -> Path:
    """What a pod of that account has mounted."""
    kubeconfig = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(kubeconfig["certificate-authority-data"]))
    (tmp_path / "token").write_text(cluster.kubectl("-n", SPACE, "create", "token", ROUTER))
    return tmp_path


def _apply(cluster: RunningCluster, manifest: Json) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def _put_table(cluster: RunningCluster, *models: Json) -> None:
    metadata = {"name": ROUTER, "namespace": SPACE}
    data = {"table.json": json.dumps({"models": models})}
    _apply(cluster, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _slice(name: str, service: str, *endpoints: Json, kind: str = "IPv4", ports: tuple[Json, ...] = ()) -> Json:
    labels = {"kubernetes.io/service-name": service, "penstock.dev/deployment": "fraud"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": SPACE, "labels": labels},
        "addressType": kind,
        "ports": list(ports) or [{"name": "http", "port": 8080}],
        "endpoints": list(endpoints),
    }


def _settings(cluster: RunningCluster, account: Path) -> dict[str, str]:
    url = urlsplit(cluster.server)
    return {
        "PENSTOCK_TABLE_FILE": "",
        "PENSTOCK_TABLE_CONFIG_MAP": ROUTER,
        "PENSTOCK_TABLE_NAMESPACE": SPACE,
        "PENSTOCK_ACCOUNT_FOLDER": str(account),
        "KUBERNETES_SERVICE_HOST": str(url.hostname),
        "KUBERNETES_SERVICE_PORT": str(url.port),
    }


def test_the_agent_follows_its_table_and_its_pods_and_writes_nothing(
    cluster: RunningCluster, account: Path, new_router: Callable[..., Router], thread: servers.ServerThread
) -> None:
    router = new_router(**_settings(cluster, account))
    until(lambda: router.state().get("boot"), "Envoy runs")
    assert not router.is_ready()
    server, port = servers.ModelServer(thread, "one"), free_port()
    candidate = {"revision": "two", "role": "candidate", "weight": 1_000, "service": "fraud-two"}
    _put_table(cluster, model("fraud", port, 1, [arm("one", "stable", 9_000, [server.endpoint]), candidate]))
    until(lambda: router.state()["models"].get("fraud", {}).get("live"), "the table is in force")
    assert router.is_ready()
    assert failures(send(port, 20)) == []
    assert router.state()["models"]["fraud"]["endpoints"] == {"stable": 1, "candidate": 0}

    ready, gone = {"addresses": ["10.1.0.1"]}, {"addresses": ["10.1.0.2"], "conditions": {"ready": False}}
    _apply(cluster, _slice("fraud-two-x", "fraud-two", ready, gone))
    until(lambda: router.state()["models"]["fraud"]["endpoints"]["candidate"] == 1, "a ready pod is an endpoint")
    cluster.kubectl("-n", SPACE, "delete", "endpointslice", "fraud-two-x")
    until(lambda: router.state()["models"]["fraud"]["endpoints"]["candidate"] == 0, "until it goes")

    _put_table(cluster, model("fraud", port, 2, [arm("one", "stable", 10_000, [server.endpoint])]))
    until(lambda: router.state()["models"]["fraud"]["epoch"] == 2, "a change of the table is in force")
    cluster.kubectl("-n", SPACE, "delete", "configmap", ROUTER)
    _apply(cluster, _slice("fraud-two-y", "fraud-two", ready))
    assert failures(send(port, 20)) == []
    assert router.state()["models"]["fraud"]["live"]

    asked = [event for event in cluster.audit_events() if event.get("userAgent") == "penstock-router"]
    assert {event["verb"] for event in asked} == {"list", "watch"}
    assert {event.get("responseStatus", {}).get("code", 200) for event in asked} == {200}
    server.die()


def test_without_the_api_server_a_router_waits_and_one_that_has_state_serves(
    cluster: RunningCluster, account: Path, new_router: Callable[..., Router], thread: servers.ServerThread
) -> None:
    settings = _settings(cluster, account)
    router = new_router(**settings)
    server, port = servers.ModelServer(thread, "one"), free_port()
    _put_table(cluster, model("fraud", port, 1, [arm("one", "stable", 10_000, [server.endpoint])]))
    until(router.is_ready, "the table is in force")
    router.stop_supervisor()
    router.stop_envoy()
    cut_off = {**settings, "KUBERNETES_SERVICE_PORT": str(free_port())}
    router.start_supervisor(**cut_off)
    router.start_envoy()
    until(lambda: router.state().get("models", {}).get("fraud", {}).get("live"), "it serves by what it remembers")
    assert failures(send(port, 20)) == []
    assert router.counts("fraud", "stable", 20)["requests"] == 20
    fresh = new_router(**cut_off)
    until(lambda: "stays as it was" in fresh.log(), "a new one asks in vain")
    assert fresh.agent_pid() is not None
    assert not fresh.is_ready()
    server.die()


def test_addresses_are_those_of_ready_pods_of_one_family() -> None:
    ready, ending = {"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"], "conditions": {"terminating": True}}
    unsure = {"addresses": ["10.0.0.3"], "conditions": {"ready": None}}
    found = addresses([
        _slice("a", "one", ready, ending),
        _slice("b", "one", unsure, ready),
        _slice("c", "one", {"addresses": ["fd00::1"]}, kind="IPv6"),
        _slice("d", "two", {"addresses": ["fd00::2"]}, kind="IPv6", ports=({"port": 1}, {"name": "http", "port": 2})),
        _slice("e", "three", ready, ports=({"name": "grpc", "port": 9000},)),
        _slice("g", "four", ready, ports=({"name": "grpc", "port": 8001}, {"name": "http", "port": 8080})),
        _slice("h", "five", ready, ports=({"name": "grpc", "port": 8001}, {"name": "rest", "port": 9000})),
        _slice("f", "none") | {"ports": None, "endpoints": None},
    ])  # fmt: skip
    assert found == {
        "one": Addresses(("10.0.0.1:8080", "10.0.0.3:8080"), ()),
        "two": Addresses(("[fd00::2]:2",), ()),
        "three": Addresses((), ("10.0.0.1:9000",)),
        "four": Addresses(("10.0.0.1:8080",), ("10.0.0.1:8001",)),
        "five": Addresses(("10.0.0.1:9000",), ("10.0.0.1:8001",)),
        "none": Addresses((), ()),
    }


@pytest.mark.parametrize("text", ["{", "3", "[]", '{"models": 3}', '{"models": [3]}', '{"models": [{"arms": [3]}]}'])
def test_what_is_no_table_is_left_for_the_reader_to_refuse(text: str) -> None:
    assert with_addresses(text, {}).replace(" ", "") == text.replace(" ", "")


def test_services_become_addresses_and_unknown_ones_none() -> None:
    table = {"models": [{"arms": [{"service": "a"}, {"service": "b"}, {"endpoints": ["x"]}]}]}
    arms = json.loads(with_addresses(json.dumps(table), {"a": Addresses(("10.0.0.1:1",), ("10.0.0.1:2",))}))["models"][
        0
    ]["arms"]
    assert arms == [
        {"endpoints": ["10.0.0.1:1"], "grpcEndpoints": ["10.0.0.1:2"]},
        {"endpoints": []},
        {"endpoints": ["x"]},
    ]
