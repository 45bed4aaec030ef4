"""What tests on the control-plane tier rely on."""

import json
import time

import pytest

pytestmark = [pytest.mark.controlplane, pytest.mark.xdist_group("controlplane")]

DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gates.fixture.test"},
    "spec": {
        "group": "fixture.test",
        "names": {"kind": "Gate", "plural": "gates"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {"open": {"type": "integer"}},
                                "x-kubernetes-validations": [
                                    {"rule": "self.open <= 100", "message": "open is a percentage: at most 100"}
                                ],
                            }
                        },
                    }
                },
            }
        ],
    },
}


def gate(name, share):
    return json.dumps(
        {"apiVersion": "fixture.test/v1", "kind": "Gate", "metadata": {"name": name}, "spec": {"open": share}}
    )


@pytest.fixture(scope="module")
def gates(apiserver):
    apiserver.kubectl("apply", "--filename=-", stdin=json.dumps(DEFINITION))
    apiserver.kubectl("wait", "--for=condition=Established", "crd/gates.fixture.test", "--timeout=30s")
    return apiserver


def test_it_is_a_kubernetes_new_enough_for_native_sidecars(apiserver):
    server = json.loads(apiserver.kubectl("get", "--raw", "/version"))
    assert (int(server["major"]), int(server["minor"])) >= (1, 33)


def test_cel_rules_refuse_at_apply_with_their_message(gates):
    gates.kubectl("apply", "--filename=-", stdin=gate("half", 50))
    refused = gates.run_kubectl("apply", "--filename=-", stdin=gate("over", 101))
    assert refused.returncode != 0
    assert "open is a percentage: at most 100" in refused.stderr


def test_every_answered_write_is_in_the_audit_log_at_once(gates):
    gates.kubectl("create", "--filename=-", stdin=gate("audited", 1))
    writes = [
        event
        for event in gates.audit_events()
        if event["verb"] == "create" and event.get("objectRef", {}).get("resource") == "gates"
    ]
    names = [event["objectRef"].get("name") for event in writes]
    assert "audited" in names
    assert {event["level"] for event in writes} == {"Metadata"}
    assert all(event["userAgent"].startswith("kubectl") for event in writes)


def test_controllers_run_so_that_garbage_is_collected(apiserver):
    owner = json.loads(apiserver.kubectl("create", "configmap", "owner", "--output=json"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    child = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "child", "ownerReferences": [reference]},
    }
    apiserver.kubectl("create", "--filename=-", stdin=json.dumps(child))
    apiserver.kubectl("delete", "configmap", "owner")
    deadline = time.monotonic() + 30
    while apiserver.run_kubectl("get", "configmap", "child").returncode == 0:
        assert time.monotonic() < deadline, "the garbage collector left an object without its owner"
