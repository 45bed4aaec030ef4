"""Refuses what this machine cannot run, before anything is built, installed or started."""

import os
import shutil
import sys
from pathlib import Path

from localcluster.errors import RefusalError
from localcluster.places import State, Tier, cache_root
from localcluster.processes import CAPABILITIES, MARK, has_capabilities

MEMORY = {"control-plane": 1 * 2**30, "node": 3 * 2**30}
NODE_DISK = 5 * 2**30
# Hidden inside a node, which has its own.
HIDDEN = (Path("/run"), Path("/var/lib"), Path("/var/log"), Path("/proc"))


def refuse_unless_possible(tier: Tier, state: State) -> None:
    """Raises RefusalError naming the first thing that is missing."""
    if sys.platform != "linux":
        raise RefusalError(
            f"a local cluster needs Linux; this is {sys.platform}. Name a cluster with CONTEXT=… instead"
        )
    available = available_memory()
    if available < MEMORY[tier]:
        raise RefusalError(
            f"the {tier} tier needs {MEMORY[tier] >> 30} GiB of free memory; this machine has {available / 2**30:.1f}: "
            "end other programs, or name a cluster with CONTEXT=…"
        )
    if tier == "node":
        _refuse_node(state)


def available_memory() -> int:
    """Bytes that programs can still take (MemAvailable, or the rest of the control group if that is less)."""
    meminfo = dict(text.split(":", 1) for text in Path("/proc/meminfo").read_text().splitlines())
    return int(meminfo["MemAvailable"].split()[0]) * 1024


def _refuse_node(state: State) -> None:
    if not has_capabilities():
        remedy = "run it as root, or name a cluster with CONTEXT=…"
        if shutil.which("docker"):
            remedy = "run it as root, install kind (Docker is here), or name a cluster with CONTEXT=…"
        raise RefusalError(f"a node needs root with {' and '.join(CAPABILITIES)}: {remedy}")
    other = foreign_kubelet()
    if other is not None:
        raise RefusalError(
            f"another kubelet runs on this machine (process {other}): this is a Kubernetes node already; "
            "use its cluster with CONTEXT=…, or another machine"
        )
    for folder in (state.root, cache_root()):
        hidden = next((own for own in HIDDEN if folder.is_relative_to(own)), None)
        if hidden is not None:
            raise RefusalError(f"{folder} cannot be seen inside a node, which has its own {hidden}: choose another")
    free = shutil.disk_usage(state.root).free
    if free < NODE_DISK:
        raise RefusalError(f"a node needs {NODE_DISK >> 30} GiB of disk in {state.root}, which has {free / 2**30:.1f}")


def foreign_kubelet() -> int | None:
    """The process id of a kubelet that no local cluster started; None if there is none."""
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        try:
            program = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")[0]
            environment = Path(f"/proc/{entry}/environ").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if program.rpartition(b"/")[2] == b"kubelet" and f"{MARK}=".encode() not in environment:
            return int(entry)
    return None
