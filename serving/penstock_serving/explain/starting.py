"""The server's side of the starter: how explaining processes are started and ended, by a server that may be confined."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys

from penstock_serving import contract
from penstock_serving.explain import starter
from penstock_serving.explain.limits import Priority

_ENVIRONMENT = (
    "PATH",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    contract.ENV_SKOPS_TRUSTED,
    contract.ENV_SCIKIT_LEARN_MISMATCH,
)
_ASKED = {Priority(name): byte for byte, name in starter.PRIORITIES.items()}
_CLOSE_SECONDS = 1.0


class Starter:
    """A process that starts explaining processes, one at a time for each of so many workers, by their `line`.

    `prepare` starts it. At the latest the first explanation does; a server that is about to confine itself must do so
    before, and a process that workers are forked from may.
    """

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: dict[int, socket.socket] = {}

    def prepare(self) -> None:
        """Start the process, if it was not; raises `OSError` where none can be started."""
        if self._lines:
            return
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            pairs = [socket.socketpair() for _ in range(self._workers)]
            for mine, other in pairs:
                mine.settimeout(0)
                ours.enter_context(mine)
                theirs.enter_context(other)
            descriptors = [other.fileno() for _, other in pairs]
            self._process = subprocess.Popen(  # noqa: S603  (our own program)
                [sys.executable, "-I", "-S", starter.__file__, *map(str, descriptors)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                pass_fds=descriptors,
            )
            ours.pop_all()
            self._lines = {worker: mine for worker, (mine, _) in enumerate(pairs)}

    def line(self, worker: int = 0) -> "Line":
        """The line of a worker, to be asked for in the worker's own process: the others' are closed there."""
        for other in self._lines.keys() - {worker}:
            self._lines.pop(other).close()
        return Line(self, worker)

    def connection(self, worker: int) -> socket.socket:
        """A worker's end of its line; raises `OSError` as `prepare`."""
        self.prepare()
        return self._lines[worker]

    def close(self) -> None:
        """Close the lines, of this process at least; where no other holds them that ends the starter and all it
        started."""
        for mine in self._lines.values():
            mine.close()
        self._lines = {}
        if self._process is not None:
            # It ends by itself; what takes longer, nobody need wait for.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_CLOSE_SECONDS)
            self._process = None


class Line:
    """How a worker has its explaining process started and ended. To be used from one event loop."""

    def __init__(self, to: Starter, worker: int) -> None:
        self._starter, self._worker = to, worker

    async def start(self, descriptor: int, priority: Priority) -> int:
        """Start a process that answers on a socket, in place of the one before it; its process id. Raises `OSError`."""
        socket.send_fds(self._starter.connection(self._worker), [_ASKED[priority]], [descriptor])
        reply = await self._reply()
        if reply < 0:
            raise OSError(-reply, os.strerror(-reply))
        return reply

    async def end(self) -> int:
        """End the process that was started, if it runs still; its exit code, a signal's number below zero. Raises
        `OSError`."""
        connection = self._starter.connection(self._worker)
        await asyncio.get_running_loop().sock_sendall(connection, starter.END)
        return await self._reply()

    async def _reply(self) -> int:
        connection = self._starter.connection(self._worker)
        said = await asyncio.get_running_loop().sock_recv(connection, starter.REPLY.size)
        if len(said) != starter.REPLY.size:
            self._starter.close()
            raise ConnectionError("the starter of explaining processes is gone")
        (reply,) = starter.REPLY.unpack(said)
        return int(reply)
