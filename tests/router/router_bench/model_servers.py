"""The model server of the pods, as a process: one package, served as several revisions."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
from penstock_serving import contract
from penstock_serving.jobs.package import package
from penstock_serving.model.frame import matrix
from sklearn.linear_model import LogisticRegression

from router_bench.routers import free_port, until

MODEL = "fraud"
COLUMNS = ("amount", "age")


def packaged(root: Path) -> str:
    """Package a model that is served compiled; its digest."""
    rng = np.random.default_rng(7)
    frame = {name: rng.normal(size=60) for name in COLUMNS}
    digest = package(LogisticRegression().fit(matrix(frame), frame["amount"] + frame["age"] > 0), frame, root / "new")
    (root / "new").rename(root / digest.replace(":", "-"))
    return digest


class PenstockServer:
    """One pod's server, for HTTP and gRPC."""

    def __init__(self, root: Path, digest: str, revision: str) -> None:
        ports = [free_port() for _ in range(3)]
        self._http, self._grpc, metrics = ports
        self._log = (root / f"{revision}.log").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "penstock_serving.server"],
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith("PENSTOCK_")},
                contract.ENV_MODEL_NAME: MODEL,
                contract.ENV_REVISION: revision,
                contract.ENV_MODEL_DIGEST: digest,
                contract.ENV_MODEL_ROOT: str(root),
                contract.ENV_BIND_ADDRESS: "127.0.0.1",
                contract.ENV_SERVING_PORT: str(self._http),
                contract.ENV_GRPC_PORT: str(self._grpc),
                contract.ENV_SERVING_METRICS_PORT: str(metrics),
                contract.ENV_MONITOR_SOCKET: str(root / f"{revision}.sock"),
                contract.ENV_TERMINATION_LOG: str(root / f"{revision}.termination"),
                contract.ENV_PREDICT_THREADS: "1",
            },
            stdout=self._log,
            stderr=self._log,
        )
        until(self._ready, lambda: f"{revision} is ready: {Path(self._log.name).read_text()}")

    @property
    def http(self) -> str:
        """As the routing table names it."""
        return f"127.0.0.1:{self._http}"

    @property
    def grpc(self) -> str:
        """As the routing table names it, for gRPC."""
        return f"127.0.0.1:{self._grpc}"

    def terminate(self) -> None:
        """As a pod that is deleted: it is told to stop, and stops when nobody asks it any more."""
        self._process.terminate()

    @property
    def ended(self) -> bool:
        """Whether it has stopped."""
        return self._process.poll() is not None

    def die(self) -> None:
        """As a killed pod."""
        self._process.kill()
        self._process.wait(10)
        self._log.close()

    def _ready(self) -> bool:
        assert self._process.poll() is None, Path(self._log.name).read_text()
        try:
            with urllib.request.urlopen(f"http://{self.http}{contract.PATH_READY}", timeout=1) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False
