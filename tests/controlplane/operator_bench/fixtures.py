"""One operator, one kubelet and one set of routers for all tests of a session."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from operator_bench.admin import Admin
from operator_bench.agents import Agents
from operator_bench.audit import Trail, told
from operator_bench.kubelet import Kubelet
from operator_bench.process import OperatorProcess
from operator_bench.statuses import Statuses

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Bench:
    """Everything around the operator, and the operator."""

    cluster: object
    admin: Admin
    kubelet: Kubelet
    agents: Agents
    trail: Trail
    operator: OperatorProcess
    statuses: Statuses


@pytest.fixture(scope="session")
def bench(apiserver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The operator is installed by the manifests and runs."""
    install(apiserver)
    admin = Admin(apiserver.kubeconfig)
    kubelet = Kubelet(apiserver.kubeconfig)
    agents = Agents(apiserver.kubeconfig, kubelet)
    operator = OperatorProcess(apiserver, agents.port, tmp_path_factory.mktemp("operator"))
    statuses = Statuses(apiserver.kubeconfig, admin)
    kubelet.start()
    agents.start()
    statuses.start()
    operator.start()
    try:
        yield Bench(apiserver, admin, kubelet, agents, Trail(apiserver.audit_log), operator, statuses)
        statuses.check(everything=True)
        assert statuses.checked > 0
    finally:
        statuses.stop()
        if operator.is_running():
            operator.kill()
        agents.stop()
        kubelet.stop()
        admin.close()


@pytest.fixture(autouse=True)
def what_is_published_holds(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test with the operator has to ask for it: every status stored meanwhile is checked, and every request that the
    operator had no right to make is found."""
    yield
    if "bench" in request.fixturenames:
        bench = request.getfixturevalue("bench")
        bench.statuses.check()
        assert [told(event) for event in bench.trail.denials()] == []


def install(cluster) -> None:
    """Apply the rendered manifests; the operator's own pod never runs on a cluster without nodes."""
    applied = cluster.run_kubectl("apply", "--server-side", f"--filename={ROOT / 'manifests' / 'install.yaml'}")
    if applied.returncode != 0:
        raise subprocess.CalledProcessError(applied.returncode, applied.args, applied.stdout, applied.stderr)
    cluster.kubectl("scale", "deployment/penstock-operator", "--namespace=penstock-system", "--replicas=0")
    for plural in ("modeldeployments", "modelrevisions", "routers"):
        cluster.kubectl("wait", "--for=condition=Established", f"crd/{plural}.penstock.dev", "--timeout=30s")
