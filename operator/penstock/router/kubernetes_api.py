"""The little of the Kubernetes API that a router's agent needs: read a collection, then follow its changes.

Standard library only: the client that the operator uses would triple this process's memory, in every router pod.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from penstock.router.errors import BadInputError, RouterError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 20.0
WATCH_SECONDS = 30
"""A watch is renewed so often: a connection that died without a word may delay a rollback by no more."""
_LONGEST_LINE = 8 * 2**20

Json = Mapping[str, Any]


class ApiUnavailableError(RouterError):
    """The API server cannot be asked, or will not answer. Wait: what was last read stays in force."""


class ResourceVersionGoneError(RouterError):
    """The server no longer knows what came after the version that was read: read everything again."""


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch."""

    kind: str
    item: Json


@dataclass(frozen=True, slots=True)
class Collection:
    """A part of the API: objects of one kind in one namespace, chosen by selectors."""

    path: str
    selectors: tuple[tuple[str, str], ...] = ()


class KubernetesApi:
    """Speaks to one API server with the pod's service account, whose token is read anew for each request."""

    def __init__(self, host: str, port: int, account: Path) -> None:
        self._host = host
        self._port = port
        self._account = account
        try:
            self._trust = ssl.create_default_context(cafile=str(account / "ca.crt"))
        except (OSError, ssl.SSLError) as error:
            raise BadInputError(str(account / "ca.crt"), f"is no certificate to trust: {error}") from error

    async def read(self, collection: Collection) -> tuple[list[Json], str]:
        """All objects and the version they are of. Raises ApiUnavailableError."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS), _Exchange(self, collection, {}) as answer:
                listed = json.loads(b"".join([chunk async for chunk in answer.chunks()]))
                return list(listed["items"] or []), str(listed["metadata"]["resourceVersion"])
        except TimeoutError as error:
            raise ApiUnavailableError(f"the API server is too slow with {collection.path}") from error

    async def follow(self, collection: Collection, version: str) -> AsyncIterator[Change]:
        """Every change after a version, until the server ends the watch.

        Raises ApiUnavailableError, and ResourceVersionGoneError when that version is too old.
        """
        query = {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        try:
            async with asyncio.timeout(WATCH_SECONDS + _ANSWER_SECONDS), _Exchange(self, collection, query) as answer:
                rest = b""
                async for chunk in answer.chunks():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            _raise(int(event["object"].get("code", 500)), str(event["object"].get("message")))
                        yield Change(str(event["type"]), event["object"])
        except TimeoutError as error:
            raise ApiUnavailableError(f"the API server ends no watch of {collection.path}") from error

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the server."""
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await asyncio.open_connection(self._host, self._port, ssl=self._trust, limit=_LONGEST_LINE)

    def head(self, collection: Collection, query: Mapping[str, str]) -> bytes:
        """The request for a collection."""
        token = (self._account / "token").read_text(encoding="utf-8").strip()
        target = f"{collection.path}?{urlencode([*collection.selectors, *query.items()])}"
        host = f"[{self._host}]" if ":" in self._host else self._host
        lines = (
            f"GET {target} HTTP/1.1",
            f"host: {host}:{self._port}",
            "accept: application/json",
            "user-agent: penstock-router",
            f"authorization: Bearer {token}",
            "connection: close",
        )
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


class _Exchange:
    """One request and its answer, on a connection of its own."""

    def __init__(self, api: KubernetesApi, collection: Collection, query: Mapping[str, str]) -> None:
        self._api = api
        self._collection = collection
        self._query = query
        self._chunked = False
        self._length = 0

    async def __aenter__(self) -> "_Exchange":
        try:
            self._reader, self._writer = await self._api.open()
            self._writer.write(self._api.head(self._collection, self._query))
            first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            self._chunked = headers.get("transfer-encoding") == "chunked"
            self._length = int(headers.get("content-length", "0"))
            status = int(first.split()[1])
            if status != 200:
                _raise(status, b"".join([chunk async for chunk in self.chunks()]).decode("utf-8", "replace"))
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            raise ApiUnavailableError(f"the API server does not answer {self._collection.path}: {error!r}") from error
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._writer.close()
        if isinstance(error, OSError | EOFError | ValueError | KeyError | TimeoutError):
            raise ApiUnavailableError(f"the API server broke off {self._collection.path}: {error!r}") from error

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        if not self._chunked:
            yield await self._reader.readexactly(self._length)
            return
        while size := int((await self._reader.readuntil(b"\r\n")).strip(), 16):
            yield await self._reader.readexactly(size)
            await self._reader.readexactly(2)


def _raise(status: int, said: str) -> None:
    if status == 410:
        raise ResourceVersionGoneError(said)
    raise ApiUnavailableError(f"the API server answers {status}: {said[:300]}")
