"""Real packages, real server and monitor processes, on this machine's loopback."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from penstock_serving import contract
from penstock_serving.jobs.package import package
from penstock_serving.model.frame import matrix
from penstock_serving.protocol import open_inference_pb2 as pb
from prometheus_client.parser import text_string_to_metric_families
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MODELS = Path(__file__).parent / "models"
sys.path.append(str(MODELS))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The condition's first true value; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not true within {seconds} s: {condition}")
        time.sleep(0.02)
    return value


@dataclass(frozen=True)
class Packaged:
    """A model with its frame and its package below `root`."""

    estimator: Any
    frame: dict[str, np.ndarray]
    root: Path
    digest: str

    @property
    def directory(self) -> Path:
        return self.root / self.digest.replace(":", "-")


@dataclass
class Served:
    """A model server (and a monitor, if wanted) as processes, with their ports and environment."""

    packaged: Packaged
    folder: Path
    extra: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    monitor_port: int = field(default_factory=free_port)
    server: subprocess.Popen[bytes] | None = None
    monitor: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def termination_log(self) -> Path:
        return self.folder / "termination-log"

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(MODELS),
            contract.ENV_MODEL_NAME: "fraud",
            contract.ENV_REVISION: "fraud-1",
            contract.ENV_MODEL_DIGEST: self.packaged.digest,
            contract.ENV_MODEL_ROOT: str(self.packaged.root),
            contract.ENV_BIND_ADDRESS: "127.0.0.1",
            contract.ENV_SERVING_PORT: str(self.port),
            contract.ENV_SERVING_METRICS_PORT: str(self.metrics_port),
            contract.ENV_MONITOR_METRICS_PORT: str(self.monitor_port),
            contract.ENV_MONITOR_SOCKET: str(self.folder / "monitor.sock"),
            contract.ENV_TERMINATION_LOG: str(self.termination_log),
            contract.ENV_PREDICT_THREADS: "1",
        } | self.extra

    def start_monitor(self) -> None:
        self.monitor = self._spawn("penstock_serving.monitor")
        wait_for(lambda: reaches(self.monitor_port, contract.PATH_METRICS), 120)

    def spawn_server(self) -> subprocess.Popen[bytes]:
        self.server = self._spawn("penstock_serving.server")
        return self.server

    def start_server(self) -> None:
        server = self.spawn_server()
        wait_for(lambda: server.poll() is not None or reaches(self.port, contract.PATH_READY), 120)
        assert server.poll() is None, self.log()

    def _spawn(self, module: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module], env=self.environment(), stdout=log, stderr=log, cwd=self.folder
            )

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def stop(self) -> None:
        for process in (self.server, self.monitor):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGKILL if process is self.server else signal.SIGTERM)
                process.wait(10)

    def counting_process(self) -> int:
        """The process id of the monitor's counting process; 0 while there is none."""
        found = children(self.monitor.pid)
        return found[0] if found else 0

    def metric(self, port: int, name: str, headers: dict[str, str] | None = None, **labels: str) -> float:
        """The sum of a counter's series with these labels."""
        text = httpx.get(f"http://127.0.0.1:{port}{contract.PATH_METRICS}", headers=headers).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def children(process: int) -> list[int]:
    """Ids of a process's child processes."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def reaches(port: int, path: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}").status_code == 200
    except httpx.HTTPError:
        return False


def model_infer(channel: Any) -> Any:
    """ModelInfer by a channel of `grpc` or `grpc.aio`, which have no stub without generated code."""
    return channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=pb.ModelInferRequest.SerializeToString,
        response_deserializer=pb.ModelInferResponse.FromString,
    )


def request_for(frame: dict[str, np.ndarray], rows: slice, **more: Any) -> dict[str, Any]:
    """A v2 request for rows of a frame, one input per column."""
    kinds = {"f": "FP64", "i": "INT64", "b": "BOOL", "U": "BYTES", "O": "BYTES"}
    inputs = [
        {
            "name": name,
            "datatype": kinds[values.dtype.kind],
            "shape": [len(values[rows])],
            "data": values[rows].tolist(),
        }
        for name, values in frame.items()
    ]
    return {"inputs": inputs} | more


class Talker:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def __enter__(self) -> "Talker":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def post(self, path: str, document: Any) -> tuple[int, dict[str, str], Any]:
        """Status, headers and document of the answer."""
        self._connection.request("POST", path, json.dumps(document).encode(), {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, json.loads(answer.read())


@pytest.fixture(scope="session")
def breast_cancer() -> dict[str, np.ndarray]:
    """A frame of real rows: 569 × 8."""
    data = load_breast_cancer()
    return {str(name): data.data[:, index] for index, name in enumerate(data.feature_names[:8])}


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any, dict[str, np.ndarray]], Packaged]:
    """Package a fitted model into a fresh model root."""

    def make(estimator: Any, frame: dict[str, np.ndarray]) -> Packaged:
        root = tmp_path_factory.mktemp("models")
        digest = package(estimator, frame, root / "new")
        packaged = Packaged(estimator, frame, root, digest)
        (root / "new").rename(packaged.directory)
        return packaged

    return make


@pytest.fixture(scope="session")
def logistic(breast_cancer: dict[str, np.ndarray], pack: Callable[..., Packaged]) -> Packaged:
    """A pipeline that takes no missing values."""
    labels = np.array(["malignant", "benign"])[load_breast_cancer().target]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(matrix(breast_cancer), labels)
    return pack(model, breast_cancer)


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Serve a package, without a monitor: `with serving(packaged, ENV=…) as served`."""

    @contextmanager
    def serve(packaged: Packaged, **extra: str) -> Iterator[Served]:
        served = Served(packaged, tmp_path_factory.mktemp("run"), extra)
        try:
            served.start_server()
            yield served
        finally:
            served.stop()

    return serve


@pytest.fixture(scope="session")
def served_logistic(logistic: Packaged, serving: Callable[..., Any]) -> Iterator[Served]:
    with serving(logistic) as served:
        yield served


@pytest.fixture
def wait() -> Callable[..., Any]:
    return wait_for


@pytest.fixture
def talker() -> Callable[[int], Talker]:
    return Talker


@pytest.fixture
def make_served(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """A server that is not started yet."""
    made: list[Served] = []

    def make(packaged: Packaged, **extra: str) -> Served:
        made.append(Served(packaged, tmp_path, extra))
        return made[-1]

    yield make
    for served in made:
        served.stop()


@pytest.fixture(scope="module")
def grpc_port() -> int:
    """A port for gRPC, of all servers of a module."""
    return free_port()


@pytest.fixture
def port() -> Callable[[], int]:
    """What gives ports that nothing listens at now."""
    return free_port
