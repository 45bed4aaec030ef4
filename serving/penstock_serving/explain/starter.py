"""The starter of explaining processes: a program of the standard library alone, which knows no other program to start.

A server that unpickles has put itself under a filter under which it can start nothing; this process was started before.
It has a line, a socket, to each of the server's workers, and answers one byte at a time: a priority, which comes with the
descriptor that the explaining process is to be given, by its process id, or minus the error's number; END by the exit
code of the process, which is killed first if it runs. A line has one process at most. It goes when its line is closed,
and this process when all lines are.

Run as `python -I -S starter.py DESCRIPTOR...`.
"""

import contextlib
import os
import select
import signal
import socket
import struct
import sys

PRIORITIES = {b"i": "idle", b"s": "shared"}
END = b"e"
REPLY = struct.Struct("<i")
_IGNORED = (signal.SIGINT, signal.SIGTERM)
_NO_INPUT = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)


class Line:
    """A worker's line, and the process that was started for it (0: none)."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._process = 0

    def answer(self) -> bool:
        """Answer what was asked; whether the line is open still."""
        with contextlib.suppress(ConnectionError):
            asked, descriptors, _, _ = socket.recv_fds(self._connection, 1, 1)
            if asked in PRIORITIES and descriptors:
                self._end()  # of a worker whose place another has taken
                reply = _start(descriptors[0], PRIORITIES[asked])
                self._process = max(reply, 0)
                self._connection.sendall(REPLY.pack(reply))
                return True
            if asked == END:
                self._connection.sendall(REPLY.pack(self._end()))
                return True
        self._end()
        return False

    def _end(self) -> int:
        process, self._process = self._process, 0
        if not process:
            return 0
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _start(descriptor: int, priority: str) -> int:
    os.set_inheritable(descriptor, True)  # noqa: FBT003  (its own signature)
    command = [sys.executable, "-m", "penstock_serving.explain.process", str(descriptor), priority]
    try:
        return os.posix_spawn(sys.executable, command, os.environ, file_actions=(_NO_INPUT,), setsigdef=_IGNORED)
    except OSError as error:
        return -(error.errno or 1)
    finally:
        os.close(descriptor)


def serve(descriptors: list[int]) -> None:
    """Answer until all lines are closed."""
    lines = {descriptor: Line(socket.socket(fileno=descriptor)) for descriptor in descriptors}
    waiting = select.poll()
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)  # noqa: FBT003  (its own signature)
        waiting.register(descriptor, select.POLLIN)
    while lines:
        for descriptor, _ in waiting.poll():
            if not lines[descriptor].answer():
                waiting.unregister(descriptor)
                del lines[descriptor]


if __name__ == "__main__":
    for _signal in _IGNORED:
        signal.signal(_signal, signal.SIG_IGN)
    serve([int(word) for word in sys.argv[1:]])
