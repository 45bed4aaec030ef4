"""One command up, one down, whatever happened in between: the node tier, which touches the machine."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from localcluster import cluster, description, network, register
from localcluster.node import KERNEL_SETTINGS
from localcluster.packages import path_of
from localcluster.processes import marked
from localcluster.traces import hierarchies
from tests.localcluster.waiting import until

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("node"), pytest.mark.timeout(900)]
TIER = "node"
DELEGATED = ("/sys/fs/cgroup/cgroup.subtree_control", "/sys/fs/cgroup/unified/cgroup.subtree_control")

# What `up` has just done when it is killed: from the first trace on the machine to a working node.
MOMENTS = ("pki/ca.key", "machine.json", "box.pid", "logs/containerd.log", "logs/kubelet.log", "kubeconfig")


def machine():
    """Everything on this machine that a node may touch."""
    links = {path.name for path in Path("/sys/class/net").iterdir()}
    tables = subprocess.run([path_of("nft"), "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    routes = subprocess.run([path_of("ip"), "route"], capture_output=True, text=True, check=True).stdout
    groups = {str(path) for hierarchy in hierarchies() for path in hierarchy.glob("penstock*")}
    delegated = [str(path) for path in map(Path, DELEGATED) if path.exists()]
    names = delegated + [f"/proc/sys/{name}" for name in KERNEL_SETTINGS] + [str(network.FORWARDING)]
    return {
        "links": links,
        "nft tables": tables,
        "routes": sorted(routes.splitlines()),
        "mounts": sorted(line.split(" ", 3)[3] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        "control groups": groups,
        "kernel settings": {name: Path(name).read_text() for name in names},
        "folders": {name: Path(name).exists() for name in ("/var/lib/kubelet", "/var/lib/cni", "/etc/cni/net.d")},
        "records": register.RECORDS.exists() and {path.name for path in register.RECORDS.iterdir()},
        "namespace files": sorted(Path("/var/run/netns").glob("*")),
    }


def ready(commands):
    standing = description.read(commands.state)
    return standing is not None and cluster.serves(standing, commands.state)


@pytest.mark.parametrize("moment", MOMENTS)
def test_down_clears_away_what_a_killed_up_left(commands, moment):
    before = machine()
    commands.kill("up", when=(commands.state.root / moment).exists)
    assert commands.run("down")[0] == 0
    assert commands.left() == []
    assert machine() == before


def test_up_after_a_killed_up_is_ready_and_down_leaves_the_machine_as_it_was(commands):
    before = machine()
    commands.kill("up", when=(commands.state.logs / "kubelet.log").exists)
    assert commands.run("up")[0] == 0
    assert ready(commands)
    standing = set(marked(commands.state.root))
    assert commands.run("up")[0] == 0
    # what a kubelet runs for a moment may have been among those before, and be among these
    until(lambda: set(marked(commands.state.root)) <= standing)
    assert ready(commands)
    assert commands.run("down")[0] == 0
    assert commands.left() == []
    assert machine() == before


def test_another_cluster_clears_away_the_traces_of_a_node_that_was_killed(commands):
    before = machine()
    assert commands.run("up")[0] == 0
    while alive := marked(commands.state.root):
        os.kill(alive[0], signal.SIGKILL)
        time.sleep(0.05)
    assert machine() != before
    other = type(commands)(TIER, type(commands.state)(commands.state.root.parent / "other"))
    assert other.run("down")[0] == 0
    assert machine() == before


def test_an_interrupted_up_clears_up_after_itself(commands):
    before = machine()
    code, _ = commands.interrupt("up", signal.SIGINT, when=commands.state.box_pid.exists)
    assert code == 130
    assert commands.left() == []
    assert machine() == before
