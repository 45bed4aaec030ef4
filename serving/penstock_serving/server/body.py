"""Reading request bodies within limits: of each, and of all together, so that uploads cannot fill the memory."""

import asyncio
from typing import Protocol

from penstock_serving.protocol.errors import RequestError, SaturatedError

_TIMEOUT_SECONDS = 30.0
_ALL_BODIES_BYTES = 64 << 20


class BodyProtocol(Protocol):
    """The part of an RSGI protocol object that reads the body."""

    async def __call__(self) -> bytes: ...

    def __aiter__(self) -> "BodyProtocol": ...

    async def __anext__(self) -> bytes: ...


class BodyReader:
    """Reads bodies of at most `limit` bytes, at most 64 MiB (or one body) at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._reading = 0

    async def read(self, protocol: BodyProtocol, declared: str | None) -> bytes:
        """The body; `declared` is its Content-Length, None when chunked.

        Raises `RequestError`: 413 beyond the limit, 408 when it does not arrive in 30 s, 429 when too many arrive.
        """
        size = int(declared) if declared is not None and declared.isdecimal() else self._limit
        if size > self._limit:
            raise self._too_large()
        if self._reading and self._reading + size > max(_ALL_BODIES_BYTES, self._limit):
            raise SaturatedError("too many request bodies are arriving at once; try again shortly")
        self._reading += size
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                return await protocol() if declared is not None else await self._chunked(protocol)
        except TimeoutError as error:
            raise RequestError(408, "the request's body did not arrive in time") from error
        finally:
            self._reading -= size

    async def _chunked(self, protocol: BodyProtocol) -> bytes:
        body = bytearray()
        async for chunk in protocol:
            body += chunk
            if len(body) > self._limit:
                raise self._too_large()
        return bytes(body)

    def _too_large(self) -> RequestError:
        return RequestError(413, f"the request's body is larger than {self._limit} bytes")
