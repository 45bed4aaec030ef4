"""The operator on a real API server: `kubectl wait` ends when calls get through, and not before."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from operator_bench import models
from operator_bench.waiting import until

pytest_plugins = ["operator_bench.fixtures"]
pytestmark = [pytest.mark.controlplane, pytest.mark.xdist_group("controlplane")]


@contextmanager
def waiting(cluster, namespace: str, name: str) -> Iterator["subprocess.Popen[str]"]:
    """`kubectl wait` for a ModelDeployment, under way."""
    command = [str(cluster.commands / "kubectl"), f"--kubeconfig={cluster.kubeconfig}", f"--namespace={namespace}",
               "wait", "--for=condition=Ready", f"modeldeployment/{name}", "--timeout=90s"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as wait:
        try:
            yield wait
        finally:
            wait.kill()


@pytest.fixture
def routerless(bench) -> Iterator[str]:
    """A namespace whose router pods do not become ready."""
    namespace = bench.admin.namespace("routerless")
    bench.kubelet.routerless.add(namespace)
    yield namespace
    bench.kubelet.routerless.discard(namespace)


def test_kubectl_wait_ends_when_the_whole_way_works(bench, routerless):
    admin, namespace = bench.admin, routerless
    admin.apply(models.deployment(namespace, "fraud"))
    with waiting(bench.cluster, namespace, "fraud") as wait:
        until(
            lambda: admin.get("Service", namespace, "fraud"), lambda: f"the Service is there\n{bench.operator.tail()}"
        )

        def starting() -> dict | None:
            found = models.status(admin, namespace, "fraud")
            return found if models.condition(found, "Ready") == ("Unknown", "RouterNotReady") else None

        found = until(starting, lambda: f"only router pods are missing\n{bench.operator.tail()}")
        assert found["phase"] == "Starting"
        assert found["stable"]["revision"]
        assert wait.poll() is None
        bench.kubelet.routerless.remove(namespace)
        said, _ = wait.communicate(timeout=60)
        assert (wait.returncode, said) == (0, "modeldeployment.penstock.dev/fraud condition met\n")
    assert models.status(admin, namespace, "fraud")["phase"] == "Stable"


def test_kubectl_wait_for_a_new_version_is_not_content_with_the_one_before(bench):
    admin, namespace = bench.admin, bench.admin.namespace("ready-again")
    admin.apply(models.deployment(namespace, "fraud"))
    models.until_phase(admin, namespace, "fraud", "Stable", log=bench.operator.tail)
    with waiting(bench.cluster, namespace, "fraud") as wait:
        assert wait.wait(30) == 0
    admin.apply(models.deployment(namespace, "fraud", 2))
    with waiting(bench.cluster, namespace, "fraud") as wait:
        models.until_phase(admin, namespace, "fraud", "Releasing", log=bench.operator.tail)
        assert wait.poll() is None
    admin.delete("ModelDeployment", namespace, "fraud")


def test_an_object_that_nobody_has_looked_at_is_not_ready(bench):
    admin, namespace = bench.admin, bench.admin.namespace("unseen")
    bench.operator.stop()
    try:
        created = admin.apply(models.deployment(namespace, "fraud"))
        assert created["status"] == {"observedGeneration": -1}
    finally:
        bench.operator.start()
    models.until_phase(admin, namespace, "fraud", "Stable", log=bench.operator.tail)


def test_every_status_was_held_against_what_is_published(bench):
    bench.statuses.check(everything=True)
    assert bench.statuses.checked >= 5
    assert bench.statuses.ready >= 1
