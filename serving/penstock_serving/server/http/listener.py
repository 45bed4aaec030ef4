"""The listening socket and all its connections."""

import asyncio
import fcntl
import os
import resource
import socket
import time
from collections.abc import Sequence
from email.utils import formatdate
from pathlib import Path
from typing import NamedTuple

from penstock_serving.server.http.connection import Connection
from penstock_serving.server.http.exchange import Handler
from penstock_serving.server.http.limits import BodyBudget, HttpLimits
from penstock_serving.server.lane.front import Front, Rules

_BACKLOG = 1024
_LOOK_SECONDS = 0.5
_SPARE_FILES = 100


class Opened(NamedTuple):
    """A front, and how it is to answer: rules, upper ends of the buckets that it counts times in, the monitor's socket."""

    front: Front
    rules: Rules
    bounds: Sequence[float]
    monitor: Path


class Listener:
    """Accepts connections for a handler, within limits; ends those that take too long. One event loop's."""

    def __init__(self, handler: Handler, limits: HttpLimits) -> None:
        self.handler = handler
        self.limits = limits
        self.budget = BodyBudget(limits)
        self.tail = self.closing_tail = b""
        self.draining = False
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._most = limits.connections
        self._front: Front | None = None
        self._port = 0
        self._adopting: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port listened on; only while listening."""
        return self._port

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._connections)

    async def listen(self, address: str, port: int, processes: int = 1, opened: Opened | None = None) -> None:
        """Start accepting, on a port that so many processes share; raises `OSError` when the port cannot be had.

        A front that is `opened` accepts in our place, and hands over connections that bring what is not for it.
        """
        self._most = most_connections(self.limits)
        self._tick()
        loop, shared = asyncio.get_running_loop(), processes > 1
        if opened is None:
            self._server = await loop.create_server(
                lambda: Connection(self), address, port, backlog=_BACKLOG, reuse_port=shared
            )
            self._port = self._server.sockets[0].getsockname()[1]
            return
        # half of the files are the front's
        self._most //= 2
        sockets: list[socket.socket] = []
        try:
            found = await loop.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, _, _, _, place in found:
                sockets.append(socket.create_server(place, family=family, backlog=_BACKLOG, reuse_port=shared))
            self._port = sockets[0].getsockname()[1]
        except OSError:
            for one in sockets:
                one.close()
            raise
        self._front = opened.front
        opened.front.start(sockets, opened.rules, opened.bounds, opened.monitor, self._adopt)

    def _adopt(self, handed: socket.socket, content: bytes, spent: float) -> None:
        """Take in a connection that the front hands over."""
        handed.settimeout(0)
        task = asyncio.get_running_loop().create_task(self._serve(handed, content, spent))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    async def _serve(self, handed: socket.socket, content: bytes, spent: float) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: Connection(self, content, spent), handed)
        except OSError:
            handed.close()

    def _give_back(self, connection: Connection, front: Front) -> None:
        """Let the front answer what comes next, where nothing is under way."""
        try:
            descriptor = connection.leave()
        except OSError:
            # no descriptor is left to spare: the connection stays
            return
        if descriptor is not None:
            front.take_back(descriptor)

    def drain(self) -> None:
        """Let every answer be the last of its connection."""
        self.draining = True
        if self._front is not None:
            self._front.drain()

    def accept(self, connection: Connection) -> bool:
        """Take in a connection, unless there are too many."""
        if len(self._connections) >= self._most:
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """A connection is closed."""
        self._connections.discard(connection)

    async def close(self, patience_seconds: float) -> None:
        """Accept no more, let every connection end after its last answer; end what is left after `patience_seconds`."""
        self.draining = True
        if self._front is not None:
            self._front.close()
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.part()
        deadline = time.monotonic() + patience_seconds
        while self._connections and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for connection in tuple(self._connections):
            connection.abort()
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        date = formatdate(usegmt=True).encode()
        self.tail = b"date: %b\r\ncontent-length: " % date
        self.closing_tail = b"date: %b\r\nconnection: close\r\ncontent-length: " % date
        now = time.monotonic()
        for connection in tuple(self._connections):
            connection.look(now)
            if self._front is not None and not self.draining:
                self._give_back(connection, self._front)
        self._timer = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._tick)


def make_room(limits: HttpLimits) -> None:
    """Raise the limit of open files, so of connections, as far as this process may, and have the kernel make room for them.

    To be called before the process has another thread. With several, Linux enlarges the table of a process's open files
    only when every processor has gone through a switch (RCU, `expand_files`): some 20 ms, at 64 connections, at 128, 256
    and so on, for which `accept` waits and nobody is answered.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    room = min(limits.connections + _SPARE_FILES, _file_limit())
    file = os.open(os.devnull, os.O_RDONLY)
    os.close(fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, room - 1))
    os.close(file)


def most_connections(limits: HttpLimits) -> int:
    """How many connections may be open, by the limits and by the files that this process may open."""
    return min(limits.connections, _file_limit() - _SPARE_FILES)


def _file_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 20
