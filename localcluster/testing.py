"""Clusters for tests: made for the session, ended with it, and by the kernel if the test process is killed."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcluster import cluster
from localcluster.places import State, Tier, cache_root
from localcluster.processes import tied
from localcluster.progress import Progress


@dataclass(frozen=True, slots=True)
class RunningCluster:
    """A ready cluster: `kubeconfig` is the administrator's; `logs` holds one file per component."""

    state: Path
    server: str
    kubeconfig: Path
    audit_log: Path
    logs: Path
    commands: Path

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """The standard output of kubectl. Raises AssertionError with both outputs when it fails."""
        finished = self.run_kubectl(*arguments, stdin=stdin)
        assert finished.returncode == 0, f"kubectl {' '.join(arguments)}: {finished.stdout}{finished.stderr}"
        return finished.stdout

    def run_kubectl(self, *arguments: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        """A finished kubectl with its exit code and both outputs, for what is expected to be refused."""
        command = [str(self.commands / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=120)

    def audit_events(self) -> Iterator[dict[str, Any]]:
        """Every request answered so far, oldest first (audit.k8s.io/v1 Event, level Metadata)."""
        with self.audit_log.open() as lines:
            for text in lines:
                if text.endswith("\n"):
                    yield json.loads(text)


@contextmanager
def running(tier: Tier, folder: Path) -> Iterator[RunningCluster]:
    """A ready cluster of this tier with its state in the folder; gone afterwards."""
    state = State(folder.resolve())
    progress = Progress(cache_root() / "durations.json")
    ready = cluster.up(tier, state, progress=progress, wrap=tied)
    try:
        yield RunningCluster(
            state=state.root,
            server=ready.server,
            kubeconfig=Path(ready.kubeconfig),
            audit_log=Path(ready.audit_log),
            logs=Path(ready.logs),
            commands=Path(ready.commands),
        )
    finally:
        cluster.down(state, progress=progress)
