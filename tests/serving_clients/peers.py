"""Peers and us: `python -m tests.serving_clients.peers clients|servers [--folder DIR]`.

`clients` asks our server by KServe's REST and gRPC clients and by `mlserver infer`; `servers` runs the conformance suite
against MLServer and KServe's server and leaves a report of each. The peers' environments are made once and kept in the
user's cache. Exits 1 when a client gets a wrong answer, or a server could not be tested.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.serving.peers import KSERVE, MLSERVER, environment
from tests.serving_clients.conftest import Served, free_port, serve

APPS = Path(__file__).with_name("apps")


def clients(folder: Path) -> bool:
    """Ask our server by the peers' clients; whether all got the right answers."""
    with serve(folder) as served:
        example, rows = served.example(), {name: values[:2] for name, values in served.frame.items()}
        expected = _expected(served, rows)
        (folder / "example.json").write_text(json.dumps(example))
        (folder / "expected.json").write_text(json.dumps(expected))
        command = [str(environment(KSERVE) / "python"), str(APPS / "kserve_clients.py"), served.http, served.grpc]
        kserve = subprocess.run([*command, str(folder / "example.json"), str(folder / "expected.json")], timeout=300)
        return kserve.returncode == 0 and _mlserver_infer(served, example, expected, folder)


def _expected(served: Served, rows: dict[str, Any]) -> dict[str, list[Any]]:
    from penstock_serving.model.frame import matrix

    table = matrix(rows)
    scores = served.estimator.predict_proba(table)
    return {"predict": served.estimator.predict(table).tolist(), "predict_proba": scores.ravel().tolist()}


def _mlserver_infer(served: Served, example: dict[str, Any], expected: dict[str, list[Any]], folder: Path) -> bool:
    """A file of requests, one a line, answered line by line."""
    asked, answered = folder / "in.jsonl", folder / "out.jsonl"
    asked.write_text("".join(json.dumps(example | {"id": str(number)}) + "\n" for number in range(20)))
    command = [str(environment(MLSERVER) / "mlserver"), "infer", "-u", served.http.removeprefix("http://")]
    finished = subprocess.run([*command, "-m", "fraud", "-i", str(asked), "-o", str(answered), "-w", "4"], timeout=300)
    lines = [json.loads(line) for line in answered.read_text().splitlines()] if answered.exists() else []
    right = [line for line in lines if line["outputs"][0]["data"] == expected["predict"]]
    print(f"mlserver infer: exit code {finished.returncode}, {len(right)} of 20 answers right")
    return finished.returncode == 0 and len(right) == 20


def servers(folder: Path) -> bool:
    """Test the peers' servers; whether all could be tested."""
    data = load_iris()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(data.data, data.target)
    joblib.dump(model, folder / "model.joblib")
    tensor = {"name": "input-0", "datatype": "FP64", "shape": [2, 4], "data": data.data[[0, 100]].ravel().tolist()}
    (folder / "example.json").write_text(json.dumps({"inputs": [tensor]}))
    tested = [_test(KSERVE.name, KSERVE.version, _kserve(folder), folder)]
    tested.append(_test(MLSERVER.name, MLSERVER.version, _mlserver(folder), folder))
    return all(tested)


def _kserve(folder: Path) -> tuple[list[str], int, int]:
    port, grpc_port = free_port(), free_port()
    command = [str(environment(KSERVE) / "python"), str(APPS / "kserve_server.py"), str(folder / "model.joblib")]
    return [*command, str(port), str(grpc_port)], port, grpc_port


def _mlserver(folder: Path) -> tuple[list[str], int, int]:
    port, grpc_port = free_port(), free_port()
    ports = {"http_port": port, "grpc_port": grpc_port, "metrics_port": free_port()}
    (folder / "settings.json").write_text(json.dumps({"host": "127.0.0.1", **ports}))
    about = {"name": "m", "implementation": "mlserver_sklearn.SKLearnModel"}
    parameters = {"uri": str(folder / "model.joblib"), "version": "v1"}
    (folder / "model-settings.json").write_text(json.dumps(about | {"parameters": parameters}))
    return [str(environment(MLSERVER) / "mlserver"), "start", str(folder)], port, grpc_port


def _test(name: str, version: str, started: tuple[list[str], int, int], folder: Path) -> bool:
    command, port, grpc_port = started
    with _running(command, port, folder / f"{name}.log"):
        url, address = f"http://127.0.0.1:{port}", f"127.0.0.1:{grpc_port}"
        suite = [sys.executable, "-m", "oip_conformance", "--url", url, "--grpc", address, "--model", "m"]
        report = folder / f"conformance-{name.lower()}.md"
        arguments = ["--example", str(folder / "example.json"), "--name", f"{name} {version}", "--report", str(report)]
        finished = subprocess.run([*suite, *arguments], timeout=600, stdout=subprocess.DEVNULL)
    print(f"{name} {version}: {report.read_text().splitlines()[2]}; see {report}")
    return finished.returncode in {0, 1}


@contextmanager
def _running(command: list[str], port: int, log: Path) -> Iterator[None]:
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + 180
        while not _is_ready(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} is not ready:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v2/models/m/ready").status_code == 200
    except httpx.TransportError:
        return False


def main() -> int:
    """Run one of the two; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.serving_clients.peers", description=__doc__)
    parser.add_argument("what", choices=["clients", "servers"])
    parser.add_argument("--folder", type=Path, help="where everything is written (default: a temporary folder)")
    options = parser.parse_args()
    # absolute: the servers read paths in it from folders of their own
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="peers-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    right = clients(folder) if options.what == "clients" else servers(folder)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
