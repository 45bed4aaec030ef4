"""The installation on a real API server, and what the operator says of its own health."""

import asyncio
import copy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "manifests"))

import aiohttp
import render
from operator_bench import models
from operator_bench.process import free_port
from penstock.cluster.kinds import MODEL_DEPLOYMENT
from penstock.runtime.config import read_config
from penstock.runtime.operator import Operator

pytest_plugins = ["operator_bench.fixtures"]
pytestmark = [pytest.mark.controlplane, pytest.mark.xdist_group("controlplane")]

OVERLAYS = [path.name for path in sorted((render.HERE / "overlays").iterdir())]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_renders_the_same_objects(apiserver, overlay):
    text = apiserver.kubectl("kustomize", str(render.HERE / "overlays" / overlay))
    theirs, ours = list(yaml.safe_load_all(text)), render.render(render.HERE / "overlays" / overlay)

    def named(objects: list[dict]) -> dict:
        return {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]): item for item in objects}

    assert named(ours) == named(theirs)
    assert len(ours) == len(theirs)


def test_the_operators_pod_is_admitted_at_the_restricted_level_that_its_namespace_enforces(bench):
    template = bench.admin.get("Deployment", "penstock-system", "penstock-operator")["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trial", "namespace": "penstock-system"},
           "spec": template["spec"]}  # fmt: skip
    path = "/api/v1/namespaces/penstock-system/pods"
    assert bench.admin.answer("POST", path, pod, dryRun="All").status_code == 201
    lax = copy.deepcopy(pod)
    lax["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    refused = bench.admin.answer("POST", path, lax, dryRun="All")
    assert refused.status_code == 403
    assert "restricted" in refused.text


def test_an_operator_that_nobody_tells_anything_says_that_its_watches_are_deaf(bench, monkeypatch):
    namespace = bench.admin.namespace("deaf")
    bench.admin.apply(models.deployment(namespace, "fraud"))
    models.until_phase(bench.admin, namespace, "fraud", "Stable", log=bench.operator.tail)
    monkeypatch.setenv("KUBECONFIG", str(bench.cluster.kubeconfig))
    environment = bench.operator.environment | {"PENSTOCK_NAMESPACES": namespace, "PENSTOCK_PORT": str(free_port())}
    config = replace(read_config(environment), deaf_after=0.5)

    async def run() -> tuple[str, str]:
        operator = await Operator.start(config, lambda: None)
        try:
            async with aiohttp.ClientSession() as session, asyncio.timeout(30):
                while True:
                    async with session.get(f"http://127.0.0.1:{config.port}/healthz") as answer:
                        if answer.status == 503:
                            said = await answer.text()
                            break
                    await asyncio.sleep(0.1)
                for document in bench.admin.items("ModelDeployment", namespace):
                    operator.notice(MODEL_DEPLOYMENT, document)
                metrics = ""
                while 'penstock_watch_deaf_seconds{kind="ModelRevision"}' not in metrics:
                    async with session.get(f"http://127.0.0.1:{config.port}/metrics") as answer:
                        metrics = await answer.text()
                    await asyncio.sleep(0.1)
            return said, metrics
        finally:
            await operator.stop()

    said, metrics = asyncio.run(run())
    assert "the watch of ModelDeployment has told nothing" in said
    assert 'penstock_watch_deaf_seconds{kind="ModelDeployment"}' not in metrics


def test_a_configuration_that_lacks_something_ends_the_process_with_its_name(bench):
    environment = {k: v for k, v in bench.operator.environment.items() if k != "PENSTOCK_ROUTER_IMAGE"}
    ended = subprocess.run(
        [sys.executable, "-m", "penstock.main"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 78
    assert ended.stderr == "PENSTOCK_ROUTER_IMAGE is not set; it must be the image with Envoy\n"
