"""As much of an HTTP server as the agent needs: GET and POST, short answers, kept connections."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

_IDLE_SECONDS = 60.0
_LONGEST_BODY = 2**16


@dataclass(frozen=True, slots=True)
class Request:
    """Method, path, the first value of each query parameter, and headers by lower-case name."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    """Status, text, its media type, further headers."""

    status: int
    body: str
    media: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response]]
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed",
            503: "Service Unavailable"}  # fmt: skip


async def serve(handler: Handler, address: str, port: int) -> asyncio.Server:
    """Start serving, on every address when none is given; raises OSError when the port cannot be had."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _serve_connection(handler, reader, writer)
        except (OSError, EOFError, ValueError, TimeoutError, asyncio.LimitOverrunError):
            return
        finally:
            writer.close()

    return await asyncio.start_server(connected, address or None, port)


async def _serve_connection(handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        async with asyncio.timeout(_IDLE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        request = _parse(head.decode("latin-1"))
        length = int(request.headers.get("content-length", "0"))
        if not 0 <= length <= _LONGEST_BODY:
            return
        await reader.readexactly(length)
        response = await handler(request)
        writer.write(_render(response))
        async with asyncio.timeout(_IDLE_SECONDS):
            await writer.drain()
        if request.headers.get("connection", "").lower() == "close":
            return


def _parse(head: str) -> Request:
    """Raises ValueError for what is no HTTP/1.1 request."""
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    url = urlsplit(target)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
    return Request(method, url.path, query, headers)


def _render(response: Response) -> bytes:
    body = response.body.encode()
    headers = {"content-type": response.media, "content-length": str(len(body)), **response.headers}
    lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Other')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
