"""One operator, one kubelet and one set of routers for all tests of a session."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from operator_bench.admin import Admin
from operator_bench.agents import Agents
from operator_bench.audit import Trail
from operator_bench.kubelet import Kubelet
from operator_bench.process import OperatorProcess

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


@pytest.fixture(scope="session")
def bench(apiserver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The operator is installed by the manifests and runs."""
    install(apiserver)
    admin = Admin(apiserver.kubeconfig)
    kubelet = Kubelet(apiserver.kubeconfig)
    agents = Agents(apiserver.kubeconfig, kubelet)
    operator = OperatorProcess(apiserver, agents.port, tmp_path_factory.mktemp("operator"))
    kubelet.start()
    agents.start()
    operator.start()
    try:
        yield Bench(apiserver, admin, kubelet, agents, Trail(apiserver.audit_log), operator)
    finally:
        if operator.is_running():
            operator.kill()
        agents.stop()
        kubelet.stop()
        admin.close()


def install(cluster) -> None:
    """Apply the rendered manifests; the operator's own pod never runs on a cluster without nodes."""
    applied = cluster.run_kubectl("apply", "--server-side", f"--filename={ROOT / 'manifests' / 'install.yaml'}")
    if applied.returncode != 0:
        raise subprocess.CalledProcessError(applied.returncode, applied.args, applied.stdout, applied.stderr)
    cluster.kubectl("scale", "deployment/penstock-operator", "--namespace=penstock-system", "--replicas=0")
    for plural in ("modeldeployments", "modelrevisions", "routers"):
        cluster.kubectl("wait", "--for=condition=Established", f"crd/{plural}.penstock.dev", "--timeout=30s")
