"""Callers: HTTP/1.1 over kept connections, no retries; what each saw is written down."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """One answer: its status (0 when there was none), who gave it, when it was sent and done, what broke."""

    status: int
    revision: str
    sent: float
    done: float
    error: str = ""

    @property
    def good(self) -> bool:
        """A whole answer with 200."""
        return self.status == 200 and not self.error


def failures(seen: Sequence[Seen]) -> list[Seen]:
    """Those that were not good."""
    return [answer for answer in seen if not answer.good]


def statuses(seen: Sequence[Seen]) -> Counter[int]:
    """How often each status came."""
    return Counter(answer.status for answer in seen)


def send(
    port: int,
    count: int,
    concurrency: int = 8,
    *,
    body: bytes = b"{}",
    path: str = "/v2/models/m/infer",
    headers: Mapping[str, str] | None = None,
    patience: float = 30.0,
) -> list[Seen]:
    """Send so many requests, so many at a time."""
    caller = _Caller(port, path, body, headers or {}, patience)

    async def run() -> list[Seen]:
        shares = [count // concurrency + (index < count % concurrency) for index in range(concurrency)]
        results = await asyncio.gather(*(caller.many(share) for share in shares))
        return [answer for result in results for answer in result]

    return asyncio.run(run())


class Load:
    """Callers at a steady rate in a thread, until stopped."""

    def __init__(self, port: int, rate: float, callers: int = 4) -> None:
        self.seen: list[Seen] = []
        self._stop = threading.Event()
        self._pause = callers / rate
        self._caller = _Caller(port, "/v2/models/m/infer", b"{}", {}, 30.0)
        self._callers = callers
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(60)

    def stop(self) -> None:
        """Send nothing more; what is in flight goes on."""
        self._stop.set()

    async def _run(self) -> None:
        await asyncio.gather(*(self._one(index) for index in range(self._callers)))

    async def _one(self, index: int) -> None:
        connection = _Connection(self._caller.port)
        due = time.monotonic() + self._pause * index / self._callers
        while not self._stop.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due + self._pause, time.monotonic())
            self.seen.append(await self._caller.once(connection))
        connection.close()


class _Connection:
    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
        return self._streams

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class _Caller:
    def __init__(self, port: int, path: str, body: bytes, headers: Mapping[str, str], patience: float) -> None:
        self.port = port
        self._patience = patience
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {path} HTTP/1.1\r\nhost: anything.example\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
        self._request = head.encode() + body

    async def many(self, count: int) -> list[Seen]:
        connection = _Connection(self.port)
        answers = [await self.once(connection) for _ in range(count)]
        connection.close()
        return answers

    async def once(self, connection: _Connection) -> Seen:
        sent = time.time()
        try:
            async with asyncio.timeout(self._patience):
                status, revision, keep, error = await self._exchange(connection)
        except (OSError, EOFError, ValueError, TimeoutError) as failure:
            status, revision, keep, error = 0, "", False, repr(failure)
        if not keep:
            connection.close()
        return Seen(status, revision, sent, time.time(), error)

    async def _exchange(self, connection: _Connection) -> tuple[int, str, bool, str]:
        reader, writer = await connection.streams()
        writer.write(self._request)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        error = ""
        try:
            if headers.get("transfer-encoding") == "chunked":
                while size := int((await reader.readuntil(b"\r\n")).strip() or b"0", 16):
                    await reader.readexactly(size + 2)
                await reader.readuntil(b"\r\n")
            else:
                await reader.readexactly(int(headers.get("content-length", "0")))
        except (OSError, EOFError) as failure:
            error = repr(failure)
        keep = not error and headers.get("connection", "").lower() != "close"
        return int(lines[0].split()[1]), headers.get("x-revision", ""), keep, error
