"""Putting image archives into a running node; one that is there already is not put there again."""

import json
import tarfile
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
    images = (*inside, "--namespace", KUBERNETES_NAMESPACE, "images")
    record = state.root / "loaded.json"
    loaded: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
    held = _held(archive)
    there = run([*images, "list", "--quiet"], state=state.root, wrap=tied).split()
    if all(loaded.get(name) == content and name in there for name, content in held.items()):
        return None
    run([*images, "import", str(archive)], state=state.root, wrap=tied)
    record.write_text(json.dumps(loaded | held))
    return None


def _held(archive: Path) -> dict[str, str]:
    """The full names of the images in an archive, each with the name of its configuration, which tells its content.

    Raises RefusalError for a file that is no such archive.
    """
    try:
        with tarfile.open(archive) as content:
            manifest = content.extractfile("manifest.json")
            assert manifest is not None
            return {name: str(image["Config"]) for image in json.load(manifest) for name in image["RepoTags"] or ()}
    except (OSError, tarfile.TarError, ValueError, KeyError) as error:
        raise RefusalError(f"{archive} is no image archive (the format of `docker save`): {error}") from error
