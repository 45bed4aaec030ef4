"""Our server passes the conformance suite, and the suite finds what a server gets wrong."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "oip_conformance", *arguments], capture_output=True, text=True, timeout=120
    )


def results(report: str) -> dict[str, str]:
    """Result by what must hold."""
    rows = [line.split(" | ") for line in report.splitlines() if line.startswith("| ") and line.count(" | ") == 4]
    return {row[2]: row[3] for row in rows[1:]}


def test_our_server_conforms(served: Any, example_file: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    arguments = ["--url", served.http, "--grpc", served.grpc, "--model", "fraud", "--example", str(example_file)]
    finished = run(*arguments, "--report", str(report))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    found = results(report.read_text())
    assert len(found) >= 65
    missing = {title for title, result in found.items() if result != "pass"}
    assert missing == {"A server without versions leaves model_version out"}


def handler(answer: Callable[[str, bytes], tuple[int, Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(*answer(self.path, b""))

        def do_POST(self) -> None:
            self._answer(*answer(self.path, self.rfile.read(int(self.headers["content-length"]))))

        def _answer(self, status: int, document: Any) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


def careless(path: str, body: bytes) -> tuple[int, Any]:
    """A server that answers everything, always alike."""
    tensor = {"name": "x", "datatype": "FP64", "shape": [-1]}
    if path == "/v2":
        return 200, {"name": "careless", "version": "1", "extensions": []}
    if path.endswith("/infer"):
        output = {"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0]}
        return 200, {"model_name": "m", "outputs": [output]}
    return 200, {"name": "m", "platform": "", "inputs": [tensor], "outputs": [tensor]}


@pytest.fixture
def careless_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(careless))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_suite_finds_what_is_wrong(careless_server: str, tmp_path: Path) -> None:
    example = tmp_path / "example.json"
    example.write_text(json.dumps({"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1]}]}))
    finished = run("--url", careless_server, "--model", "m", "--example", str(example))
    assert finished.returncode == 1, finished.stdout + finished.stderr
    found = results(finished.stdout)
    assert found["An answer names the model and has outputs"] == "pass"
    assert found["The request's id comes back"] == "FAIL"
    assert found["A wrong request is the protocol's error: unknown output"] == "FAIL"
    assert found["A model that is not there is not ready: 4xx"] == "FAIL"
    assert found["ServerLive, ServerReady and ModelReady say true"] == "not offered"
    assert found["Inputs as bytes give the answer of inputs in JSON"] == "not offered"


def test_a_server_that_is_not_there_fails(tmp_path: Path) -> None:
    example = tmp_path / "example.json"
    example.write_text(json.dumps({"inputs": []}))
    finished = run("--url", "http://127.0.0.1:1", "--model", "m", "--example", str(example))
    assert finished.returncode == 1
    assert "ConnectionRefusedError" in finished.stdout
