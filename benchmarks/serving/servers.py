"""Starting and stopping a server on one core, and what it takes."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from benchmarks.serving.models import Case
from benchmarks.serving.peers import BENTOML, GRANIAN, KSERVE, MLSERVER, environment

APPS = Path(__file__).parent / "apps"
OURS, OUR_STATIC, GRANIAN_STATIC = "Penstock", "our HTTP layer, static", "granian, static"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_V2 = "/v2/models/m/infer"
_EPHEMERAL = 32_768
"""Linux gives connections ports from here on, unless told otherwise."""
_PORTS = iter(random.sample(range(16_384, _EPHEMERAL), _EPHEMERAL - 16_384))
"""Those that servers may be given, each once."""


@dataclass
class Plan:
    """How a server is started for a case: its commands (the last is the server, begun when the port `before`, where there
    is one, tells counters), environment, path and bodies."""

    commands: list[list[str]]
    path: str
    bodies: Path
    environment: dict[str, str] = field(default_factory=dict)
    before: int | None = None


@dataclass
class Running:
    """A server that answers: its port, how long it took to the first answer (seconds), and its processes' group."""

    port: int
    plan: Plan
    ready_seconds: float
    groups: list[int]

    @property
    def memory(self) -> int:
        """Bytes, shared pages counted by their share (PSS), of the server's processes."""
        return sum(_pss(pid) for pid in _pids(self.groups[-1]))

    def mapped(self, names: Sequence[str]) -> list[str]:
        """Those Python packages of which the server's processes have mapped a file."""
        maps = [Path(f"/proc/{pid}/maps").read_text() for pid in _pids(self.groups[-1])]
        return [name for name in names if any(f"/site-packages/{name}/" in text for text in maps)]


def names() -> list[str]:
    """All servers."""
    return [OURS, KSERVE.name, MLSERVER.name, BENTOML.name, OUR_STATIC, GRANIAN_STATIC]


def plan(name: str, case: Case, port: int, folder: Path) -> Plan:
    """How the named server is started; files it needs are written to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == OURS:
        python, ours = [sys.executable, "-m"], _ours(case, port, folder)
        return Plan(
            [[*python, "penstock_serving.monitor"], [*python, "penstock_serving.server"]],
            _V2,
            case.bodies,
            ours,
            before=int(ours["PENSTOCK_MONITOR_METRICS_PORT"]),
        )
    if name == KSERVE.name:
        command = [str(environment(KSERVE) / "python"), str(APPS / "kserve_app.py"), str(case.joblib), str(port)]
        return Plan([command], _V2, case.bodies)
    if name == MLSERVER.name:
        _write_mlserver(case, port, folder)
        return Plan([[str(environment(MLSERVER) / "mlserver"), "start", str(folder)]], _V2, case.bodies)
    if name == BENTOML.name:
        command = [str(environment(BENTOML) / "bentoml"), "serve", "bento_app:Bench", "--port", str(port)]
        settings = {"BENCH_MODEL": str(case.joblib), "BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "True"}
        return Plan([[*command, "--working-dir", str(APPS)]], "/predict", case.bento_bodies, settings)
    if name == OUR_STATIC:
        return Plan([[sys.executable, str(APPS / "own_static.py"), str(port)]], _V2, case.bodies)
    return Plan(
        [[str(environment(GRANIAN) / "python"), str(APPS / "granian_static.py"), str(port)]],
        _V2,
        case.bodies,
        {"PYTHONPATH": str(APPS)},
    )


def _ours(case: Case, port: int, folder: Path) -> dict[str, str]:
    return {
        "PENSTOCK_MODEL_NAME": "m",
        "PENSTOCK_REVISION": "m-1",
        "PENSTOCK_MODEL_DIGEST": case.digest,
        "PENSTOCK_MODEL_ROOT": str(case.root),
        "PENSTOCK_BIND_ADDRESS": "127.0.0.1",
        "PENSTOCK_SERVING_PORT": str(port),
        "PENSTOCK_SERVING_METRICS_PORT": str(free_port()),
        "PENSTOCK_MONITOR_METRICS_PORT": str(free_port()),
        "PENSTOCK_MONITOR_SOCKET": str(folder / "monitor.sock"),
        "PENSTOCK_TERMINATION_LOG": str(folder / "termination-log"),
    }


def _write_mlserver(case: Case, port: int, folder: Path) -> None:
    ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    (folder / "settings.json").write_text(json.dumps({"host": "127.0.0.1", **ports}))
    parameters = {"uri": str(case.joblib)}
    model = {"name": "m", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": parameters}
    (folder / "model-settings.json").write_text(json.dumps(model))


@contextmanager
def running(
    name: str, case: Case, core: int, folder: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Running]:
    """Start the server on one core, with settings beyond those of its plan, and wait for its first right answer; stop it
    afterwards."""
    port = free_port()
    made = plan(name, case, port, folder)
    base = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    processes = []
    with (folder / "log").open("ab") as log:
        try:
            for command in made.commands:
                if processes and made.before is not None:
                    _wait(processes[-1], f"http://127.0.0.1:{made.before}/metrics", folder / "log")
                began = time.perf_counter()
                processes.append(
                    subprocess.Popen(
                        ["taskset", "-c", str(core), *command],
                        env=base | ONE_THREAD | made.environment | dict(settings),
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
            _wait(processes[-1], _first(made, port), folder / "log")
            yield Running(port, made, time.perf_counter() - began, [process.pid for process in processes])
        finally:
            for process in processes:
                _end(process)


def _first(made: Plan, port: int) -> urllib.request.Request:
    body = made.bodies.read_bytes().split(b"\n", 1)[0]
    return urllib.request.Request(f"http://127.0.0.1:{port}{made.path}", body, {"content-type": "application/json"})


def _wait(process: subprocess.Popen[bytes], request: urllib.request.Request | str, log: Path) -> None:
    """Wait until a process answers 200."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.005)
    raise RuntimeError(f"{process.args} does not answer:\n{log.read_text(errors='replace')[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        if _pids(process.pid):
            os.killpg(process.pid, number)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            continue
        if not _pids(process.pid):
            return


def _pids(group: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if int((entry / "stat").read_text().rpartition(")")[2].split()[2]) == group:
                    found.append(int(entry.name))
            except (OSError, ValueError):
                continue
    return found


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def free_port() -> int:
    """A port that was free just now, and that neither a connection of a load is given, as those of its own choice may be,
    nor another server here, which may not have bound its own yet."""
    for port in _PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("every port was given to a server")
