"""One real server process, of HTTP and gRPC, for a model of every kind of column."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from penstock_serving import contract
from penstock_serving.jobs.package import package
from penstock_serving.model.frame import matrix
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

ROWS = 120


def _frame() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(11)
    return {
        "amount": rng.normal(size=ROWS),
        "single": rng.normal(size=ROWS).astype(np.float32),
        "count": rng.integers(0, 9, ROWS),
        "member": rng.random(ROWS) < 0.5,
        "country": rng.choice(np.array(["DE", "FR", "Île"], dtype=object), ROWS),
    }


@dataclass(frozen=True)
class Served:
    """A server that answers, and what it must answer."""

    http: str
    grpc: str
    estimator: Any
    frame: dict[str, np.ndarray]
    process: "subprocess.Popen[bytes]"
    log: Path

    def rows(self, count: int) -> dict[str, np.ndarray]:
        """The first rows, one amount of them missing."""
        rows = {name: values[:count].copy() for name, values in self.frame.items()}
        rows["amount"][0] = np.nan
        return rows

    def expected(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels and scores of these rows, by scikit-learn."""
        table = matrix(self.rows(count))
        return self.estimator.predict(table), self.estimator.predict_proba(table)

    def example(self) -> dict[str, Any]:
        """A request of two rows, without missing values: no binary form has a null for every datatype."""
        kinds = {"amount": "FP64", "single": "FP32", "count": "INT64", "member": "BOOL", "country": "BYTES"}
        return {
            "inputs": [
                {"name": name, "datatype": kinds[name], "shape": [2], "data": values[:2].tolist()}
                for name, values in self.frame.items()
            ]
        }


def free_port() -> int:
    """A port that nothing listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serve(root: Path) -> Iterator[Served]:
    """The server, ready; its model and everything it writes are in the folder `root`."""
    frame = _frame()
    steps = make_column_transformer((SimpleImputer(), [0]), ("passthrough", [1, 2, 3]), (OneHotEncoder(), [4]))
    labels = np.where(frame["amount"] + frame["count"] > 4, "high", "low")
    estimator = make_pipeline(steps, LogisticRegression()).fit(matrix(frame), labels)
    digest = package(estimator, frame, root / "new")
    (root / "new").rename(root / digest.replace(":", "-"))
    port, grpc_port, metrics_port = free_port(), free_port(), free_port()
    environment = {
        "PATH": os.environ["PATH"],
        contract.ENV_MODEL_NAME: "fraud",
        contract.ENV_REVISION: "fraud-7",
        contract.ENV_MODEL_DIGEST: digest,
        contract.ENV_MODEL_ROOT: str(root),
        contract.ENV_BIND_ADDRESS: "127.0.0.1",
        contract.ENV_SERVING_PORT: str(port),
        contract.ENV_SERVING_METRICS_PORT: str(metrics_port),
        contract.ENV_GRPC_PORT: str(grpc_port),
        contract.ENV_MONITOR_SOCKET: str(root / "monitor.sock"),
        contract.ENV_TERMINATION_LOG: str(root / "termination-log"),
        contract.ENV_PREDICT_THREADS: "1",
    }
    log = root / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "penstock_serving.server"], env=environment, stdout=stream, stderr=stream
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _await_ready(url, process, log)
        yield Served(url, f"127.0.0.1:{grpc_port}", estimator, frame, process, log)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server, ready."""
    with serve(tmp_path_factory.mktemp("served")) as server:
        yield server


def _await_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(url + contract.PATH_READY).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"the server is not ready: {log.read_text()}")


@pytest.fixture
def example_file(served: Served, tmp_path: Path) -> Path:
    """The example as a file."""
    path = tmp_path / "example.json"
    path.write_text(json.dumps(served.example()))
    return path
