"""One command up, one down, whatever happened in between: the control-plane tier."""

import json
import os
import signal

import pytest

from localcluster import cluster, description
from localcluster.places import State
from localcluster.processes import marked
from tests.localcluster.waiting import until

pytestmark = [pytest.mark.controlplane, pytest.mark.xdist_group("controlplane")]
TIER = "control-plane"

# What `up` has just done when it is killed: from the first file to the last.
MOMENTS = ("pki/ca.key", "machine.json", "logs/etcd.log", "audit/audit.log", "kubeconfig")


def ready(commands):
    standing = description.read(commands.state)
    return standing is not None and cluster.serves(standing, commands.state)


def process_of(commands, program):
    for pid in marked(commands.state.root):
        with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
            if cmdline.read().split(b"\0")[0].endswith(f"/{program}".encode()):
                return pid
    return None


def test_up_is_idempotent_and_down_leaves_nothing(commands):
    assert commands.run("up")[0] == 0
    first = sorted(marked(commands.state.root))
    code, said = commands.run("up")
    assert (code, sorted(marked(commands.state.root))) == (0, first)
    assert "is up already" in said
    assert commands.run("down")[0] == 0
    assert commands.left() == []
    assert commands.run("down")[0] == 0


def test_two_clusters_stand_side_by_side(commands, tmp_path):
    other = type(commands)(TIER, State(tmp_path / "other"))
    try:
        assert commands.run("up")[0] == 0
        assert other.run("up")[0] == 0
        assert ready(commands)
        assert ready(other)
        servers = {json.loads(each.state.description.read_text())["server"] for each in (commands, other)}
        assert len(servers) == 2
        assert commands.run("down")[0] == 0
        assert ready(other)
    finally:
        other.run("down")
    assert other.left() == []


@pytest.mark.parametrize("moment", MOMENTS)
def test_down_clears_away_what_a_killed_up_left(commands, moment):
    commands.kill("up", when=(commands.state.root / moment).exists)
    assert commands.run("down")[0] == 0
    assert commands.left() == []


def test_up_after_a_killed_up_is_ready(commands):
    commands.kill("up", when=commands.state.audit_log.exists)
    assert commands.run("up")[0] == 0
    assert ready(commands)


def test_down_after_a_killed_down_leaves_nothing(commands):
    assert commands.run("up")[0] == 0
    commands.kill("down", when=lambda: not marked(commands.state.root))
    assert commands.run("down")[0] == 0
    assert commands.left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_up_clears_up_after_itself(commands, number):
    code, said = commands.interrupt("up", number, when=commands.state.audit_log.exists)
    assert code == 130
    assert "what was started is gone again" in said
    assert commands.left() == []


def test_a_component_that_dies_is_started_again(commands):
    assert commands.run("up")[0] == 0
    victim = process_of(commands, "kube-apiserver")
    os.kill(victim, signal.SIGKILL)
    until(lambda: process_of(commands, "kube-apiserver") not in (victim, None) and ready(commands))


def test_nothing_outlives_a_killed_supervisor_and_up_starts_anew(commands):
    assert commands.run("up")[0] == 0
    os.kill(process_of(commands, "machine"), signal.SIGKILL)
    until(lambda: not marked(commands.state.root), within=10)
    assert commands.run("up")[0] == 0
    assert ready(commands)


def test_commands_on_one_cluster_take_turns(commands):
    with commands.start("up") as up:
        until(commands.state.machine.exists)
        code, said = commands.run("down")
        up.communicate(timeout=60)
    assert (up.returncode, code) == (0, 0)
    assert f"waiting for another command (process {up.pid})" in said
    assert commands.left() == []
