"""Child processes that cannot be forgotten.

Every process started here carries MARK=<state folder> in its environment, and so do its children. Whatever was killed
when, the processes of a cluster are those that carry its mark.
"""

import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from localcluster.errors import StepError

MARK = "PENSTOCK_LOCALCLUSTER"
TAIL_LINES = 25
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}


def marked_environment(state: Path) -> dict[str, str]:
    """This process's environment with the cluster's mark."""
    return dict(os.environ) | {MARK: str(state)}


def marked(state: Path) -> list[int]:
    """Process ids of every living process of the cluster; zombies do not count."""
    wanted = f"{MARK}={state}".encode()
    found = []
    for pid in _pids():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:  # it ended meanwhile, or is another user's
            continue
        if wanted in environment.split(b"\0") and pid != os.getpid():
            found.append(pid)
    return found


def kill_marked(state: Path, *, within: float = 30.0) -> int:
    """Kills every process of the cluster and returns how many there were, once all are gone.

    Raises StepError when one does not end in `within` seconds.
    """
    deadline = time.monotonic() + within
    seen: set[int] = set()
    while alive := marked(state):
        seen.update(alive)
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise StepError(f"processes {alive} of the cluster in {state} do not end; look at `ps -p {alive[0]} -l`")
        time.sleep(0.02)
    return len(seen)


Wrap = Callable[[Sequence[str]], list[str]]


def detached(command: Sequence[str]) -> list[str]:
    """The command as it is; it outlives this process."""
    return list(command)


def tied(command: Sequence[str]) -> list[str]:
    """The command, ended by the kernel when this process ends, however it ends."""
    return [_tool("setpriv"), "--pdeathsig", "KILL", *command]


def enclosed(command: Sequence[str]) -> list[str]:
    """The command, tied, and with processes and mounts of its own where this process may make namespaces.

    Then nothing below the command, and no mount of it, can stay behind.
    """
    if not has_capabilities():
        return tied(command)
    return tied([_tool("unshare"), "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *command])


def run(
    command: Sequence[str],
    *,
    state: Path,
    line: Callable[[str], None] = lambda _: None,
    idle: Callable[[], None] = lambda: None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    wrap: Wrap = enclosed,
) -> str:
    """Runs a command, enclosed or otherwise wrapped; each line of its output goes to `line` as it comes.

    `idle` is called several times a second. Returns the whole output.
    Raises StepError with the end of the output when the command fails.
    """
    process = subprocess.Popen(
        wrap(command),
        cwd=cwd,
        env=marked_environment(state) | dict(env or {}),
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    lines: list[str] = []
    try:
        if stdin is not None and process.stdin is not None:
            process.stdin.write(stdin)
            process.stdin.close()
        for text in _lines(process, idle):
            lines.append(text)
            line(text)
        code = process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if code != 0:
        tail = "\n".join(lines[-TAIL_LINES:])
        raise StepError(f"`{' '.join(command)}` failed with exit code {code}:\n{tail}")
    return "\n".join(lines)


def _lines(process: "subprocess.Popen[bytes]", idle: Callable[[], None]) -> Iterator[str]:
    assert process.stdout is not None
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(timeout=0.2):
                idle()
                continue
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                break
            *whole, pending = (pending + chunk).replace(b"\r", b"\n").split(b"\n")
            yield from (text.decode(errors="replace") for text in whole)
            idle()
    process.stdout.close()
    if pending:
        yield pending.decode(errors="replace")


def has_capabilities() -> bool:
    """Whether this process may make namespaces and network devices."""
    for text in Path("/proc/self/status").read_text().splitlines():
        if text.startswith("CapEff:"):
            held = int(text.split()[1], 16)
            return all(held >> bit & 1 for bit in CAPABILITIES.values())
    return False


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise StepError(f"{name} is missing: install the package util-linux")
    return found
