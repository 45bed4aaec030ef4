"""Putting image archives into a running node's containerd."""

from pathlib import Path

from localcluster.components import CONTAINERD_SOCKET
from localcluster.errors import RefusalError
from localcluster.packages import path_of
from localcluster.places import State
from localcluster.processes import run, tied

KUBERNETES_NAMESPACE = "k8s.io"


def import_archive(archive: Path, *, state: State) -> None:
    """Makes the archive's images known to the kubelet of the node in this state folder.

    Raises RefusalError when no node runs there, StepError when containerd refuses the archive.
    """
    try:
        pid = state.box_pid.read_text().strip()
    except FileNotFoundError:
        raise RefusalError(f"no node runs in {state.root}: `python -m localcluster up` starts one") from None
    inside = (path_of("nsenter"), "--target", pid, "--mount", path_of("ctr"), "--address", CONTAINERD_SOCKET)
    run([*inside, "--namespace", KUBERNETES_NAMESPACE, "images", "import", str(archive)], state=state.root, wrap=tied)
