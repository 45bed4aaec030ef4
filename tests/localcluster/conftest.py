"""`python -m localcluster` as its users run it, and a look at what it leaves on the machine."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from localcluster.places import State
from localcluster.processes import marked

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Commands:
    """Runs commands on one cluster, which may be in any state."""

    tier: str
    state: State

    def start(self, command, arguments=(), **environment):
        """The command as a process of its own; its output is not read."""
        place = ["--tier", self.tier, "--state", str(self.state.root)]
        return subprocess.Popen(
            [sys.executable, "-m", "localcluster", *command.split(), *place, *arguments],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, command, arguments=(), **environment):
        """(exit code, standard error) of the finished command."""
        with self.start(command, arguments, **environment) as process:
            _, errors = process.communicate(timeout=300)
        return process.returncode, errors

    def interrupt(self, command, number, when, arguments=(), **environment):
        """Sends a signal to the command as soon as `when()`; (exit code, standard error), negative when killed by it."""
        deadline = time.monotonic() + 120
        with self.start(command, arguments, **environment) as process:
            while process.poll() is None and not when():
                if time.monotonic() > deadline:
                    process.kill()
                    pytest.fail(f"{command} never came to the moment at which to interrupt it")
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
        return process.returncode, errors

    def kill(self, command, when, arguments=(), **environment):
        """SIGKILL to the command as soon as `when()`."""
        code, errors = self.interrupt(command, signal.SIGKILL, when, arguments, **environment)
        assert code == -signal.SIGKILL, f"{command} had ended with {code}: {errors}"

    def left(self):
        """What there is of the cluster: its processes and its folder."""
        return [f"process {pid}" for pid in marked(self.state.root)] + [str(self.state.root)] * self.state.root.exists()


@pytest.fixture
def commands(request, tmp_path):
    """Commands on a cluster of the tier that the test's `tier` parameter or module names; gone afterwards."""
    made = Commands(request.module.TIER, State(tmp_path / "state"))
    yield made
    made.run("down")
