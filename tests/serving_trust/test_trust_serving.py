"""A serving process confines itself before it unpickles: a hostile pickle, even a pinned one, reaches nothing outside."""

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pytest
import tritonclient.grpc as tritongrpc
from penstock_serving import contract
from penstock_serving.jobs.package import package
from penstock_serving.model.digest import tree_digest
from penstock_serving.model.files import MODEL_FILE, model_directory
from penstock_serving.model.frame import matrix
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

ATTACK = """
import os, socket, subprocess
def attempt(what, *arguments, **options):
    try:
        what(*arguments, **options)
    except (OSError, subprocess.SubprocessError):
        pass
attempt(os.system, "touch {canary}-shell")
attempt(subprocess.run, ["/bin/touch", "{canary}-program"])
attempt(open, "{canary}-file", "w")
attempt(os.mkdir, "{canary}-folder")
attempt(os.unlink, "{precious}")
attempt(os.kill, {victim}, 9)
attempt(socket.create_connection, ("127.0.0.1", {port}), timeout=5)
def datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(b"stolen", ("127.0.0.1", {port}))
attempt(datagram)
def fast_open():
    with socket.socket() as out:
        out.sendto(b"stolen", 0x20000000, ("127.0.0.1", {port}))
attempt(fast_open)
os.write(2, b"the payload ran\\n")
"""


class Hostile:
    """A pickle that tries to get out of its process when it is opened."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (self.code, {})


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.fixture
def doors() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP and a UDP socket of one port that wait for what should never come."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(tcp.getsockname())
        for door in (tcp, udp):
            door.settimeout(0.2)
        yield tcp, udp


def attack(tmp_path: Path, victim: subprocess.Popen[bytes], port: int) -> str:
    return ATTACK.format(canary=tmp_path / "canary", precious=tmp_path / "precious", victim=victim.pid, port=port)


def test_a_pinned_hostile_pickle_reaches_nothing(
    tmp_path: Path, victim: subprocess.Popen[bytes], doors: tuple[socket.socket, socket.socket]
) -> None:
    tcp, udp = doors
    (tmp_path / "precious").write_text("mine")
    package(LinearRegression().fit(np.eye(3), np.arange(3)), {n: np.ones(3) for n in "abc"}, tmp_path / "new")
    joblib.dump(Hostile(attack(tmp_path, victim, tcp.getsockname()[1])), tmp_path / "new" / MODEL_FILE)
    digest = tree_digest(tmp_path / "new")
    (tmp_path / "new").rename(model_directory(tmp_path, digest))
    environment = {
        contract.ENV_MODEL_NAME: "fraud",
        contract.ENV_MODEL_DIGEST: digest,
        contract.ENV_MODEL_ROOT: str(tmp_path),
        contract.ENV_BIND_ADDRESS: "127.0.0.1",
        contract.ENV_SERVING_PORT: str(free_port()),
        contract.ENV_SERVING_METRICS_PORT: str(free_port()),
        contract.ENV_MONITOR_SOCKET: str(tmp_path / "monitor.sock"),
        contract.ENV_TERMINATION_LOG: str(tmp_path / "termination-log"),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "penstock_serving.server"], env=environment, capture_output=True, timeout=300
    )
    assert b"the payload ran" in ended.stderr
    assert ended.returncode == contract.EXIT_BAD_INPUT
    said = json.loads((tmp_path / "termination-log").read_text())
    assert said["reason"] == contract.REASON_NOT_A_MODEL
    assert not list(tmp_path.glob("canary*"))
    assert (tmp_path / "precious").read_text() == "mine"
    assert victim.poll() is None
    with pytest.raises(TimeoutError):
        tcp.accept()
    with pytest.raises(TimeoutError):
        udp.recv(1)


def test_the_attack_of_that_test_does_succeed_where_nothing_confines_it(
    tmp_path: Path, victim: subprocess.Popen[bytes], doors: tuple[socket.socket, socket.socket]
) -> None:
    tcp, udp = doors
    (tmp_path / "precious").write_text("mine")
    pickled = io.BytesIO()
    joblib.dump(Hostile(attack(tmp_path, victim, tcp.getsockname()[1])), pickled)
    loading = "import io, sys, joblib; joblib.load(io.BytesIO(sys.stdin.buffer.read()))"
    subprocess.run([sys.executable, "-c", loading], input=pickled.getvalue(), check=True, timeout=120)
    names = {path.name for path in tmp_path.glob("canary*")}
    assert names == {"canary-shell", "canary-program", "canary-file", "canary-folder"}
    assert not (tmp_path / "precious").exists()
    assert victim.wait(10) == -9
    with contextlib.closing(tcp.accept()[0]):
        assert udp.recv(10) == b"stolen"


def test_a_confined_server_answers_by_every_protocol(tmp_path: Path) -> None:
    frame = {name: np.random.default_rng(1).normal(size=60) for name in "abc"}
    forest = RandomForestClassifier(5, n_jobs=2, random_state=0)
    model = make_pipeline(FunctionTransformer(np.tanh), forest).fit(matrix(frame), frame["a"] > 0)
    digest = package(model, frame, tmp_path / "new")
    (tmp_path / "new").rename(model_directory(tmp_path, digest))
    ports = [free_port() for _ in range(3)]
    environment = {
        contract.ENV_MODEL_NAME: "fraud",
        contract.ENV_MODEL_DIGEST: digest,
        contract.ENV_MODEL_ROOT: str(tmp_path),
        contract.ENV_BIND_ADDRESS: "127.0.0.1",
        contract.ENV_SERVING_PORT: str(ports[0]),
        contract.ENV_SERVING_METRICS_PORT: str(ports[1]),
        contract.ENV_GRPC_PORT: str(ports[2]),
        contract.ENV_MONITOR_SOCKET: str(tmp_path / "monitor.sock"),
        contract.ENV_TERMINATION_LOG: str(tmp_path / "termination-log"),
    }
    command = [sys.executable, "-m", "penstock_serving.server"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert "serving by scikit-learn (a FunctionTransformer" in server.stdout.readline()
            status = Path(f"/proc/{server.pid}/status").read_text()
            assert "Seccomp:\t2\n" in status
            assert "NoNewPrivs:\t1\n" in status
            expected = model.predict(matrix(frame))[:4].tolist()
            inputs = []
            for name, values in frame.items():
                inputs.append(tritongrpc.InferInput(name, [4], "FP64"))
                inputs[-1].set_data_from_numpy(values[:4])
            with contextlib.closing(tritongrpc.InferenceServerClient(f"127.0.0.1:{ports[2]}")) as client:
                assert client.infer("fraud", inputs).as_numpy("predict").tolist() == expected
            request = {
                "inputs": [
                    {"name": name, "datatype": "FP64", "shape": [4], "data": values[:4].tolist()}
                    for name, values in frame.items()
                ]
            }
            answer = httpx.post(f"http://127.0.0.1:{ports[0]}/v2/models/fraud/infer", json=request)
            assert answer.json()["outputs"][0]["data"] == expected
        finally:
            server.terminate()
            server.wait(60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_last_words_of_a_confined_process_reach_the_termination_log(tmp_path: Path) -> None:
    code = """
from pathlib import Path
import sys
from penstock_serving.model.errors import BadModelError, LastWords
from penstock_serving.sandbox.server import confine
words = LastWords(Path(sys.argv[1]))
confine()
sys.exit(words.say(BadModelError("SelfTestFailed", "wrong")))
"""
    log = tmp_path / "termination-log"
    ended = subprocess.run(
        [sys.executable, "-c", code, str(log)], env=dict(os.environ), capture_output=True, timeout=60
    )
    assert ended.returncode == contract.EXIT_BAD_INPUT
    assert json.loads(log.read_text())["reason"] == "SelfTestFailed"
