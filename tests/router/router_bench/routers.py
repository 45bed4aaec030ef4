"""Routers: Envoy and its agent as processes, and the table that they follow."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Json = dict[str, Any]
_reserved: list[socket.socket] = []


def until(condition: Callable[[], object], what: str | Callable[[], str], seconds: float = 60.0) -> Any:
    """Wait for a condition and return what it gave; fails after so many seconds, telling what was waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds:g} s: {what if isinstance(what, str) else what()}")


def free_port() -> int:
    """A port that nobody has, below those that the system hands out to callers.

    Several test processes look for ports at once: each is reserved by a name of its own, which goes with the process.
    """
    start = 12_000 + os.getpid() % 8_000
    for port in range(start, start + 8_000):
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0penstock-test-port-{port}")
        except OSError:
            name.close()
            continue
        _reserved.append(name)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def arm(revision: str, role: str, weight: int, endpoints: Sequence[str], grpc: Sequence[str] = ()) -> Json:
    """One arm as the table has it; weight in hundredths of a percent."""
    where = {"endpoints": list(endpoints), "grpcEndpoints": list(grpc)}
    return {"revision": revision, "role": role, "weight": weight, **where}


def model(name: str, port: int, epoch: int, arms: Sequence[Json], **more: Any) -> Json:
    """One model as the table has it."""
    return {"name": name, "port": port, "epoch": epoch, "release": f"{name}-release", "arms": list(arms), **more}


class Table:
    """The routing table in a file, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.models: dict[str, Json] = {}
        self._lock = threading.Lock()
        self.write()

    def put(self, *models: Json) -> None:
        """Add or replace some models."""
        with self._lock:
            self.models.update({entry["name"]: entry for entry in models})
            self.write()

    def remove(self, name: str) -> None:
        """Take a model out."""
        with self._lock:
            del self.models[name]
            self.write()

    def write(self, text: str | None = None) -> None:
        """Put the table, or any text, into the file."""
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps({"models": list(self.models.values())}) if text is None else text)
        draft.replace(self.path)


class Router:
    """One router pod: Envoy, the supervisor, and the agent under it."""

    def __init__(self, envoy: Path, table: Table, name: str = "router-0", **settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="penstock-router-"))
        self.table = table
        self.ready_port, self.agent_port, self.supervisor_port = free_port(), free_port(), free_port()
        self._binary = envoy
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("COV_", "PENSTOCK_"))},
            "PENSTOCK_ROUTER_FOLDER": str(self.folder),
            "PENSTOCK_ROUTER_NAME": name,
            "PENSTOCK_ROUTER_BIND": "127.0.0.1",
            "PENSTOCK_AGENT_BIND": "127.0.0.1",
            "PENSTOCK_READY_PORT": str(self.ready_port),
            "PENSTOCK_AGENT_PORT": str(self.agent_port),
            "PENSTOCK_SUPERVISOR_PORT": str(self.supervisor_port),
            "PENSTOCK_TABLE_FILE": str(table.path),
            **settings,
        }
        self._log = (self.folder / "log").open("w+b")
        self.supervisor = self.start_supervisor()
        bootstrap = self.folder / "envoy" / "bootstrap.json"
        until(bootstrap.exists, "the agent writes Envoy's bootstrap")
        self.envoy = self.start_envoy()

    def start_envoy(self) -> subprocess.Popen[bytes]:
        """Start Envoy on the agent's files, as its container does."""
        from penstock.router.envoy.bootstrap import arguments

        self.envoy = self._start([str(self._binary), *arguments(self.folder / "envoy", 1)])
        return self.envoy

    def start_supervisor(self, **settings: str) -> subprocess.Popen[bytes]:
        """Start the supervisor, and with it the agent, as their container does."""
        self._environment |= settings
        self.supervisor = self._start([sys.executable, "-m", "penstock.router", "supervise"])
        return self.supervisor

    def stop_supervisor(self) -> None:
        """End the supervisor and the agent."""
        self.supervisor.terminate()
        self.supervisor.wait(15)

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=self._environment, stdout=self._log, stderr=self._log)

    def log(self) -> str:
        """What Envoy, supervisor and agent wrote."""
        return (self.folder / "log").read_text(errors="replace")

    def get(self, path: str, port: int | None = None, timeout: float = 10.0) -> tuple[str, Mapping[str, str]]:
        """Ask the agent, or another port."""
        url = f"http://127.0.0.1:{port or self.agent_port}{path}"
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.read().decode(), {name.lower(): value for name, value in answer.headers.items()}

    def state(self) -> Json:
        """What the agent says is in force; empty while it does not answer."""
        try:
            return json.loads(self.get("/state")[0])
        except (OSError, urllib.error.URLError):
            return {}

    def is_ready(self) -> bool:
        """What the pod's readiness probe sees."""
        return self._answers("/ready", self.ready_port)

    def is_answering(self) -> bool:
        """Whether the agent answers at all."""
        return self._answers("/healthz", self.agent_port)

    def _answers(self, path: str, port: int) -> bool:
        try:
            self.get(path, port, timeout=1.0)
        except (OSError, urllib.error.URLError):
            return False
        return True

    def put(self, *models: Json) -> float:
        """Put models in the table and wait until Envoy confirms them; the seconds that took."""
        start = time.monotonic()
        self.table.put(*models)
        until(
            lambda: all(map(self.is_live, models)),
            lambda: f"{[entry['name'] for entry in models]} are live: {self.state()}\n{self.log()[-4_000:]}",
        )
        return time.monotonic() - start

    def is_live(self, wanted: Json) -> bool:
        """Whether this model's epoch and endpoints are confirmed."""
        told = self.state().get("models", {}).get(wanted["name"], {})
        endpoints = {entry["role"]: len(set(entry["endpoints"])) for entry in wanted["arms"]}
        return bool(told and told["live"] and told["epoch"] == wanted["epoch"] and told["endpoints"] == endpoints)

    def rows(self, name: str) -> list[Json]:
        """All ledger rows of a model."""
        text, headers = self.get(f"/ledger?model={name}")
        assert headers["x-penstock-gap"] == "false"
        return [json.loads(line) for line in text.splitlines()]

    def counts(self, name: str, arm: str, requests: int | None = None, **match: Any) -> Json:
        """Sums over an arm's rows, those that are zero left out; with `requests`, once all arms together have so many."""
        if requests is not None:
            until(
                lambda: sum(row["requests"] for row in self.rows(name)) >= requests,
                f"{requests} requests of {name} in the ledger: {self.rows(name)[-4:]}",
            )
        sums: Json = {}
        for row in self.rows(name):
            if row["arm"] == arm and all(row[key] == value for key, value in match.items()):
                for key, value in row.items():
                    if isinstance(value, int) and key not in ("version", "weight") and (value or key == "requests"):
                        sums[key] = sums.get(key, 0) + value
                for key, value in row.get("slow", {}).items():
                    sums[f"slow.{key}"] = sums.get(f"slow.{key}", 0) + value
        return sums

    def agent_pid(self) -> int | None:
        """The agent's process, if it runs now."""
        children = Path(f"/proc/{self.supervisor.pid}/task/{self.supervisor.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def stop_envoy(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End Envoy and wait for it."""
        self.envoy.send_signal(how)
        self.envoy.wait(15)

    def stop(self) -> None:
        """End everything that this router started."""
        for process in (self.envoy, self.supervisor):
            if process.poll() is None:
                process.terminate()
                process.wait(15)
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def leave(self) -> str:
        """What a kubelet does to a pod that is deleted: the drain hook, then SIGTERM to Envoy, then to the sidecar."""
        told, _ = self.get("/drain", self.supervisor_port, timeout=90.0)
        self.stop_envoy()
        self.stop_supervisor()
        return told
