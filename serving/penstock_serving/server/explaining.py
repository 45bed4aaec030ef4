"""Explanations over HTTP: what the server asks of the process that explains, which the first question starts."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from penstock_serving.explain.starting import Line
from penstock_serving.model.load import Model
from penstock_serving.protocol.call import Encoded
from penstock_serving.protocol.errors import RequestError, SaturatedError
from penstock_serving.server.identity import Identity

if TYPE_CHECKING:
    from penstock_serving.explain.client import ExplainClient

Explain = Callable[[bytes, int | None, float], Awaitable[Encoded]]
"""From a body, the length of its JSON (None: all of it) and the seconds that are left to the answer."""

# A refusal costs the event loop about as much as a prediction, and whoever is refused at once asks anew at once. So it
# comes after a pause, for as many callers and as large bodies as may be held meanwhile.
_PAUSE_SECONDS = 0.25
_PAUSED_CALLERS, _PAUSED_BYTES = 256, 64 << 10
# Those whose pause ends about now are answered at once: to be woken for each interrupts predictions each time.
_TOGETHER_SECONDS = 0.05


class Explaining:
    """Explains the served model; `busy` says whether predictions are under way. To be used from one event loop."""

    def __init__(self, identity: Identity, model: Model, directory: Path, line: Line, busy: Callable[[], bool]) -> None:
        self._identity, self._model, self._directory = identity, model, directory
        self._line, self._busy = line, busy
        self._client: ExplainClient | None = None
        self._paused = 0

    async def answer_v2(self, body: bytes, json_length: int | None, seconds: float) -> Encoded:
        """The answer to a v2 request; raises `RequestError`, 501 for a model that is not explained."""
        client = self._asked()
        return await self._unhurried(client.answer_v2(body, json_length, seconds), len(body))

    async def answer_v1(self, body: bytes, _json_length: int | None, seconds: float) -> Encoded:
        """The answer to a v1 request; raises as `answer_v2`."""
        client = self._asked()
        return await self._unhurried(client.answer_v1(body, seconds), len(body))

    async def close(self) -> None:
        """End the process."""
        if self._client is not None:
            await self._client.close()

    async def _unhurried(self, answer: Awaitable[Encoded], size: int) -> Encoded:
        try:
            return await answer
        except SaturatedError:
            if self._paused < _PAUSED_CALLERS and size <= _PAUSED_BYTES:
                self._paused += 1
                try:
                    await asyncio.sleep(_PAUSE_SECONDS - time.monotonic() % _TOGETHER_SECONDS)
                finally:
                    self._paused -= 1
            raise

    def _asked(self) -> "ExplainClient":
        if self._client is not None:
            return self._client
        data = self._model.explainer
        if isinstance(data, str):
            raise _not_explained(data)
        # Imported here: a server that is never asked need not hold it.
        from penstock_serving.explain.client import ExplainClient
        from penstock_serving.explain.limits import Limits
        from penstock_serving.explain.setup import Package, Setup

        identity = self._identity
        package = Package(str(self._directory), identity.digest)
        setup = Setup(identity.name, identity.parameters, self._model.signature, data, package)
        self._client = ExplainClient(setup, Limits(), self._line, self._busy)
        return self._client


def _not_explained(why: str) -> RequestError:
    return RequestError(501, f"this model is not explained: {why}")
