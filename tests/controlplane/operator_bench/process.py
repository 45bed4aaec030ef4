"""The operator as a process of its own, with the rights that the manifests give it and no others."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from operator_bench.waiting import until

NAMESPACE = "penstock-system"
ACCOUNT = "penstock-operator"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class OperatorProcess:
    """Started, killed and started again."""

    def __init__(self, cluster, agent_port: int, folder: Path) -> None:
        token = cluster.kubectl("create", "token", ACCOUNT, f"--namespace={NAMESPACE}", "--duration=6h").strip()
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        self._kubeconfig = folder / "operator.kubeconfig"
        self._kubeconfig.write_text(yaml.safe_dump(config))
        self.port = free_port()
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("PENSTOCK_", "KUBE"))},
            "KUBECONFIG": str(self._kubeconfig),
            "PENSTOCK_SERVING_IMAGE": "penstock/serving:1.0",
            "PENSTOCK_ROUTER_IMAGE": "penstock/router:1.0",
            "PENSTOCK_AGENT_IMAGE": "penstock/operator:1.0",
            "PENSTOCK_NAMESPACE": NAMESPACE,
            "PENSTOCK_BIND": "127.0.0.1",
            "PENSTOCK_PORT": str(self.port),
            "PENSTOCK_AGENT_PORT": str(agent_port),
            "PYTHONWARNINGS": "ignore::ResourceWarning",
        }
        self.log = folder / "operator.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start; with `wait` until it says that it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "penstock.main"], env=self.environment, stdout=log, stderr=log
            )
        if wait:
            until(self.is_ready, lambda: f"the operator is ready:\n{self.tail()}")

    def kill(self) -> None:
        """As a node that loses power does it."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """As a kubelet does it; the exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(30)

    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def is_ready(self) -> bool:
        """What the readiness probe sees."""
        assert self.is_running(), f"the operator has ended:\n{self.tail()}"
        return self.ask("/readyz")[0] == 200

    def ask(self, path: str) -> tuple[int, str]:
        """The operator's answer to a GET, (0, "") when it gives none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def evidence(self, namespace: str, name: str) -> dict:
        """The live evidence, empty while there is none."""
        status, text = self.ask(f"/evidence/{namespace}/{name}")
        return json.loads(text) if status == 200 else {}

    def tail(self, lines: int = 60) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""
