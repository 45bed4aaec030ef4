"""The operator on a real API server: it comes to rest, and stays there."""

import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from operator_bench import audit, models
from operator_bench.waiting import until
from penstock.api.kstatus import KStatus, kstatus_of

pytest_plugins = ["operator_bench.fixtures"]
pytestmark = [pytest.mark.controlplane, pytest.mark.xdist_group("controlplane")]

QUIET_SECONDS = float(os.environ.get("PENSTOCK_QUIET_SECONDS", "15"))
NAMESPACE = "twenty"
NAMES = [f"model-{index:02}" for index in range(20)]


@pytest.fixture(scope="module")
def twenty(bench):
    namespace = bench.admin.namespace(NAMESPACE)
    for name in NAMES:
        bench.admin.apply(models.deployment(namespace, name))
    for name in NAMES:
        models.until_phase(bench.admin, namespace, name, "Stable", seconds=150, log=bench.operator.tail)
    until(lambda: bench.trail.rests(NAMESPACE, 3.0), lambda: f"the operator rests: {last_writes(bench)}", 60)
    return namespace


def last_writes(bench) -> list[str]:
    return [audit.told(event) for event in bench.trail.writes(NAMESPACE)[-5:]]


@pytest.mark.parametrize("seconds", [QUIET_SECONDS, pytest.param(60.0, marks=pytest.mark.campaign)])
def test_after_twenty_deployments_have_converged_nobody_writes(bench, twenty, seconds):
    before = len(bench.trail.writes(NAMESPACE))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        written = bench.trail.writes(NAMESPACE)[before:]
        assert written == [], [audit.told(event) for event in written]
        time.sleep(1.0)


def test_every_converged_deployment_is_current_to_kstatus_and_routed_at_a_port_of_its_own(bench, twenty):
    found = bench.admin.items("ModelDeployment", twenty)
    assert {kstatus_of(document) for document in found} == {KStatus.CURRENT}
    assert {document["status"]["url"] for document in found} == {f"http://{name}.{twenty}.svc" for name in NAMES}
    ports = {name: model["port"] for name, model in models.table(bench.admin, twenty).items()}
    services = {item["metadata"]["name"]: item for item in bench.admin.items("Service", twenty)}
    assert {name: services[name]["spec"]["ports"][0]["targetPort"] for name in NAMES} == ports
    assert len(set(ports.values())) == len(NAMES)


def test_the_same_manifest_again_or_another_scale_writes_no_release(bench, twenty):
    name = NAMES[0]
    records = [item["record"] for item in bench.admin.items("ModelRevision", twenty, f"penstock.dev/deployment={name}")]
    bench.admin.apply(models.deployment(twenty, name))
    bench.admin.merge("ModelDeployment", twenty, name, {"spec": {"replicas": 3}}, "scale")
    revision = models.status(bench.admin, twenty, name)["stable"]["revision"]
    until(
        lambda: (
            bench.admin.get("Deployment", twenty, revision)["spec"]["replicas"] == 3
            and models.status(bench.admin, twenty, name)["replicas"] == 3
            and models.status(bench.admin, twenty, name)["current"]
        ),
        "three pods of the same revision",
    )
    found = bench.admin.items("ModelRevision", twenty, f"penstock.dev/deployment={name}")
    assert [item["record"] for item in found] == records


def test_another_default_image_restarts_nothing(bench, twenty):
    before = {
        item["metadata"]["name"]: item["metadata"]["generation"] for item in bench.admin.items("Deployment", twenty)
    }
    usual = bench.operator.environment["PENSTOCK_SERVING_IMAGE"]
    bench.operator.environment["PENSTOCK_SERVING_IMAGE"] = "penstock/serving:2.0"
    assert bench.operator.stop() == 0
    bench.operator.start()
    try:
        until(lambda: bench.trail.rests(NAMESPACE, 3.0), lambda: f"the operator rests: {last_writes(bench)}", 60)
        after = {
            item["metadata"]["name"]: item["metadata"]["generation"] for item in bench.admin.items("Deployment", twenty)
        }
        assert after == before
        assert {d["status"]["phase"] for d in bench.admin.items("ModelDeployment", twenty)} == {"Stable"}
    finally:
        bench.operator.environment["PENSTOCK_SERVING_IMAGE"] = usual
        bench.operator.stop()
        bench.operator.start()
