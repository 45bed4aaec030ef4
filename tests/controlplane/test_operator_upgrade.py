"""The operator on a real API server: another version of it, in the middle of a release."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from operator_bench import models
from operator_bench.waiting import until

pytest_plugins = ["operator_bench.fixtures"]
pytestmark = [pytest.mark.controlplane, pytest.mark.xdist_group("controlplane")]


@pytest.fixture
def another_image(bench):
    """An operator of another version, with another image of the model server; the usual one again afterwards."""
    usual = bench.operator.environment["PENSTOCK_SERVING_IMAGE"]
    bench.operator.environment["PENSTOCK_SERVING_IMAGE"] = "penstock/serving:2.0"
    yield
    bench.operator.environment["PENSTOCK_SERVING_IMAGE"] = usual
    bench.operator.stop()
    bench.operator.start()


def pods(admin, namespace: str) -> dict[str, str]:
    """Server pods and the image that each runs."""
    items = admin.items("Pod", namespace, "penstock.dev/revision")
    return {it["metadata"]["uid"]: it["spec"]["containers"][0]["image"] for it in items}


def test_in_mid_release_a_blanked_status_and_another_operator_restart_and_forget_nothing(bench, another_image):
    admin, namespace = bench.admin, bench.admin.namespace("upgraded")
    admin.apply(models.deployment(namespace, "fraud"))
    models.until_phase(admin, namespace, "fraud", "Stable", log=bench.operator.tail)
    admin.apply(models.deployment(namespace, "fraud", 2))
    before = until(
        lambda: (s := models.status(admin, namespace, "fraud")).get("candidate", {}).get("weight") == 10 and s,
        lambda: f"the candidate has traffic\n{bench.operator.tail()}",
    )
    ran = pods(admin, namespace)
    assert set(ran.values()) == {"penstock/serving:1.0"}
    bench.operator.kill()
    admin.merge("ModelDeployment", namespace, "fraud", {"status": None}, "status")
    bench.operator.start()
    after = until(lambda: (s := models.status(admin, namespace, "fraud")).get("candidate") and s, "the status is back")
    assert (after["candidate"], after["stable"], after["epoch"]) == (
        before["candidate"],
        before["stable"],
        before["epoch"],
    )
    bench.agents.behaviours[namespace] = {"fraud": "healthy"}
    models.until_phase(admin, namespace, "fraud", "Watching", log=bench.operator.tail)
    assert pods(admin, namespace) == ran
    splits = bench.agents.history[namespace, "fraud"]
    assert [split.weight for split in splits if split.candidate] == [0, 10, 50]
