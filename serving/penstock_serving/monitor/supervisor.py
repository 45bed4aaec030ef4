"""The monitor's first process: it holds the socket and the counters' memory, and starts the counting process again.

A sidecar that exits would take its pod out of service, so this process ends only when it is told to. Datagrams wait in
the socket, and counters in the memory, while the counting process is away. Standard library only.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from penstock_serving.backoff import Backoff
from penstock_serving.monitor.restarts import RestartCounter


class Supervisor:
    """Runs a command with two inherited descriptors, again and again until stopped."""

    def __init__(self, command: list[str], intake: socket.socket, memory: int, backoff: Backoff) -> None:
        self._command = [*command, str(intake.fileno()), str(memory)]
        self._handles = (intake.fileno(), memory)
        self._restarts = RestartCounter(memory)
        self._backoff = backoff
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Keep the command running until `stop`."""
        pause = self._backoff.first
        while not self._stopping.is_set():
            began = time.monotonic()
            self._run_once()
            if self._stopping.is_set():
                return
            self._restarts.add()
            self._stopping.wait(pause)
            pause = self._backoff.next(pause, time.monotonic() - began)

    def _run_once(self) -> None:
        try:
            self._child = subprocess.Popen(self._command, pass_fds=self._handles)  # noqa: S603
        except OSError as error:
            say(f"the counting process cannot be started: {error}")
            return
        if self._stopping.is_set():
            self._child.terminate()
        code = self._child.wait()
        if not self._stopping.is_set():
            say(f"the counting process ended with {code}; it is started again")

    def stop(self) -> None:
        """End the command and do not start it again."""
        self._stopping.set()
        if self._child is not None:
            self._child.terminate()


def say(text: str) -> None:
    """One line on stderr."""
    os.write(2, f"monitor: {text}\n".encode())


def bind(path: Path, stopping: threading.Event) -> socket.socket | None:
    """The datagram socket at `path`, in place of a stale one; tries again each second until stopped."""
    while not stopping.is_set():
        intake = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            path.unlink(missing_ok=True)
            intake.bind(str(path))
            path.chmod(0o660)
        except OSError as error:
            intake.close()
            say(f"the socket {path} cannot be made: {error.strerror}; trying again")
            stopping.wait(1.0)
        else:
            return intake
    return None


def main(path: Path) -> int:
    """Supervise the counting process until SIGTERM or SIGINT."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    intake = bind(path, stopping)
    if intake is None:
        return 0
    memory = os.memfd_create("penstock-counters")
    command = [sys.executable, "-m", "penstock_serving.monitor.counting"]
    supervisor = Supervisor(command, intake, memory, Backoff())
    runner = threading.Thread(target=supervisor.run, name="supervise", daemon=True)
    runner.start()
    stopping.wait()
    supervisor.stop()
    runner.join()
    return 0
