"""What a node leaves on the machine once its processes are gone: a link, an nft table, a sysctl, control groups."""

import os
import time
from pathlib import Path

from localcluster import network, register
from localcluster.errors import StepError
from localcluster.locking import is_held
from localcluster.network import Network
from localcluster.places import State
from localcluster.processes import has_capabilities, marked

CGROUPS = Path("/sys/fs/cgroup")
EMPTY_WITHIN = 10.0


def hierarchies() -> list[Path]:
    """The root of every control group hierarchy: one on cgroup v2, one per controller on v1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]


def make_control_groups(name: str) -> None:
    """An empty group of this name in every hierarchy, for the kubelet to work below."""
    if (CGROUPS / "cgroup.controllers").exists():
        delegated = CGROUPS / "cgroup.subtree_control"
        already = delegated.read_text().split()
        for controller in (CGROUPS / "cgroup.controllers").read_text().split():
            if controller not in already:
                register.change(delegated, f"+{controller}", restore=f"-{controller}")
    for hierarchy in hierarchies():
        (hierarchy / name).mkdir(exist_ok=True)


def remove(state: State) -> None:
    """Removes the traces of the node in this state folder, whose processes are gone."""
    for number in register.claimed(state):
        place = Network(number)
        for hierarchy in hierarchies():
            _remove_group(hierarchy / place.name)
        network.remove(place)
        register.release(number)


def sweep() -> None:
    """Removes the traces of nodes whose processes were killed and whose folder no command works on."""
    if not has_capabilities():
        return  # only root has made any, and only root sees whether their processes live
    for state in register.owners():
        if not is_held(state.root) and not marked(state.root):
            remove(state)


def _remove_group(group: Path) -> None:
    if not group.is_dir():
        return
    deadline = time.monotonic() + EMPTY_WITHIN
    for folder, _, _ in os.walk(group, topdown=False):
        while True:
            try:
                os.rmdir(folder)
                break
            except FileNotFoundError:
                break
            except OSError as busy:  # the kernel takes a moment to let go of the last process
                if time.monotonic() > deadline:
                    raise StepError(f"the control group {folder} is not empty: {busy}") from busy
                time.sleep(0.02)
