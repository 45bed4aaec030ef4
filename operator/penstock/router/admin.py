"""Envoy's admin interface over its Unix socket: one connection, which also tells when Envoy was restarted."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from penstock.router.errors import EnvoyUnavailableError

_NOTE = "penstock.boot"
"""Runtime key under which an Envoy process keeps the id it was given; it dies with the process, as its counts do."""
_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an admin request."""

    status: int
    body: str


class Admin:
    """Talks to one Envoy. Requests are made one after the other; each raises EnvoyUnavailableError when there is none."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()
        self._boot: str | None = None

    async def get(self, path: str) -> str:
        """The body of a GET that must succeed."""
        return self._must(path, await self._request("GET", path))

    async def post(self, path: str) -> str:
        """The body of a POST that must succeed."""
        return self._must(path, await self._request("POST", path))

    async def boot(self, fresh: str) -> str:
        """The id of this Envoy process: the one it was given before, else `fresh`, which it then keeps."""
        if self._boot is None:
            entries = json.loads(await self.get("/runtime"))["entries"]
            known = entries.get(_NOTE, {}).get("final_value", "")
            if not known:
                await self.post(f"/runtime_modify?{_NOTE}={quote(fresh)}")
            self._boot = known or fresh
        return self._boot

    async def counters(self, pattern: str, fresh: str) -> tuple[str, str]:
        """The boot id, and that process's counters whose names match, one `name: value` a line, if ever used."""
        boot = await self.boot(fresh)
        text = await self.get(f"/stats?usedonly&filter={quote(pattern)}")
        if self._boot != boot:
            raise EnvoyUnavailableError("Envoy was restarted while its counters were read")
        return boot, text

    async def close(self) -> None:
        """Give the connection back."""
        async with self._turn:
            await self._drop()

    def _must(self, path: str, answer: Answer) -> str:
        if answer.status != 200:
            raise EnvoyUnavailableError(f"Envoy answered {answer.status} to {path}: {answer.body.strip()[:200]}")
        return answer.body

    async def _request(self, method: str, path: str) -> Answer:
        async with self._turn:
            try:
                async with asyncio.timeout(_TIMEOUT):
                    return await self._exchange(method, path)
            except (OSError, EOFError, ValueError, TimeoutError, asyncio.LimitOverrunError) as error:
                await self._drop()
                raise EnvoyUnavailableError(f"Envoy's admin socket does not answer {method} {path}: {error}") from error
            except asyncio.CancelledError:
                await self._drop()
                raise

    async def _exchange(self, method: str, path: str) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(str(self._socket), limit=2**20)
        reader, writer = self._streams
        writer.write(f"{method} {path} HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        if headers.get("transfer-encoding") == "chunked":
            body = await _read_chunks(reader)
        else:
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            await self._drop()
        return Answer(int(head[0].split()[1]), body.decode("utf-8", "replace"))

    async def _drop(self) -> None:
        """The connection is over; whoever answers the next one may be another process."""
        self._boot = None
        if self._streams is not None:
            writer, self._streams = self._streams[1], None
            writer.close()


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    chunks = []
    while size := int((await reader.readuntil(b"\r\n")).strip() or b"0", 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(chunks)
