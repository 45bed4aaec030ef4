"""What a Service does: each new connection goes to one of the ready pods, and stays there."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable

from router_bench.servers import ServerThread


class Balancer:
    """Forwards a port to whichever backends are ready when a connection opens, in turn."""

    def __init__(self, thread: ServerThread) -> None:
        self._thread = thread
        self._turn = itertools.count()
        self._backends: dict[int, Callable[[], bool]] = {}
        self._ready: tuple[int, ...] = ()
        self._stop = threading.Event()
        self._server = thread.call(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._prober = threading.Thread(target=self._probe, name="readiness")
        self._prober.start()

    @property
    def ready(self) -> tuple[int, ...]:
        """The ports of the ready backends."""
        return self._ready

    def add(self, port: int, is_ready: Callable[[], bool]) -> None:
        """Another pod behind the Service."""
        self._backends[port] = is_ready

    def remove(self, port: int) -> None:
        """A pod is deleted: its endpoint goes at once, whatever its probe says."""
        del self._backends[port]

    def close(self) -> None:
        """End it."""
        self._stop.set()
        self._prober.join(10)
        self._thread.loop.call_soon_threadsafe(self._server.close)

    def _probe(self) -> None:
        while not self._stop.wait(0.1):
            self._ready = tuple(port for port, is_ready in list(self._backends.items()) if is_ready())

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = self._ready
        if not ready:
            writer.close()
            return
        try:
            port = ready[next(self._turn) % len(ready)]
            there, to_there = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, to_there), _pump(there, writer))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.CancelledError):
        while data := await source.read(2**16):
            sink.write(data)
            await sink.drain()
    with contextlib.suppress(OSError):
        sink.close()
