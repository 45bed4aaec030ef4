"""Clusters that are not made of this package's own programs: kind (Docker without root), and one that the user names.

CONTEXT=name means the cluster of that kubectl context. It is used and never changed: `down` forgets it.
"""

import json
import os
import re
import shutil
from pathlib import Path

from localcluster.description import Description, Provider
from localcluster.errors import RefusalError, StepError
from localcluster.places import State
from localcluster.processes import has_capabilities, run, tied
from localcluster.progress import Part, Progress

KIND_CLUSTER = "penstock"
OLDEST = (1, 33)  # native sidecars are stable from here on


def wanted_context() -> str | None:
    """The kubectl context that the user names with CONTEXT; None when there is none."""
    return os.environ.get("CONTEXT") or None


def kind_is_the_way() -> bool:
    """Whether a node must be kind's: no rights to make one, but Docker and kind are here."""
    return not has_capabilities() and shutil.which("docker") is not None and shutil.which("kind") is not None


def use_context(context: str, state: State, progress: Progress) -> Description:
    """Writes a kubeconfig of that context alone, and checks the cluster's version."""
    kubectl = _kubectl()
    with progress.step(Part(f"look at the cluster of context {context}", 2)) as step:
        view = ("config", "view", "--minify", "--flatten", "--context", context)
        content = run([kubectl, *view], state=state.root, wrap=tied, idle=step.tick)
        state.kubeconfig.touch(mode=0o600)
        state.kubeconfig.write_text(content)
        return _described(kubectl, state, provider="context")


def start_kind(state: State, progress: Progress) -> Description:
    """Makes kind's cluster."""
    kubectl = _kubectl()
    _mark(state).touch()
    with progress.step(Part("make a kind cluster", 90)) as step:
        command = ["kind", "create", "cluster", "--name", KIND_CLUSTER, "--kubeconfig", str(state.kubeconfig)]
        run([*command, "--wait", "120s"], state=state.root, wrap=tied, line=step.tick, idle=step.tick)
        return _described(kubectl, state, provider="kind")


def stop_kind(state: State) -> None:
    """Removes kind's cluster if this state folder has begun to make one."""
    if not _mark(state).exists():
        return
    run(["kind", "delete", "cluster", "--name", KIND_CLUSTER], state=state.root, wrap=tied)


def load_into_kind(archive: Path, state: State) -> None:
    """Makes an archive's images known to kind's node."""
    run(["kind", "load", "image-archive", str(archive), "--name", KIND_CLUSTER], state=state.root, wrap=tied)


def serves(standing: Description, state: State) -> bool:
    """Whether the described cluster's API server is ready."""
    kubectl = [str(Path(standing.commands) / "kubectl"), f"--kubeconfig={standing.kubeconfig}"]
    try:
        return run([*kubectl, "get", "--raw", "/readyz"], state=state.root, wrap=tied) == "ok"
    except StepError:
        return False


def _mark(state: State) -> Path:
    return state.root / "kind"


def _described(kubectl: str, state: State, *, provider: Provider) -> Description:
    run_kubectl = [kubectl, f"--kubeconfig={state.kubeconfig}"]
    server = run([*run_kubectl, "config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"], state=state.root)
    version = run([*run_kubectl, "get", "--raw", "/version"], state=state.root)
    kubernetes = _require_version(version)
    return Description(
        tier="node",
        provider=provider,
        kubernetes=kubernetes,
        server=server.strip(),
        kubeconfig=str(state.kubeconfig),
        audit_log="",
        logs="",
        commands=str(Path(kubectl).parent),
    )


def _require_version(answer: str) -> str:
    found = str(json.loads(answer)["gitVersion"])
    match = re.match(r"v(\d+)\.(\d+)", found)
    if match is None or (int(match[1]), int(match[2])) < OLDEST:
        raise RefusalError(f"the cluster runs Kubernetes {found}; Penstock needs {OLDEST[0]}.{OLDEST[1]} or newer")
    return found


def _kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:
        raise RefusalError("kubectl is missing: install it, so that this cluster can be used")
    return found
