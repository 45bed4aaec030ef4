"""Small model servers whose behaviour a test sets while they run."""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

Headers = dict[str, str]
T = TypeVar("T")


@dataclass(frozen=True)
class Behaviour:
    """How a server answers: after `delay` seconds with this status and headers; `cut` leaves the body short, `reset`
    answers nothing, `garbage` answers no HTTP, `hang` never answers."""

    status: int = 200
    headers: Headers = field(default_factory=dict)
    delay: float = 0.0
    kind: str = "answer"


OK = Behaviour()
FAIL = Behaviour(500)
REFUSE = Behaviour(422, {"x-penstock-refused": "1"})
BAD_REQUEST = Behaviour(400)
BUSY = Behaviour(503, {"x-penstock-saturated": "1"})
HANG = Behaviour(kind="hang")
RESET = Behaviour(kind="reset")
CUT = Behaviour(kind="cut")
GARBAGE = Behaviour(kind="garbage")


def slow(seconds: float) -> Behaviour:
    """Right, but late."""
    return Behaviour(delay=seconds)


class ServerThread:
    """One event loop in a thread, for all servers of a test run."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="servers", daemon=True)
        self._thread.start()

    def call(self, work: Awaitable[T]) -> T:
        """Run something there and wait for it."""

        async def run() -> T:
            return await work

        future: Future[T] = asyncio.run_coroutine_threadsafe(run(), self.loop)
        return future.result(30)

    def close(self) -> None:
        """Stop the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class ModelServer:
    """One pod: answers with its revision in `x-revision`."""

    def __init__(self, thread: ServerThread, revision: str, behaviour: Behaviour = OK) -> None:
        self._thread = thread
        self.revision = revision
        self.behaviour = behaviour
        self.seen: Counter[str] = Counter()
        """Requests by the revision that they were assigned to."""
        self.in_flight = 0
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self._server = thread.call(self._start(0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def endpoint(self) -> str:
        """As the routing table names it."""
        return f"127.0.0.1:{self.port}"

    @property
    def total(self) -> int:
        """All requests that ever came."""
        return sum(self.seen.values())

    def die(self) -> None:
        """As a killed pod: no listener, every connection reset."""
        self._thread.call(self._die())

    def rise(self) -> None:
        """As a restarted one, on the same port."""
        self._server = self._thread.call(self._start(self.port))

    async def _start(self, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._connected, "127.0.0.1", port, limit=2**20)

    async def _die(self) -> None:
        self._server.close()
        for writer, task in list(self._connections.items()):
            writer.transport.abort()
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[writer] = task
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return
        finally:
            del self._connections[writer]
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        headers = _headers(await reader.readuntil(b"\r\n\r\n"))
        await reader.readexactly(int(headers.get("content-length", "0")))
        self.seen[headers.get("x-penstock-assigned", "")] += 1
        self.in_flight += 1
        try:
            return await self._behave(self.behaviour, writer)
        finally:
            self.in_flight -= 1

    async def _behave(self, behaviour: Behaviour, writer: asyncio.StreamWriter) -> bool:
        if behaviour.delay:
            await asyncio.sleep(behaviour.delay)
        match behaviour.kind:
            case "hang":
                await asyncio.Event().wait()
            case "reset":
                writer.transport.abort()
                return False
            case "garbage":
                writer.write(b"this is no HTTP\r\n\r\n")
            case _:
                body = b"answer"
                length = len(body) + (10 if behaviour.kind == "cut" else 0)
                told = {"x-revision": self.revision, "content-length": str(length), **behaviour.headers}
                lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
                writer.write(f"HTTP/1.1 {behaviour.status} Status\r\n{lines}\r\n".encode() + body)
        await writer.drain()
        if behaviour.kind == "cut":
            writer.transport.abort()
            return False
        return True


def _headers(head: bytes) -> Headers:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
