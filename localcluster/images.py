"""Putting image archives into a running node."""

from pathlib import Path

from localcluster import description, elsewhere
from localcluster.components import CONTAINERD_SOCKET
from localcluster.errors import RefusalError
from localcluster.packages import path_of
from localcluster.places import State
from localcluster.processes import run, tied

KUBERNETES_NAMESPACE = "k8s.io"


def import_archive(archive: Path, *, state: State) -> None:
    """Makes the archive's images known to the kubelet of the node in this state folder.

    Raises RefusalError when no node of ours runs there, StepError when it refuses the archive.
    """
    standing = description.read(state)
    if standing is not None and standing.provider == "kind":
        return elsewhere.load_into_kind(archive, state)
    if standing is not None and standing.provider == "context":
        raise RefusalError(
            "the cluster of CONTEXT takes images only from a registry: push them to one that it can reach"
        )
    try:
        pid = state.box_pid.read_text().strip()
    except FileNotFoundError:
        raise RefusalError(f"no node runs in {state.root}: `python -m localcluster up` starts one") from None
    inside = (path_of("nsenter"), "--target", pid, "--mount", path_of("ctr"), "--address", CONTAINERD_SOCKET)
    run([*inside, "--namespace", KUBERNETES_NAMESPACE, "images", "import", str(archive)], state=state.root, wrap=tied)
    return None
