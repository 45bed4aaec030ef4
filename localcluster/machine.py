"""The supervisor that owns a cluster's processes: starting it, seeing whether it lives, ending it.

It is the `machine` program of the built binary. Killing it ends everything that it started: on the control-plane tier
by parent-death signals, on a node because the kernel ends a process namespace with its first process.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from localcluster.binaries import Binaries
from localcluster.errors import NotReadyError
from localcluster.places import State
from localcluster.processes import TAIL_LINES, Wrap, marked_environment

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What shows that a program works: an address that accepts connections (`tcp`, `unix`), or a URL (`https`)."""

    network: str
    address: str


@dataclass(frozen=True, slots=True)
class Program:
    """A program that is started when all of `after` is there, and again whenever it ends."""

    name: str
    arguments: Command
    after: tuple[Endpoint, ...] = ()
    env: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Box:
    """A node's namespaces: commands run on the host once they exist, and in them before any program."""

    hostname: str
    outside: tuple[Command, ...]
    inside: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """A started supervisor: a child of this process."""

    state: State
    pid: int

    def require_alive(self) -> None:
        """Raises NotReadyError, with the end of its log, when the supervisor has ended."""
        ended, status = os.waitpid(self.pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            log = self.state.logs / "machine.log"
            raise NotReadyError(f"the cluster's supervisor ended with exit code {code}:\n{tail(log)}")


def start(programs: Sequence[Program], *, box: Box | None, binaries: Binaries, state: State, wrap: Wrap) -> Machine:
    """Starts the supervisor with its programs, detached or tied to this process; returns at once."""
    state.logs.mkdir(parents=True, exist_ok=True)
    description = {
        "box": asdict(box) if box is not None else None,
        "logs": str(state.logs),
        "programs": [asdict(program) for program in programs],
    }
    state.machine.write_text(json.dumps(description, indent=1))
    log = state.logs / "machine.log"
    command = wrap([binaries.path("machine"), str(state.machine)])
    # Not subprocess: the supervisor may outlive this process, which then never learns its exit code.
    pid = os.posix_spawn(
        command[0],
        command,
        marked_environment(state.root),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    return Machine(state, pid)


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log file."""
    try:
        content = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return f"({log} was not written)"
    return "\n".join(content[-lines:])
